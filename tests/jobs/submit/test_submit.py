"""What submit checks, stages and names before anything is sent (sending is tried in tests/cluster)."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from adaptor.errors import InputError
from jobs.config.loader import load
from jobs.config.submit import SubmissionSection, SubmitConfig
from jobs.submit.command import _checked, _name, run
from jobs.submit.staging import CONFIG_NAME, stage

EVALUATE = "source: {uri: s3://b/source}\nadaptor: {uri: s3://b/adaptor}\noutput: {uri: s3://b/report}\n"


@pytest.fixture
def evaluate(tmp_path: Path) -> Path:
    path = tmp_path / "evaluate.yaml"
    path.write_text(EVALUATE)
    return path


def _section(path: Path, **fields: object) -> SubmissionSection:
    return SubmissionSection.model_validate({"command": "evaluate", "config": str(path)} | fields)


def test_the_inner_configuration_is_checked_with_all_its_rules(evaluate: Path) -> None:
    evaluate.write_text(EVALUATE + "evaluation: {sampled_queries: 0, speed: fast}\n")
    with pytest.raises(InputError) as caught:
        run(SubmitConfig(submission=_section(evaluate, address="http://127.0.0.1:9")))
    assert "evaluation.sampled_queries" in str(caught.value)
    assert "evaluation.speed" in str(caught.value)


def test_overrides_reach_the_command(evaluate: Path) -> None:
    config = _checked(_section(evaluate, overrides={"evaluation.sampled_queries": "7", "source.uri": "/shared/source"}))
    document = config.model_dump()
    assert document["evaluation"]["sampled_queries"] == 7
    assert document["source"]["uri"] == "/shared/source"


def test_paths_that_only_this_machine_knows_are_refused(evaluate: Path) -> None:
    with pytest.raises(InputError) as caught:
        _checked(
            _section(
                evaluate,
                address="https://cluster.example:8265",
                overrides={"source.uri": "data/source", "queries.uri": "q.parquet"},
            )
        )
    assert "source.uri: data/source" in str(caught.value)
    assert "queries.uri: q.parquet" in str(caught.value)
    assert "output.uri" not in str(caught.value)


def test_a_cluster_on_this_machine_may_see_its_paths(
    evaluate: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(evaluate.parent)
    document = _checked(_section(evaluate, overrides={"source.uri": "data/source"})).model_dump()
    assert document["source"]["uri"] == str(evaluate.parent / "data/source")
    assert document["output"]["uri"] == "s3://b/report"
    assert "source.uri: data/source" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "hf_token", "DB_PASSWORD", "API_KEY"])
def test_secrets_do_not_travel_in_the_environment(tmp_path: Path, name: str) -> None:
    path = tmp_path / "submit.yaml"
    path.write_text(f"submission: {{command: fit, config: fit.yaml, environment: {{{name}: hunter2}}}}\n")
    with pytest.raises(InputError) as caught:
        load(SubmitConfig, path)
    assert f"submission.environment.{name}: the name looks like a secret" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("address", "cluster:8265", "http://host:port"),
        ("address", "ray://cluster:10001", "http://host:port"),
        ("job_id", "a b/c", r"must match pattern .\^\[A-Za-z0-9\]"),
        ("pip", "https://me:pw@index/x.whl", "user name or password"),
    ],
)
def test_what_the_submission_itself_may_not_be(tmp_path: Path, field: str, value: str, words: str) -> None:
    path = tmp_path / "submit.yaml"
    path.write_text("submission: {command: fit, config: fit.yaml}\n")
    with pytest.raises(InputError, match=words):
        load(SubmitConfig, path, [(f"submission.{field}", value)])


def test_the_staged_folder_runs_and_holds_code_and_configuration_only(root: Path, tmp_path: Path) -> None:
    stage(tmp_path, json.dumps({"source": {"uri": "s3://b/s"}}))
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.rsplit(".", 1)[1] for path in files - {CONFIG_NAME}} == {"py", "j2", "json"}
    assert {path.split("/")[0] for path in files} == {"adaptor", "cluster", "jobs", CONFIG_NAME}
    ended = subprocess.run(
        [sys.executable, "-m", "jobs", "evaluate", CONFIG_NAME],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ended.returncode == 2
    assert "adaptor" in ended.stderr
    assert CONFIG_NAME in ended.stderr


def test_every_file_that_the_packages_need_is_staged(root: Path, tmp_path: Path) -> None:
    stage(tmp_path, "{}")
    project = tomllib.loads((root / "pyproject.toml").read_text())
    data = project["tool"]["setuptools"]["package-data"]
    needed = {path for package, patterns in data.items() if package != "cluster" for pattern in patterns for path in
              (root / package.replace(".", "/")).glob(pattern)}  # fmt: skip
    needed |= {path for package in ("adaptor", "cluster", "jobs") for path in (root / package).rglob("*.py")}
    assert needed
    assert all((tmp_path / path.relative_to(root)).read_bytes() == path.read_bytes() for path in needed)


def test_the_name_tells_whether_it_is_the_same_job(evaluate: Path, tmp_path: Path) -> None:
    def staged(config: str) -> str:
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        return stage(folder, config)

    section = _section(evaluate)
    assert _name(section, staged("{}")) == _name(section, staged("{}"))
    assert _name(section, staged("{}")) != _name(section, staged('{"source": 1}'))
    assert _name(section, staged("{}")) != _name(_section(evaluate, environment={"A": "1"}), staged("{}"))
    assert _name(section, "0" * 64).startswith("matryoshka-evaluate-")
