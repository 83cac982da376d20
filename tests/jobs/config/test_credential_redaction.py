"""Logins in addresses are recognised, refused where they would be copied into files, and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.config.compress import CompressConfig
from jobs.config.fit import FitConfig
from tests.jobs.config.loading import FIT, FIT_FLAGS, fit, problems


@pytest.mark.parametrize(
    "uri",
    [
        "sftp://u:topsecret@h/x",
        "s3://AKIA:top/secret@bucket/x",
        "ftp://:topsecret@h",
        "ftp://u:1topsecret@h:21/x",
        "ftp://u:topsecret@" + "h" * 100,
        "simplecache::sftp://u:p@topsecret@h/x",
        "sftp://u:" + "topsecret" * 20 + "@h/x",
        "ftp://me@corp.com:topsecret@host/p",
        "sftp://u[x:topsecret@h/p",
        "ftp://my user:topsecret@h/x",
        "github://u:topsecret@owner:repository/x",
        "https://h/x?a=1&X-Amz-Signature=topsecret",
        "https://h/x?sig=topsecret",
        "ftp:/u:topsecret@h/x",
        "ftp://u::topsecret@h/x",
        "https://h/x?a=1;api_key=topsecret",
        "https://h/x#token=topsecret",
    ],
)
def test_passwords_in_places_are_refused_and_not_shown(uri: str) -> None:
    labels = ("--queries.uri", uri, "--qrels.uri", uri)
    found = problems(FitConfig, None, "--source.uri", uri, "--output.uri", uri, *labels)
    found += problems(CompressConfig, None, "--source.uri", "in", "--output.uri", "o", "--adaptor.uri", uri)[:1]
    assert [line.partition(":")[0] for line in found] == [
        f"{section}.uri" for section in ("source", "output", "queries", "qrels", "adaptor")
    ]
    assert all("must not hold a password, which would be copied into the files" in line for line in found)
    assert not [line for line in found if "secret@" in line or "topsecret" in line]


@pytest.mark.parametrize(
    "endpoint", ["http://AKIA:topsecret@127.0.0.1:9", "http://topsecret@h", "http://u:top/secret@h"]
)
def test_logins_in_endpoints_are_refused_and_not_shown(endpoint: str) -> None:
    (found,) = problems(FitConfig, None, *FIT_FLAGS, "--source.filesystem.endpoint", endpoint)
    assert found.startswith("source.filesystem.endpoint: must not hold a login, which would be copied into the files")
    assert "secret" not in found.replace("AWS_SECRET", "")


@pytest.mark.parametrize(
    "uri",
    [
        "sftp://user@host:22/x",
        "hdfs://host:9000/a@b",
        "hdfs://[::1]:9000/a@b",
        "abfs://container@account.dfs.core.windows.net/x",
        "hf://datasets/user/name@main/a:b",
        "github://owner:repository@branch/x",
        "GITHUB://owner:repository@branch",
        "https://host/x?version=3",
        "git://path:main@x/y",
        "github://owner:repository@feature/x@y",
        "s3://arn:aws:s3:eu-central-1:1234:accesspoint:mine/user@corp",
        "zip://a.parquet::/data/a@b",
        "/data/a?token=3",
        "zip://a.parquet::s3://bucket/a@b",
        "s3://bucket/a:b@c",
        "/a:b@c",
    ],
)
def test_places_without_a_password_are_fine(uri: str) -> None:
    assert fit(None, "--source.uri", uri, "--output.uri", "out").source.uri == uri


@pytest.mark.parametrize("line", ["aws_secret_access_key: hunter2", "uri: s3://me:hunter2@bucket"])
def test_what_looks_like_a_secret_is_not_repeated(tmp_path: Path, line: str) -> None:
    (tmp_path / "fit.yaml").write_text(f"{FIT}{line}\n")
    (found,) = problems(FitConfig, tmp_path / "fit.yaml")
    assert "there is no such field" in found
    assert "hunter2" not in found


def test_a_mistyped_address_does_not_show_its_login() -> None:
    (found,) = problems(FitConfig, None, "--source.uri", "in", "--output.uri", "ftp:u:topsecret@h/x")
    assert found.startswith("output.uri: must have two slashes after 'ftp:' (for a local folder of that name write")
    assert found.endswith(", got 'ftp:…@h/x' (command line)")
