"""Files that are configurations, files that are not, and what their scalars mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adaptor import InputError
from jobs.config.yaml_file import SIZE_LIMIT_BYTES, read


def values(tmp_path: Path, text: str) -> dict[str, Any]:
    path = tmp_path / "a.yaml"
    path.write_bytes(text.encode())
    return read(path).values


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("1e-3", 0.001),
        ("3E5", 3e5),
        ("1e-05", 1e-5),
        (".5", 0.5),
        ("65_536", 65536),
        ("010", 10),
        ("-7", -7),
        ("true", True),
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("null", None),
        ("", None),
        ("~", None),
        ("'1'", "1"),
        ("1.2.3", "1.2.3"),
        ("s3://b/c", "s3://b/c"),
        ("9" * 200, "9" * 200),
    ],
)
def test_scalars(tmp_path: Path, scalar: str, value: object) -> None:
    found = values(tmp_path, f"a: {scalar}\n")["a"]
    assert found == value
    assert type(found) is type(value)


def test_every_duplicate_is_found_with_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: {x: 1, x: 2}\nb: 1\nc: 2\nb: 3\n")
    assert read(path).duplicates == ((("a", "x"), 1, 1), (("b",), 4, 2))


def test_lines_of_fields_and_of_what_is_around_them(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("# first\na:\n  b: 1\n")
    file = read(path)
    assert (file.line(("a", "b")), file.line(("a", "c")), file.line(("d",))) == (3, 2, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "a: [1,\nb: 2\n",
            "is not valid YAML: line 3, column 1: while parsing a flow sequence from line 1 on: expected",
        ),
        ("a: b: c\n", "is not valid YAML: line 1, column 5: mapping values are not allowed here"),
        ("\ta: 1\n", "is not valid YAML: line 1, column 1"),
        ("- 1\n", "must hold sections such as `source:`, but it holds a list"),
        ("hello\n", "but it holds a single value"),
        ("a: 1\n---\nb: 2\n", "expected a single document"),
        ("a: !!python/object/apply:os.system [ls]\n", "could not determine a constructor for the tag"),
        ("a: *nowhere\n", "undefined alias"),
        ("? [1]\n: 2\n", "unhashable key"),
        ("a: \x07\n", "special characters are not allowed"),
        ("[" * 5000, "nested too deeply"),
        ("a: " + "x" * SIZE_LIMIT_BYTES, "is larger than 1,048,576 bytes"),
    ],
)
def test_files_that_are_none(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=r"a\.yaml") as caught:
        values(tmp_path, text)
    assert said in str(caught.value)


def test_not_utf_8_missing_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff\n")
    for name, said in (("latin.yaml", "not valid YAML"), ("none.yaml", "No such file"), ("", "Is a directory")):
        with pytest.raises(InputError, match=said):
            read(tmp_path / name)


def test_an_empty_file_holds_nothing_and_a_bomb_of_aliases_does_not_go_off(tmp_path: Path) -> None:
    assert values(tmp_path, "# only a comment\n") == {}
    layers = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    assert len(values(tmp_path, "a0: &a0 [1]\n" + layers)) == 30
