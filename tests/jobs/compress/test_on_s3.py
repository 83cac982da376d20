"""The same on a real S3 server: source, artefact and output in a bucket, nothing local but the scratch files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.config.verify import VerifyConfig
from jobs.storage.open import open_objects
from tests.jobs.compress.workplace import Workplace
from tests.s3_server import S3Server

DRIVER = """
import sys
from jobs.compress import command as compress
from jobs.verify import command as verify
from jobs.config.compress import CompressConfig
from jobs.config.verify import VerifyConfig
for _ in range(2):
    status = compress.run(CompressConfig.model_validate_json(sys.argv[1]))
    assert status == 0, status
sys.exit(verify.run(VerifyConfig.model_validate_json(sys.argv[1])))
"""


@pytest.mark.timeout(240)
def test_compress_and_verify_on_s3(workplace: Workplace, s3: S3Server, bucket: str, root: Path) -> None:
    source = open_objects(bucket, s3.options)
    for folder in ("source", "adaptor"):
        assert workplace.adaptor
        for path in (workplace.root / folder).rglob("*.*"):
            source.put_file(str(path.relative_to(workplace.root)), path)
    section = {"filesystem": s3.options.model_dump()}
    config = VerifyConfig.model_validate(
        {
            "source": {"uri": f"{bucket}/source", **section},
            "adaptor": {"uri": f"{bucket}/adaptor", **section},
            "output": {"dim": 5, "uri": f"{bucket}/output", **section},
        }
    )
    driver = subprocess.run(
        [sys.executable, "-c", DRIVER, config.model_dump_json(exclude={"verification"})],
        cwd=root,
        env={**os.environ, **s3.environment, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert driver.returncode == 0, driver.stderr
    assert "nothing to do: all 3 work items are done" in driver.stdout
    assert "all checks hold: 3 shards, 59 rows" in driver.stdout
    (key,) = [info.key for info in source.list("output/") if "data/sub/b." in info.key]
    with source.arrow.open_input_file(source.path(key)) as file:
        ids = pq.read_table(file, columns=["id"])["id"].to_pylist()
    assert ids == [f"row-2-{row}" for row in range(31)]
    secret = s3.environment["AWS_SECRET_ACCESS_KEY"].encode()
    small = [info.key for info in source.list("output/") if info.key.endswith(".json")]
    assert not [name for name in small if secret in source.read(name)]
