"""What lies between us and the objects: refusals of single objects, throttling, requester pays, KMS keys, proxies. All
clients must do alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from adaptor.errors import InputError, RunError
from jobs.config.sections import FilesystemOptions, SourceSection
from jobs.sources.source import Source, open_source
from jobs.storage.objects import RefusedError, ThrottledError
from jobs.storage.s3 import S3Objects
from jobs.storage.s3_clients import proxy_of
from tests.benchmarks.fault_proxy import FaultProxy
from tests.s3_server import S3Server

#: No name server knows it: only a proxy can reach it.
NOWHERE = "http://storage.invalid:8333"
ROWS = pa.table({"id": ["a", "b"], "vector": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32()))})


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[FaultProxy]:
    """Before the server, without faults."""
    with FaultProxy(s3.endpoint, seed=1) as proxy:
        yield proxy


@pytest.fixture
def store(bucket: str, s3: S3Server, tmp_path: Path) -> str:
    """A bucket with two equal Parquet files and a large matrix below `files/`."""
    objects = S3Objects(f"{bucket}/files", s3.options)
    pq.write_table(ROWS, tmp_path / "a.parquet")
    for name in ("a.parquet", "b.parquet"):
        objects.put(name, (tmp_path / "a.parquet").read_bytes())
    np.save(tmp_path / "m.npy", np.ones((4096, 64), np.float32))
    objects.put("m.npy", (tmp_path / "m.npy").read_bytes())
    return bucket


def _readers(bucket: str, options: FilesystemOptions) -> list[Callable[[], object]]:
    """Every way in which we read one object, `a.parquet` or `m.npy`."""
    objects = S3Objects(f"{bucket}/files", options)

    def first_of(source: Source) -> Callable[[], object]:
        """Read the first shard of a source."""
        shard = source.shards()[0]
        return lambda: list(source.read(shard, [0], 10))

    parquet, npy = (
        open_source(SourceSection.model_validate(given | {"uri": objects.uri, "filesystem": options}))
        for given in ({}, {"format": "npy", "ids": {"kind": "row_number"}})
    )
    return [
        lambda: objects.read("a.parquet"),
        lambda: parquet.describe(parquet.shards()[0]),
        first_of(parquet),
        first_of(npy),
    ]


@pytest.mark.parametrize("own", [False, True], ids=["pyarrow", "s3fs"])
@pytest.mark.parametrize("kind", ["forbidden", "archived"])
def test_a_refused_object_is_told_as_such_by_every_reader(kind: str, own: bool, store: str, proxy: FaultProxy) -> None:
    options = FilesystemOptions(endpoint=proxy.endpoint, attempts=2, requester_pays=own)
    readers = _readers(store, options)
    proxy.objects = {"a.parquet": kind, "m.npy": kind}
    for read, name in zip(readers, ("a.parquet", "a.parquet", "a.parquet", "m.npy"), strict=True):
        with pytest.raises(RefusedError) as caught:
            read()
        assert name in str(caught.value)
        assert ("restore it" if kind == "archived" else "check the credentials") in str(caught.value)


def test_a_refused_file_without_an_ending_is_not_overlooked(store: str, s3: S3Server, proxy: FaultProxy) -> None:
    direct = S3Objects(f"{store}/files", s3.options)
    direct.put("part-0", direct.read("a.parquet"))
    proxy.objects = {"part-0": "archived"}
    options = FilesystemOptions(endpoint=proxy.endpoint, attempts=2)
    source = open_source(SourceSection(uri=direct.uri, filesystem=options))
    shards = {shard.key: shard for shard in source.shards()}
    assert sorted(shards) == ["a.parquet", "b.parquet", "part-0"]
    with pytest.raises(RefusedError, match="restore it"):
        source.describe(shards["part-0"])


@pytest.mark.parametrize("own", [False, True], ids=["pyarrow", "s3fs"])
def test_throttling_is_told_apart_from_other_outages(own: bool, store: str, proxy: FaultProxy) -> None:
    options = FilesystemOptions(endpoint=proxy.endpoint, attempts=1, requester_pays=own)
    readers = _readers(store, options)
    for kind, expected in (("503", ThrottledError), ("500", RunError)):
        proxy.objects = {"a.parquet": kind, "m.npy": kind}
        for read in readers:
            with pytest.raises(RunError) as caught:
                read()
            assert type(caught.value) is expected


def test_requester_pays_reaches_every_request(store: str, proxy: FaultProxy, tmp_path: Path) -> None:
    options = FilesystemOptions(endpoint=proxy.endpoint, requester_pays=True)
    for read in _readers(store, options):
        read()
    objects = S3Objects(f"{store}/files", options)
    assert [info.key for info in objects.list()] == ["a.parquet", "b.parquet", "m.npy"]
    objects.put_new("c", b"1")
    objects.copy("c", "d")
    objects.delete("c")
    with objects.arrow.open_input_file(objects.path("m.npy")) as file:
        assert file.read() == objects.read("m.npy")
    assert [line for line, headers in proxy.heads if headers.get("x-amz-request-payer") != "requester"] == []
    S3Objects(f"{store}/t/metadata", options).put("v1.metadata.json", b"{}")
    for name in ("delta", "lance", "iceberg"):
        with pytest.raises(InputError, match="requester_pays works for plain files only"):
            open_source(SourceSection(uri=f"{store}/t", format=name, filesystem=options)).shards()


def test_the_kms_key_goes_with_all_that_makes_objects(bucket: str, proxy: FaultProxy, tmp_path: Path) -> None:
    """The server of the tests has no KMS, and refuses: what is sent is looked at."""
    objects = S3Objects(bucket, FilesystemOptions(endpoint=proxy.endpoint, attempts=1, kms_key="key-1"))
    large = tmp_path / "large"
    large.write_bytes(bytes(33 << 20))
    for write in (
        lambda: objects.put("a", b"1"),
        lambda: objects.put_new("a", b"1"),
        lambda: objects.put_file("a", large),
        lambda: objects._request("copy_object", "b", CopySource={"Bucket": objects.bucket, "Key": "a"}),
        lambda: objects.arrow.open_output_stream(objects.path("a")).close(),
    ):
        before = len(proxy.heads)
        with pytest.raises((RunError, InputError, OSError)):
            write()
        first = next(headers for line, headers in proxy.heads[before:] if line.startswith(("PUT", "POST")))
        assert first["x-amz-server-side-encryption"] == "aws:kms"
        assert first["x-amz-server-side-encryption-aws-kms-key-id"] == "key-1"


def test_all_clients_take_the_proxy_of_the_environment(
    store: str, s3: S3Server, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_deltalake(f"{store}/delta", ROWS, storage_options=_delta_options(s3.endpoint))
    lance.write_dataset(ROWS, f"{store}/lance", storage_options=_delta_options(s3.endpoint))
    monkeypatch.setenv("HTTP_PROXY", proxy.endpoint)
    options = FilesystemOptions(endpoint=NOWHERE, attempts=2)
    for read in _readers(store, options):
        before = len(proxy.heads)
        read()
        assert len(proxy.heads) > before
    for name in ("delta", "lance"):
        source = open_source(SourceSection(uri=f"{store}/{name}", format=name, filesystem=options))
        assert source.describe(source.shards()[0]).rows == 2


def test_no_client_takes_the_proxy_for_what_is_excepted(
    store: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    found: list[Any] = [read() for read in _readers(store, s3.options)]
    content, info, parquet, npy = found  # nothing answers at the proxy: what was read came past it
    assert content.startswith(b"PAR1")
    assert info.rows == ROWS.num_rows
    assert [sum(batch.table.num_rows for batch in batches) for batches in (parquet, npy)] == [ROWS.num_rows, 4096]


def test_a_proxy_that_does_not_answer_is_told_without_its_login(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://user:topsecret@127.0.0.1:9")
    objects = S3Objects(store, FilesystemOptions(endpoint=NOWHERE, attempts=1))
    with pytest.raises(RunError, match="proxy") as caught:
        list(objects.list())
    assert "topsecret" not in str(caught.value)
    with pytest.raises(OSError, match="AWS Error NETWORK_CONNECTION") as arrow:
        objects.arrow.open_input_file(objects.path("a"))
    assert "topsecret" not in str(arrow.value)


@pytest.mark.parametrize(
    ("variables", "endpoint", "expected"),
    [
        ({}, None, None),
        ({"HTTPS_PROXY": "http://p:3128"}, None, "http://p:3128"),
        ({"https_proxy": "p:3128"}, None, "http://p:3128"),
        ({"HTTP_PROXY": "http://p:3128"}, None, None),
        ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": ".amazonaws.com"}, None, None),
        ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "amazonaws.org"}, None, "http://p:3128"),
        ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "*"}, "https://store:9000", None),
        ({"HTTPS_PROXY": "http://p:3128"}, "http://store:9000", None),
    ],
)
def test_the_rule_for_proxies(
    variables: dict[str, str], endpoint: str | None, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_of(FilesystemOptions(endpoint=endpoint)) == expected


def _delta_options(endpoint: str) -> dict[str, str]:
    return {"aws_endpoint": endpoint, "aws_allow_http": "true", "aws_region": "us-east-1"}
