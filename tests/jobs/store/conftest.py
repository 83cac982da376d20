"""The S3 server for the tests of the store."""

from tests.s3_server import bucket, s3

__all__ = ["bucket", "s3"]
