"""From a bucket into a bucket, on a real S3 server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobs.storage.open import open_objects
from tests.jobs.export.days import Day
from tests.jobs.export.engines import ENGINES, params
from tests.s3_server import S3Server


@pytest.mark.parametrize("target", params("elasticsearch", "lancedb"))
def test_a_bucket_is_exported_into_a_bucket(target: str, s3: S3Server, bucket: str, tmp_path: Path) -> None:
    if target == "lancedb":
        pytest.importorskip("lancedb")
    filesystem = {"filesystem": s3.options.model_dump()}
    day = Day(ENGINES[target](f"{bucket}/out"), "docs", tmp_path)
    version = {"uri": f"{bucket}/version", **filesystem}

    def export() -> None:
        """Put the version into the bucket, and export it from there."""
        objects = open_objects(f"{bucket}/version", s3.options)
        for path in (tmp_path / "version").rglob("*.*"):
            objects.put_file(str(path.relative_to(tmp_path / "version")), path)
        day.export(version=version, destination=filesystem)

    day.maker.commit(day.first)
    export()
    day.maker.commit(day.second())
    export()
    if target == "lancedb":
        import lancedb

        from jobs.sources.table_storage import object_store_options

        options = object_store_options(f"{bucket}/out", s3.options)
        table: Any = lancedb.connect(f"{bucket}/out", storage_options=options).open_table("docs")
        assert sorted(table.to_arrow()["id"].to_pylist()) == sorted(day.maker.rows)
        return
    out = open_objects(f"{bucket}/out", s3.options)
    for info in out.list():
        copy = tmp_path / "copy" / info.key
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(out.read(info.key))
    day.engine.uri = str(tmp_path / "copy")
    day.check()
