"""What killed processes leave half-written is swept, when it is old enough, and only below the own prefix."""

from __future__ import annotations

import os
from pathlib import Path

from jobs.config.sections import FilesystemOptions
from jobs.storage.open import open_objects
from jobs.storage.s3_clients import request_client
from tests.s3_server import S3Server


def test_multipart_uploads_that_nobody_finishes_are_aborted(s3: S3Server, bucket: str) -> None:
    client, name = request_client(s3.options), bucket.removeprefix("s3://")
    keys = ["mine/data/a.parquet", "mine/data/b.parquet", "mine-too/data/a.parquet"]
    for key in keys:
        upload = client.call_s3("create_multipart_upload", Bucket=name, Key=key)["UploadId"]
        client.call_s3("upload_part", Bucket=name, Key=key, UploadId=upload, PartNumber=1, Body=b"rows" * 99)
    mine = open_objects(f"{bucket}/mine", s3.options)
    mine.put("data/c.parquet", b"finished")
    assert mine.abandon_uploads(older_than=3600) == 0
    assert mine.abandon_uploads(older_than=-60) == 2
    left = client.call_s3("list_multipart_uploads", Bucket=name)
    assert [upload["Key"] for upload in left["Uploads"]] == ["mine-too/data/a.parquet"]
    assert [info.key for info in mine.list()] == ["data/c.parquet"]


def test_files_that_nobody_finishes_are_removed(tmp_path: Path) -> None:
    objects = open_objects(str(tmp_path / "output"), FilesystemOptions())
    assert objects.abandon_uploads(older_than=0) == 0  # there is no folder yet
    objects.put("data/a.parquet", b"finished")
    old, fresh = tmp_path / "output/data/.tmp-1", tmp_path / "output/.tmp-2"
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert objects.abandon_uploads(older_than=3600) == 1
    assert fresh.exists()
    assert not old.exists()
    assert [info.key for info in objects.list()] == ["data/a.parquet"]
