"""Shim: `python listener.py` from the checkout is `ingester run listener`."""

import sys

from ingester_app.listener import main

if __name__ == "__main__":
    sys.exit(main())
