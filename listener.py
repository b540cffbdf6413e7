"""Shim: `python listener.py` from the checkout is `ingester run listener`."""

import sys

from ingester_app.listener import main

if __name__ == "__main__":
    if sys.argv[1:]:
        sys.exit("listener.py has no arguments; see: ingester run listener --help")
    sys.exit(main())
