"""Run by each Python of the demo's service as it starts, for the demo puts this folder on its path."""

from contextlib import suppress

with suppress(ImportError):  # the Python that only makes the virtual environment has neither us nor kombu
    from ingester_demo.whole_messages import write_whole

    write_whole()
