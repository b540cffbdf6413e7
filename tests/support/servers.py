"""The demo's servers, as the tests import them."""

from ingester_demo.servers import ArchiveServer, S3Server, Server, running_archive, running_s3

__all__ = ["ArchiveServer", "S3Server", "Server", "running_archive", "running_s3"]
