"""Output versions are listed, compared, promoted, taken back and swept; nothing in use is lost, whoever dies."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adaptor.errors import InputError
from jobs.commits import sequences
from jobs.commits.output_version import DESCRIPTION as DESCRIBED
from jobs.commits.pointer import read_pointer
from jobs.commits.version_reader import VersionReader
from jobs.config.versions import VersionsConfig
from jobs.storage.local import LocalObjects
from jobs.versions import catalogue, command
from tests.jobs.commits.histories import Crash, Dying, loaded, run

GOOD = {"quality": {"overlap@10": {"value": 0.9, "ci_low": 0.88, "ci_high": 0.92}}, "drift": "none"}


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalObjects:
    """Two output versions: `one` with three sequences, then `other` with one; and a folder that is none."""
    root = LocalObjects(str(tmp_path / "outputs"))
    clock = iter(range(10, 99))
    slow = SimpleNamespace(strftime=lambda *_: f"2026-11-{next(clock)}T00:00:00Z", gmtime=lambda: None)
    monkeypatch.setattr(sequences, "time", slow)
    for name, days in (("one", 3), ("other", 1)):
        folder = LocalObjects(f"{root.uri}/{name}")
        folder.put(DESCRIBED, b"{}")
        for day in range(1, days + 1):
            run(folder, {"a": {"x": day}, f"b{day}": {"y": 1}}, 9, **GOOD)
    root.put("elsewhere/file", b"")
    return root


def versions(outputs: LocalObjects, action: str, *wanted: str, **sections: Any) -> None:
    """Run the command."""
    config = {"action": action, "output": {"uri": outputs.uri}, "versions": wanted, **sections}
    assert command.run(VersionsConfig.model_validate(config)) == 0


def verified(outputs: LocalObjects, name: str, sequence: int, status: str = "complete") -> None:
    """What verify leaves."""
    outputs.put(f"{name}/_verify/summary.json", json.dumps({"status": status, "sequence": sequence}).encode())


def in_use(outputs: LocalObjects) -> str | None:
    """What the pointer names."""
    pointer = read_pointer(outputs)
    return None if pointer is None else f"{pointer.output_version}@{pointer.sequence}"


def test_what_is_there_is_listed(outputs: LocalObjects, capsys: pytest.CaptureFixture[str]) -> None:
    versions(outputs, "list")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["one@1", "one@2", "one@3", "other@1"]
    assert "2 rows" in lines[0]
    assert "overlap@10 0.900" in lines[0]
    assert lines[4] == "none is promoted: matryoshka versions promote"
    verified(outputs, "one", 3)
    versions(outputs, "promote", "one")
    capsys.readouterr()
    versions(outputs, "list", report="json")
    found = json.loads(capsys.readouterr().out)["versions"]
    assert [one["version"] for one in found if one["current"]] == ["one@3"]
    assert (found[0]["rows"], found[0]["adaptor_id"]) == (2, "a" * 64)


def test_two_are_compared(outputs: LocalObjects, capsys: pytest.CaptureFixture[str]) -> None:
    versions(outputs, "compare", "one@1", "one", report="json")
    found = json.loads(capsys.readouterr().out)
    assert found["shards"] == {"added": ["b3"], "removed": ["b1"], "changed": ["a"]}
    assert [(feed["upserts"], feed["deletes"]) for feed in found["feeds"]] == [(1, 0), (1, 0)]
    versions(outputs, "compare", "one@1", "one@3")
    assert "feeds: 2 upserts, 0 deletes" in capsys.readouterr().out
    versions(outputs, "compare", "one", "other")
    assert "shards: 1 added, 1 removed, 1 changed" in capsys.readouterr().out
    with pytest.raises(ValueError, match="compare takes 2 versions, 1 are given"):
        versions(outputs, "compare", "one")


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ("o", r"'o' is the beginning of several output versions of .* \(one, other\)"),
        ("two", r"'two' is no output version of .* \(one, other\): give one of them"),
        ("one@9", r"keeps no sequence 9 \(kept: 1, 2, 3\)"),
        ("one@x", r"'one@x' should be NAME or NAME@SEQUENCE, such as one@3"),
    ],
)
def test_names_must_mean_one_version(outputs: LocalObjects, wanted: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        versions(outputs, "promote", wanted)


def test_the_gate(outputs: LocalObjects) -> None:
    with pytest.raises(InputError, match=r"other@1 is not promoted: verify has looked at nothing so far"):
        versions(outputs, "promote")
    verified(outputs, "one", 2)
    with pytest.raises(InputError, match=r"one@3 is not promoted: verify has looked at sequence 2 so far"):
        versions(outputs, "promote", "one")
    verified(outputs, "one", 3, "failed")
    with pytest.raises(InputError, match="verify found something wrong with it"):
        versions(outputs, "promote", "one")
    verified(outputs, "one", 3)
    wanted = {"minimum": {"overlap@10": 0.89, "overlap@100": 0.5}}
    with pytest.raises(
        InputError, match=r"keeps 0\.900 \[0\.880, 0\.920\]; gate.minimum asks for overlap@100 .* nothing is"
    ):
        versions(outputs, "promote", "one", gate=wanted)
    assert in_use(outputs) is None
    versions(outputs, "promote", "one", gate={"minimum": {"overlap@10": 0.88}})
    assert in_use(outputs) == "one@3"
    folder = LocalObjects(f"{outputs.uri}/one")
    run(folder, {"a": {"x": 9}}, 9, drift="space")
    with pytest.raises(InputError, match="it holds vectors of another space"):
        versions(outputs, "promote", "one", gate={"verified": False})
    versions(outputs, "promote", "one", gate={"verified": False, "another_space": True})
    assert in_use(outputs) == "one@4"


def test_going_back(outputs: LocalObjects) -> None:
    with pytest.raises(InputError, match="has no earlier promotion to go back to"):
        versions(outputs, "rollback")
    free = {"gate": {"verified": False}}
    for wanted in ("one@2", "one@3", "other"):
        versions(outputs, "promote", wanted, **free)
    versions(outputs, "promote", "other", **free)  # again: nothing is forgotten
    for expected in ("one@3", "one@2"):
        versions(outputs, "rollback")
        assert in_use(outputs) == expected
    with pytest.raises(InputError, match="has no earlier promotion"):
        versions(outputs, "rollback")
    pointer = read_pointer(outputs)
    assert pointer is not None
    assert [pointer.refuses(*wanted) for wanted in (("one", 2), ("one", 3), ("other", 1))] == [False, True, True]
    versions(outputs, "promote", "one@2", **free)
    assert not read_pointer(outputs).rolled_back  # type: ignore[union-attr]
    outputs.put("current.json", b"{}")
    with pytest.raises(InputError, match=r"current\.json is damaged"):
        versions(outputs, "list")


def test_a_sweep_keeps_what_is_in_use(outputs: LocalObjects, capsys: pytest.CaptureFixture[str]) -> None:
    versions(outputs, "promote", "one@1", gate={"verified": False})
    folder = LocalObjects(f"{outputs.uri}/half")  # a run is filling it
    folder.put(DESCRIBED, b"{}")
    capsys.readouterr()
    versions(outputs, "sweep", keep=1)
    assert capsys.readouterr().out == "deleted one@2\n"
    assert loaded(VersionReader.open(LocalObjects(f"{outputs.uri}/one"), 1)) == {"x": 1, "y": 1}
    versions(outputs, "promote", "other", gate={"verified": False})
    versions(outputs, "sweep", keep=1)
    assert capsys.readouterr().out.endswith("nothing to delete\n")  # one@1 is what a rollback goes to
    new = LocalObjects(f"{outputs.uri}/new")
    new.put(DESCRIBED, b"{}")
    run(new, {"a": {"x": 1}}, 9)
    versions(outputs, "promote", "new", gate={"verified": False})
    versions(outputs, "sweep", keep=2)
    assert capsys.readouterr().out.endswith("deleted one\n")
    assert {info.key.split("/")[0] for info in outputs.list()} == {"current.json", "other", "new", "half", "elsewhere"}


@pytest.mark.parametrize("action", ["promote", "rollback", "sweep"])
def test_killed_anywhere(
    outputs: LocalObjects, action: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    free = {"gate": {"verified": False}}
    versions(outputs, "promote", "one@1", **free)
    versions(outputs, "promote", "one@2", **free)
    for writes in range(40):
        with monkeypatch.context() as patch, suppress(Crash):
            patch.setattr(catalogue, "open_objects", lambda uri, _, writes=writes: Dying(uri, writes))
            versions(outputs, action, *(["other"] if action == "promote" else []), keep=1, **free)
            break
        name, _, sequence = str(in_use(outputs)).partition("@")
        reader = VersionReader.open(LocalObjects(f"{outputs.uri}/{name}"), int(sequence))
        assert loaded(reader)["x"] in (1, 2)
    assert in_use(outputs) == {"promote": "other@1", "rollback": "one@1", "sweep": "one@2"}[action]
    versions(outputs, "list")
    assert "in use" in capsys.readouterr().out
