"""The demo's servers, under the name by which the tests know them."""

from ingester_demo.servers import ArchiveServer, S3Server, Server, running_archive, running_s3

__all__ = ["ArchiveServer", "S3Server", "Server", "running_archive", "running_s3"]
