"""Files that are configurations, files that are not, and what their scalars mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adaptor import InputError
from jobs.config.yaml_file import SIZE_LIMIT_BYTES, line_of, read


def values(tmp_path: Path, text: str) -> dict[str, Any]:
    path = tmp_path / "a.yaml"
    path.write_bytes(text.encode())
    return read(path)[0]


@pytest.mark.parametrize(
    "scalar", ["1e-3", "65_536", "010", "-7", "true", "no", "on", "1:30", "2024-01-01", "1.2.3", "s3://b/c", "9" * 9999]
)
def test_scalars_are_the_text_that_stands_there(tmp_path: Path, scalar: str) -> None:
    assert values(tmp_path, f"a: {scalar}\nb: '{scalar}'\nc: [{scalar}]") == {"a": scalar, "b": scalar, "c": [scalar]}


@pytest.mark.parametrize("scalar", ["null", "", "~"])
def test_null_is_none_unless_it_is_quoted(tmp_path: Path, scalar: str) -> None:
    assert values(tmp_path, f"a: {scalar}\nb: '{scalar}'\n") == {"a": None, "b": scalar}


def test_sections_may_share_what_an_anchor_names(tmp_path: Path) -> None:
    assert values(tmp_path, "a: &same {x: 1}\nb: *same\n") == {"a": {"x": "1"}, "b": {"x": "1"}}


def test_each_key_has_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("# first\na:\n  b: 1\nc: &same {d: 2}\ne: *same\n")
    root = read(path)[1]
    assert [line_of(root, field) for field in (("a",), ("a", "b"), ("e", "d"))] == [2, 3, 4]
    assert [line_of(root, field) for field in (("b",), ("a", "b", "c"))] == [None, None]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1,\nb: 2\n", "is not valid YAML: while parsing a flow sequence in line 1, column 4 expected"),
        ("a: b: c\n", "is not valid YAML: mapping values are not allowed here in line 1, column 5"),
        ("\ta: 1\n", "that cannot start any token in line 1, column 1"),
        ("a: {x: 1, x: 2}\n", "is not valid YAML: x stands twice; keep one in line 1, column 11"),
        ("a: 1\nc: 2\na: hunter2\n", "is not valid YAML: a stands twice; keep one in line 3, column 1"),
        ("- 1\n", "must hold sections such as `source:`, but it holds a list or a single value"),
        ("hello\n", "but it holds a list or a single value"),
        ("a: 1\n---\nb: 2\n", "expected a single document"),
        ("a: !!python/object/apply:os.system [ls]\n", "could not determine a constructor for the tag"),
        ("c: !ours 1\n", "could not determine a constructor for the tag"),
        ("a: *nowhere\n", "undefined alias"),
        ("? [1]\n: 2\n", "a key must be a word in line 1, column 3"),
        ("a: \x07\n", "special characters are not allowed"),
        ("[" * 5000, "maximum depth of data structure exceeded"),
        ("a: " + "x" * SIZE_LIMIT_BYTES, "is larger than 1,048,576 bytes"),
    ],
)
def test_files_that_are_none(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=r"a\.yaml") as caught:
        values(tmp_path, text)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_not_utf_8_missing_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff\n")
    for name, said in (("latin.yaml", "not valid YAML"), ("none.yaml", "No such file"), ("", "Is a directory")):
        with pytest.raises(InputError, match=said):
            read(tmp_path / name)


def test_an_empty_file_holds_nothing_and_a_bomb_of_aliases_does_not_go_off(tmp_path: Path) -> None:
    assert values(tmp_path, "# only a comment\n") == {}
    for before, after in ("[]", "{}"):
        keys = [f"k{number}: " if before == "{" else "" for number in range(9)]
        layers = "".join(
            f"a{n}: &a{n} {before}{', '.join(f'{key}*a{n - 1}' for key in keys)}{after}\n" for n in range(1, 30)
        )
        assert len(values(tmp_path, "a0: &a0 [1]\n" + layers)) == 30
