"""Every operation on a real S3 server behind a proxy that breaks three requests in ten: the outcome is the same."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from jobs.config.sections import FilesystemOptions
from jobs.storage import s3 as objects_s3
from jobs.storage.s3 import S3Objects
from tests.benchmarks.fault_proxy import FaultProxy
from tests.s3_server import S3Server

_RATE, _SEED = 0.3, 3
_SLOW = {"500", "503", "reset", "cut request", "lost reply", "hang", "slow link"}
KINDS = [pytest.param(kind, marks=[pytest.mark.slow] if kind in _SLOW else []) for kind in FaultProxy.KINDS]


@pytest.mark.parametrize("kind", KINDS)
def test_every_operation_gets_through(
    kind: str, bucket: str, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects_s3, "PART_BYTES", 5 << 20)
    local = tmp_path / "large"
    local.write_bytes(bytes(range(256)) * (11 << 12))
    with FaultProxy(s3.endpoint, _SEED, hang_seconds=3) as proxy:
        options = FilesystemOptions(endpoint=proxy.endpoint, attempts=8, request_timeout_seconds=2)
        objects = S3Objects(f"{bucket}/prefix", options)
        proxy.rates = {kind: _RATE}
        for number in range(2):
            assert objects.put_new(f"new {number}", b"mine")
            assert not objects.put_new(f"new {number}", b"theirs")
            objects.put(f"key {number}", b"abc" * 1000)
            assert objects.read(f"key {number}") == b"abc" * 1000
        objects.put_file("large", local)
        assert [info.key for info in objects.list()] == ["key 0", "key 1", "large", "new 0", "new 1"]
        if kind != "flipped bit":  # pyarrow does not compare checksums, so bulk reads rely on those of Parquet's pages
            with objects.arrow.open_input_file(objects.path("large")) as file:
                assert file.read() == local.read_bytes()
        objects.delete("large")
        assert objects.stat("large") is None
        assert proxy.injected[kind]


def test_a_proxy_without_faults_changes_nothing(bucket: str, s3: S3Server) -> None:
    with FaultProxy(s3.endpoint, _SEED) as proxy:
        objects = S3Objects(bucket, FilesystemOptions(endpoint=proxy.endpoint))
        content = pa.array(range(100_000)).buffers()[1].to_pybytes()
        objects.put("a", content)
        with objects.arrow.open_input_file(objects.path("a")) as file:
            assert file.read() == content
        assert not proxy.injected
        assert proxy.requests >= 2
