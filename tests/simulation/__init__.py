"""The promise of docs/design.md against simulated services: every order of events, every fault, exactly repeatable.

The real `ingester_app.ingest.ingest`, `lco_ingester.steps`, `ingester_app.listener.Listener` and
`dead_letter_queue.replay` run here in one thread and on a virtual clock. Before each call to a service a process
pauses, and the search decides what comes next: this call (answered, refused, or done and its answer lost), another
process's call, a file's change, the end of a delay, or a kill. `explore.py` tries everything up to a number of
faults; see `python -m tests.simulation --help`.
"""
