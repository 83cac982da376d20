"""What a user may write in a file and on the command line, and what is said when it is wrong."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from adaptor import InputError
from adaptor.settings import Settings
from jobs.config.compress import CompressConfig
from jobs.config.evaluate import EvaluateConfig
from jobs.config.fit import FitConfig
from jobs.config.loader import SCHEMAS, load, resolved, split_arguments
from jobs.config.submit import SubmitConfig
from tests.jobs.config.loading import FIT, fit, problems


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def _write(text: str, name: str = "fit.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return _write


def test_texts_that_are_not_utf8_are_refused() -> None:
    flags = [("source.uri", "in"), ("output.uri", "/\udcff"), ("source.id_column", "a\udcff")]
    with pytest.raises(InputError) as caught:
        load(FitConfig, None, flags)
    assert "output.uri: must be UTF-8, got '/\\udcff' (command line)" in str(caught.value)
    assert "source.id_column: must be UTF-8, got 'a\\udcff' (command line)" in str(caught.value)


def test_every_problem_is_listed_with_path_rule_value_and_origin(write: Any) -> None:
    path = write(
        "source: {uri: in, metrik: cosine}\n"
        "training:\n"
        "  steps: fast\n"
        "  step: 10\n"
        "  batch: true\n"
        "adaptor: {dims: [64, 32]}\n"
        "mining: {bad_rows: tree}\n"
    )
    found = problems(FitConfig, path, "--training.learning_rat", "1", "--cluster.workers", "two", "--mining.held_out=2")
    assert sorted(found) == sorted(
        [
            f"source.metrik: there is no such field (did you mean source.metric?), got 'cosine' ({path}, line 1)",
            f"training.steps: must be a whole number, got 'fast' ({path}, line 3)",
            f"training.step: there is no such field (did you mean training.steps?), got '10' ({path}, line 4)",
            f"training.batch: must be a whole number, got 'true' ({path}, line 5)",
            f"mining.bad_rows: must be 'stop' or 'skip', got 'tree' ({path}, line 7)",
            f"adaptor: dims must be positive and strictly ascending, got [64, 32] ({path}, line 6)",
            "training.learning_rat: there is no such field (did you mean training.learning_rate?), got '1' (command "
            "line)",
            "cluster.workers: must be a whole number, got 'two' (command line)",
            "mining.held_out: must be less than 0.9, got '2' (command line)",
            "output.uri: is required",
        ]
    )


def test_a_rule_across_sections_is_told_once_each_section_is_right(write: Any) -> None:
    path = write(FIT + "qrels: {uri: q}\n")
    assert problems(FitConfig, path, "--training.steps", "fast") == [
        "training.steps: must be a whole number, got 'fast' (command line)"
    ]
    assert problems(FitConfig, path) == ["qrels: judgments (q) need queries: give them, or drop qrels"]


def test_without_a_file_flags_alone_are_a_configuration() -> None:
    config = fit(None, "--source.uri", "s3://b/v", "--output.uri=out=1", "--training.steps", "7")
    assert (config.source.uri, config.output.uri, config.training.steps) == ("s3://b/v", "out=1", 7)


def test_without_anything_each_required_field_is_named() -> None:
    required = ["source.uri", "adaptor.uri", "output.uri", "output.dim"]
    assert [line.split(":")[0] for line in problems(CompressConfig, None)] == required


def test_an_empty_uri_is_refused() -> None:
    """`--output.uri "$OUT"` with OUT unset must not write to the root of the disk."""
    flags = ("--source.uri", "in", "--adaptor.uri", "", "--output.dim", "8", "--output.uri", "")
    assert problems(CompressConfig, None, *flags) == [
        "adaptor.uri: must have at least 1 character, got '' (command line)",
        "output.uri: must have at least 1 character, got '' (command line)",
    ]


@pytest.mark.parametrize("value", ["inf", ".inf", "nan"])
def test_numbers_that_are_none_are_refused(value: str) -> None:
    flags = ("--source.uri", "a", "--output.uri", "b", "--cluster.stalled_seconds", value)
    assert [problem.split(":")[0] for problem in problems(FitConfig, None, *flags)] == ["cluster.stalled_seconds"]


def test_a_flag_wins_over_the_file(write: Any) -> None:
    assert fit(write(FIT + "training: {steps: 5, batch: 9}\n"), "--training.steps", "6").training.steps == 6
    assert fit(write(FIT + "training: {steps: 5, batch: 9}\n"), "--training.steps", "6").training.batch == 9


@pytest.mark.parametrize("text", ["16,32,64", "[16, 32, 64]", " 16, 32,64,"])
def test_lists_on_the_command_line(write: Any, text: str) -> None:
    assert fit(write(FIT), "--adaptor.dims", text).adaptor.dims == (16, 32, 64)


def test_a_list_in_yaml_and_a_bad_item_in_one(write: Any) -> None:
    path = write(FIT + "adaptor: {dims: [16, 32]}\n")
    assert fit(path).adaptor.dims == (16, 32)
    assert problems(FitConfig, path, "--adaptor.dims", "16,x") == [
        "adaptor.dims: must be a whole number, got ['16', 'x'] (command line)"
    ]


def test_null_empties_what_may_be_empty_and_is_text_elsewhere(write: Any) -> None:
    config = fit(
        write(FIT + "mining: {nprobe: 64}\n"),
        "--mining.nprobe",
        "null",
        "--source.uri",
        "null",
    )
    assert config.mining.nprobe is None
    assert config.source.uri == "null"


def test_text_fields_take_the_text_as_it_is(write: Any) -> None:
    path = write(FIT + "queries: {uri: q, split: 2024-01-01}\nqrels: {uri: r, split: no}\n")
    config = fit(path, "--source.id_column", "1e3", "--source.vector_column=true")
    assert (config.source.id_column, config.source.vector_column) == ("1e3", "true")
    assert config.queries is not None
    assert config.queries.split == "2024-01-01"
    assert config.qrels is not None
    assert config.qrels.split == "no"


def test_optional_sections_can_be_made_and_dropped_by_flags(write: Any) -> None:
    path = write(FIT + "queries: null\nqrels: {uri: r}\n")
    assert fit(path, "--queries.uri", "q").queries is not None
    assert fit(path, "--qrels", "null").qrels is None
    again = fit(path, "--qrels", "null", "--qrels.uri", "s", "--queries.uri", "q").qrels
    assert again is not None
    assert again.uri == "s"


def test_keys_of_a_mapping_may_hold_dots(write: Any) -> None:
    path = write("submission: {command: fit, config: fit.yaml, overrides: {training.steps: 5, adaptor.dims: '16,32'}}")
    arguments = ["--submission.overrides.training.seed", "1", "--submission.environment.A_B=c"]
    flags = split_arguments([*arguments, "--submission.overrides.qrels", "null"])[1]
    submission = load(SubmitConfig, path, flags).submission
    assert submission.overrides == {
        "training.steps": "5",
        "adaptor.dims": "16,32",
        "training.seed": "1",
        "qrels": "null",
    }
    assert submission.environment == {"A_B": "c"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--training.steps"], "--training.steps: needs a value"),
        (["--training.steps", "--training.seed", "1"], "--training.steps: needs a value"),
        (["--training.seed", "1", "--training.seed", "2"], "--training.seed: is given twice"),
        (["--training", "5"], "training: must be a section of fields, got '5'"),
        (["--steps", "5"], "steps: there is no such field (did you mean training.steps?)"),
        (["--", "5"], "there is no such field (--help lists all), got '5' (command line)"),
        (["--source.uri.x", "5"], "source.uri.x: there is no such field"),
        (["--training.steps", "-1"], "training.steps: must be greater than or equal to 0, got '-1' (command line)"),
        (["--training.learning_rate", "nan"], "training.learning_rate: must be a finite number, got 'nan'"),
        (["--source.filesystem.role_arn", "x"], "source.filesystem: role_arn and credentials: role go together"),
    ],
)
def test_flags_that_cannot_be_used(write: Any, arguments: list[str], said: str) -> None:
    (problem,) = problems(FitConfig, write(FIT), *arguments)
    assert problem.startswith(said)
    assert problem.endswith("(command line)")


def test_a_section_that_is_none_is_refused_even_when_flags_name_its_fields(write: Any) -> None:
    (problem,) = problems(FitConfig, write(FIT + "training: 5\n"), "--training.steps", "3")
    assert problem.startswith("training: must be a section of fields, got '5'")


def test_the_recipe_fills_only_what_is_not_given(write: Any) -> None:
    config = fit(write(FIT), "--adaptor.recipe", "paper", "--training.steps", "9")
    recipe = config.recipe
    assert (recipe.model.architecture, recipe.loss.listwise, recipe.training.candidates) == ("mlp", 0, 0)
    assert (config.training.steps, recipe.training.steps, recipe.training.query_steps) == (9, 9, 5000)


@pytest.mark.parametrize("verb", SCHEMAS)
def test_the_resolved_configuration_is_a_configuration(verb: str, root: Path, tmp_path: Path) -> None:
    config = load(SCHEMAS[verb], root / "configs" / f"{verb}.yaml")
    (tmp_path / "config.json").write_text(resolved(config), encoding="utf-8")
    assert load(SCHEMAS[verb], tmp_path / "config.json") == config
    assert json.loads(resolved(config)) == config.model_dump(mode="json")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
@settings(deadline=None)  # the machine may be busy
def test_any_text_survives_the_resolved_configuration(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    config = fit(None, "--source.uri", "in", "--output.uri", "out", f"--source.id_column={text}")
    path = tmp_path_factory.mktemp("round") / "config.json"
    path.write_text(resolved(config), encoding="utf-8")
    assert fit(path) == config


def test_flags_change_one_of_the_sections_that_share_an_anchor(write: Any) -> None:
    path = write("source: {uri: in, filesystem: &same {region: a}}\noutput: {uri: out, filesystem: *same}\n")
    config = fit(path, "--source.filesystem.region", "b")
    assert (config.source.filesystem.region, config.output.filesystem.region) == ("b", "a")


@pytest.mark.parametrize("schema", [FitConfig, EvaluateConfig])
def test_queries_and_judgments_are_reached_as_the_source_is(schema: type[FitConfig] | type[EvaluateConfig]) -> None:
    named = ("source", "output", "queries", "qrels", *(["adaptor"] if schema is EvaluateConfig else []))
    flags = [(f"{name}.uri", name) for name in named] + [("source.filesystem.region", "b")]
    config = pickle.loads(pickle.dumps(load(schema, None, flags)))  # noqa: S301  # as it travels to a worker
    assert config.queries.filesystem == config.qrels.filesystem == config.source.filesystem
    assert config.queries.filesystem.region == "b"
    with pytest.raises(InputError, match=r"queries\.filesystem: there is no such field"):
        load(schema, None, [*flags, ("queries.filesystem", "{}")])


@pytest.mark.parametrize("field", ["workers", "cpus_per_worker", "gpus_per_worker", "max_failures"])
def test_numbers_beyond_any_cluster_are_refused(field: str) -> None:
    (found,) = problems(FitConfig, None, "--source.uri", "a", "--output.uri", "b", f"--cluster.{field}", str(10**30))
    assert found.startswith(f"cluster.{field}: must be less than or equal to 9007199254740992")


def test_numbers_beyond_any_source_are_refused() -> None:
    huge = "99999999999999999999999"
    found = problems(CompressConfig, None, "--reading.split_bytes", huge, "--reading.batch_rows", str(1 << 53))
    assert (
        "reading.split_bytes: must be at most 9007199254740992, got '99999999999999999999999' (command line)" in found
    )
    assert not [line for line in found if line.startswith("reading.batch_rows")]


class _Part(Settings):
    width: Annotated[int, Field(ge=2)] | Literal["auto"] | None = "auto"


class _Whole(Settings):
    part: _Part = _Part()


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("1", "must be greater than or equal to 2 or must be 'auto'"),
        ("much", "must be a whole number or must be 'auto'"),
    ],
)
def test_a_field_that_may_be_one_thing_or_another_is_told_once(value: str, rule: str) -> None:
    assert problems(_Whole, None, "--part.width", value) == [f"part.width: {rule}, got '{value}' (command line)"]


def test_a_snapshot_may_be_written_as_a_number(tmp_path: Path) -> None:
    file = tmp_path / "inspect.yaml"
    file.write_text("source: {uri: x, snapshot: 7, files: {include: ['*.pq', x], exclude: [y]}}")
    source = load(SCHEMAS["inspect"], file, [("source.files.exclude", "a,b")]).model_dump()["source"]
    assert (source["snapshot"], source["files"]["include"], source["files"]["exclude"]) == (
        "7",
        ("*.pq", "x"),
        ("a", "b"),
    )
