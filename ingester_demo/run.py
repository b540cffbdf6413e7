"""`python -m ingester_demo run ROLE …`: `ingester run ROLE …` in a process in which kombu knows the demo's broker."""

from ingester_app.cli import main as ingester
from ingester_demo.folder_transport import register


def main(arguments: list[str]) -> int:
    """Run one role of the service until it ends. Raises SystemExit with its exit code."""
    register()
    ingester(["run", *arguments], prog_name="ingester")
    return 0
