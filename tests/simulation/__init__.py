"""The promise of docs/design.md, run against simulated neighbours: every order of events, every fault, exactly again.

The real `ingester_app.ingest.ingest`, `lco_ingester.steps`, `ingester_app.listener.Listener` and
`dead_letter_queue.replay` run here in one thread and on a virtual clock. Before each call to a service a process stands
still, and the search decides what happens next: this call (answered, refused, or done and its answer lost), another
process's call, a file's change, a delay's end, or a kill. `explore.py` tries all of it up to a number of faults;
`python -m tests.simulation --help`.
"""
