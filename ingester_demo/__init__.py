"""The demo: a small Archive API, a small S3 store, sample frames, and the whole service on one machine.

The tests use the servers and the sample frames too. Neither the library nor the service imports this package.
"""
