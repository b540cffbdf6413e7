"""How fast, how big, how many: the ingester measured beside the floor and beside its predecessors (README.md)."""
