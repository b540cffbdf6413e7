"""From a file's headers to its archive record; pure: no I/O, no clock (docs/record.md)."""
