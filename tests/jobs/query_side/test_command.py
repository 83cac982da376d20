"""`matryoshka query-side`: what it takes from the index, what it refuses, and where the files go."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adaptor.artefact import with_codes
from adaptor.code_fitting import fit_codes
from adaptor.query_side.description import DESCRIPTION, describe, read_description
from adaptor.query_side.exported import open_query_side
from jobs.__main__ import main
from jobs.commits.output_version import DESCRIPTION as INDEX_DESCRIPTION
from jobs.query_side.registry import QUERY_FORMATS
from tests.jobs.evaluate.inputs import make_adaptor, save_adaptor
from tests.jobs.query_side.exports import export
from tests.scifact_adaptor import scifact_adaptor

ADAPTOR_ID = scifact_adaptor().adaptor_id


@pytest.fixture
def adaptor_uri(tmp_path: Path) -> str:
    """The artefact of the tests."""
    return save_adaptor(scifact_adaptor(), tmp_path / "adaptor")


def index(folder: Path, **changes: Any) -> str:
    """What compress says about an output version of two columns; its uri."""
    folder.mkdir()
    described = {"adaptor_id": ADAPTOR_ID, "dim": 128, "encoding": "binary", "vector_column": "vector"}
    described["rescore"] = {"dim": 64, "encoding": "float16", "column": "vector_rescore"}
    (folder / INDEX_DESCRIPTION).write_text(json.dumps({**described, **changes}))
    return str(folder)


def run(*arguments: str) -> int:
    """Run the program."""
    return main(["query-side", *arguments])


def test_dim_and_encoding_are_those_of_the_index(
    adaptor_uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri, folder = index(tmp_path / "index"), tmp_path / "out"
    given = ("--adaptor.uri", adaptor_uri, "--index.uri", uri, "--output.uri", str(folder))
    assert run("matrix", *given) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"matrix of adaptor {ADAPTOR_ID[:16]}, dim 128, binary: 0.20 MB written to {folder}\n")
    side = open_query_side(folder, json.loads((tmp_path / "index" / INDEX_DESCRIPTION).read_text()))
    vectors = side.description.canary_vectors
    codes = scifact_adaptor().codec(dim=128, encoding="binary").encode(vectors)
    np.testing.assert_array_equal(side.encode(vectors), codes)
    np.testing.assert_array_equal(vectors, scifact_adaptor().canary["vectors"])
    assert run("matrix", *given) == 0  # the same again
    assert run("matrix", *given[:-1], str(tmp_path / "second"), "--output.dim", "64") == 0
    assert read_description(tmp_path / "second").encoding == "float16"
    assert run("matrix", *given[:-1], str(tmp_path / "third"), "--output.dim", "64", "--output.encoding", "int8") == 2
    said = capsys.readouterr().err
    assert (
        "output.dim is 64, output.encoding is int8, but the index holds dim 128 as binary and dim 64 as float" in said
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adaptor_id": "f" * 64}, "was made by adaptor ffffffffffffffff, adaptor.uri is"),
        ({"rescore": 3}, "is damaged"),
        (None, "holds no output version"),
    ],
)
def test_an_index_of_another_adaptor_or_none_is_refused(
    changes: dict[str, Any] | None,
    message: str,
    adaptor_uri: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    uri = str(tmp_path / "nothing") if changes is None else index(tmp_path / "index", **changes)
    out = str(tmp_path / "out")
    assert run("matrix", "--adaptor.uri", adaptor_uri, "--index.uri", uri, "--output.uri", out) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out" / DESCRIPTION).exists()


def test_what_the_command_line_says(adaptor_uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uris = ("--adaptor.uri", adaptor_uri, "--output.uri", str(tmp_path / "out"))
    assert run("matrix", *uris) == 2
    assert "give output.dim and output.encoding, or index.uri, which says both" in capsys.readouterr().err
    column = ("--output.dim", "64", "--output.encoding", "int8")
    assert run(*uris, *column) == 2
    assert "output.format: is required" in capsys.readouterr().err
    assert run("onxx", *uris, *column) == 2
    said = capsys.readouterr().err
    assert f"output.format: must be one of: {', '.join(QUERY_FORMATS)} (did you mean onnx?); got 'onxx'" in said
    assert run("--help") == 0
    said = capsys.readouterr().out
    assert said.startswith("usage: matryoshka query-side FORMAT [CONFIG.yaml] [--section.field VALUE ...]\n")
    assert f"--output.format {'|'.join(QUERY_FORMATS)}\n" in said
    file = tmp_path / "query-side.yaml"
    file.write_text(f"adaptor: {{uri: {adaptor_uri}}}\noutput: {{uri: {tmp_path / 'out'}, dim: 64, encoding: int8}}\n")
    assert run("faiss", str(file)) == 0
    assert list(read_description(tmp_path / "out").files) == ["query_side.faiss"]


def test_a_folder_with_another_query_side_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = export(scifact_adaptor(), tmp_path, "matrix", dim=64, encoding="int8")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    arguments = ("--adaptor.uri", str(tmp_path / "adaptor"), "--output.uri", str(folder), "--output.dim", "64")
    assert run("matrix", *arguments, "--output.encoding", "int4") == 2
    assert f"{folder} holds the query side of encoding int8: give a new output.uri" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", QUERY_FORMATS)
def test_every_file_is_described(name: str, tmp_path: Path) -> None:
    folder = export(scifact_adaptor(), tmp_path, name, dim=64, encoding="int4")
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    description = read_description(folder)
    assert set(files) == {DESCRIPTION, *description.files}
    assert description.files == {
        file: hashlib.sha256(content).hexdigest() for file, content in files.items() if file != DESCRIPTION
    }
    assert (description.adaptor_id, description.dim, description.encoding) == (ADAPTOR_ID, 64, "int4")


def test_an_adaptor_of_a_version_before_canaries_gets_one_for_its_query_side() -> None:
    vectors = np.random.default_rng(0).normal(size=(200, 24)).astype(np.float32)
    bare = make_adaptor(vectors, (8,))
    old = with_codes(bare, fit_codes(bare, vectors, vectors[:0], 3))
    description = describe(old, old.codec(dim=8, encoding="int2"))
    assert np.shape(description.canary.vectors) == (4, 24)
    np.testing.assert_allclose(np.linalg.norm(description.canary_vectors, axis=1), 1, rtol=1e-6)


def test_the_mlp_architecture_goes_everywhere_but_into_faiss(tmp_path: Path) -> None:
    fitted = scifact_adaptor(architecture="mlp")
    folder = export(fitted, tmp_path, "matrix", dim=64, encoding="int2")
    side, vectors = open_query_side(folder), read_description(folder).canary_vectors
    np.testing.assert_array_equal(side.transform(vectors), fitted.codec(dim=64, encoding="int2").transform(vectors))
    arguments = ("--adaptor.uri", str(tmp_path / "adaptor"), "--output.uri", str(tmp_path / "f"), "--output.dim", "64")
    assert run("faiss", *arguments, "--output.encoding", "int2") == 2
    assert not (tmp_path / "f" / DESCRIPTION).exists()
