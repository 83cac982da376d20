"""The ONNX file in Node. MATRYOSHKA_TEST_NODE names a folder in which `npm install onnxruntime-node onnxruntime-web`
was run; without it nothing is run here (`make test-node`)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from adaptor.codec import BITS
from tests.jobs.query_side.exports import export
from tests.scifact_adaptor import SCIFACT, scifact_adaptor, vectors_of

NODE_FOLDER = os.environ.get("MATRYOSHKA_TEST_NODE")

pytestmark = pytest.mark.skipif(NODE_FOLDER is None, reason="MATRYOSHKA_TEST_NODE is not set")


@pytest.mark.parametrize("runtime", ["onnxruntime-node", "onnxruntime-web"])
@pytest.mark.parametrize("encoding", BITS)
def test_node_makes_what_numpy_makes(runtime: str, encoding: str, tmp_path: Path) -> None:
    folder = export(scifact_adaptor(), tmp_path, "onnx", dim=128, encoding=encoding)
    codec, queries = scifact_adaptor().codec(dim=128, encoding=encoding), vectors_of(SCIFACT / "queries.parquet")[:300]
    queries.astype("<f4").tofile(tmp_path / "queries")
    program = [str(Path(__file__).with_name("in_node.mjs")), runtime, str(folder)]
    command = ["node", *program, str(tmp_path / "queries"), str(tmp_path / "made")]
    done = subprocess.run(command, cwd=NODE_FOLDER, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.returncode) == ("another dimension is refused\n", 0), done.stderr
    transformed = np.fromfile(tmp_path / "made.transformed", "<f4").reshape(len(queries), -1)
    np.testing.assert_allclose(transformed, codec.transform(queries), atol=1e-6)
    codes = np.fromfile(tmp_path / "made.codes", codec.quantiser.dtype).reshape(len(queries), -1)
    np.testing.assert_array_equal(codes, codec.quantiser.quantise(transformed))
