"""`python -m ingester_app.cli` is the command `ingester`."""

from ingester_app.cli import main

main(prog_name="ingester")
