"""The demo neighbours: an Archive API, an S3 store and sample frames, for trying out and for tests."""
