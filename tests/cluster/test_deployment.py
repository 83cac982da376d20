"""The files for Kubernetes and AWS keep the rules that make them safe, and the versions that make them work."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
from ruamel.yaml import YAML

from jobs.config.loader import SCHEMAS, load, split_arguments
from jobs.config.run import RunConfig
from jobs.version import VERSION


@pytest.fixture(scope="module")
def folder() -> Path:
    return Path(__file__).resolve().parents[2] / "cluster"


@pytest.fixture(scope="module")
def pinned(folder: Path) -> dict[str, str]:
    lines = (folder.parent / "constraints.txt").read_text().splitlines()
    return dict(line.split("==", 1) for line in lines if "==" in line)


@pytest.fixture(scope="module")
def documents(folder: Path) -> dict[str, Any]:
    """The Kubernetes objects by kind."""
    return {document["kind"]: document for document in YAML(typ="safe").load_all(folder / "kuberay.yaml")}


@pytest.fixture(scope="module")
def launcher(folder: Path) -> Any:
    return YAML(typ="safe").load(folder / "ray-cluster.yaml")


def _pods(documents: dict[str, Any]) -> dict[str, Any]:
    spec = documents["RayJob"]["spec"]
    cluster = spec["rayClusterSpec"]
    workers = {group["groupName"]: group["template"] for group in cluster["workerGroupSpecs"]}
    return {"submitter": spec["submitterPodTemplate"], "head": cluster["headGroupSpec"]["template"]} | workers


def _containers(documents: dict[str, Any]) -> Iterator[Any]:
    for pod in _pods(documents).values():
        yield from pod["spec"]["containers"]


def test_nothing_floats(folder: Path, documents: dict[str, Any], launcher: Any) -> None:
    images = [container["image"] for container in _containers(documents)] + [launcher["docker"]["image"]]
    assert {image.rsplit(":", 1)[1] for image in images} == {VERSION}
    for path in [folder / "Dockerfile", *folder.glob("*.yaml")]:
        assert "latest" not in path.read_text(), path
    assert re.search(r"^ARG BASE=python:3\.11\.\d+-slim-\w+$", (folder / "Dockerfile").read_text(), re.MULTILINE)


def test_versions_are_those_of_the_constraints(
    folder: Path, documents: dict[str, Any], launcher: Any, pinned: dict[str, str]
) -> None:
    assert documents["RayJob"]["spec"]["rayClusterSpec"]["rayVersion"] == pinned["ray"]
    text = (folder / "ray-cluster.yaml").read_text()
    assert f"Ray {pinned['ray']}" in text
    # boto3 is released with botocore, under the same number.
    assert set(re.findall(r"boto3==([\d.]+)", text)) == {pinned["botocore"]}
    assert "-c constraints.txt" in (folder / "Dockerfile").read_text()


def test_the_image_runs_as_an_ordinary_user(folder: Path) -> None:
    users = re.findall(r"^USER (.+)$", (folder / "Dockerfile").read_text(), re.MULTILINE)
    assert users[-1] == "1000:1000"


def test_pods_have_no_more_rights_than_they_need(documents: dict[str, Any]) -> None:
    for name, pod in _pods(documents).items():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        if name != "submitter":
            assert spec["serviceAccountName"] == documents["ServiceAccount"]["metadata"]["name"], name
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}, name


def test_memory_is_what_is_asked_for_and_shared_memory_is_real(documents: dict[str, Any]) -> None:
    for container in _containers(documents):
        resources = container["resources"]
        assert resources["requests"]["memory"] == resources["limits"]["memory"]
    for name, pod in _pods(documents).items():
        if name != "submitter":
            mounts = {m["mountPath"]: m["name"] for m in pod["spec"]["containers"][0]["volumeMounts"]}
            volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
            assert volumes[mounts["/dev/shm"]]["emptyDir"]["medium"] == "Memory"


def test_the_job_asks_for_a_token_resumes_and_cleans_up(documents: dict[str, Any]) -> None:
    job = documents["RayJob"]
    assert job["apiVersion"] == "ray.io/v1"
    spec = job["spec"]
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["backoffLimit"] >= 1
    cluster = spec["rayClusterSpec"]
    assert cluster["authOptions"]["mode"] == "token"
    assert cluster["authOptions"]["secretName"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    label = documents["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]
    assert all(label.items() <= pod["metadata"]["labels"].items() for pod in _pods(documents).values())


def test_the_configuration_in_it_is_one(documents: dict[str, Any], tmp_path: Path) -> None:
    job, config_map = documents["RayJob"], documents["ConfigMap"]
    (name,) = config_map["data"]
    assert job["spec"]["entrypoint"] == f"matryoshka run /etc/matryoshka/{name}"
    (tmp_path / name).write_text(config_map["data"][name])
    config = load(RunConfig, tmp_path / name)
    group = job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]
    cores = group["replicas"] * int(group["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"])
    needed = config.cluster.max_workers * config.cluster.cpus_per_worker
    assert needed < cores, "Ray Data needs a core beside the actors"


def _block(folder: Path, language: str) -> str:
    """The one block of code in this language that the README has."""
    (block,) = re.findall(rf"```{language}\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    return str(block)


def _submits_a_run(command: str) -> None:
    """The configuration that a command sends is there, and is one of `run`."""
    _, verb, *arguments = command.split()
    files, flags = split_arguments(arguments)
    submitted = load(SCHEMAS[verb], Path(files[0]), flags)
    assert submitted.model_dump()["submission"]["command"] == "run"
    load(RunConfig, Path(submitted.model_dump()["submission"]["config"]))


def test_the_nightly_job_of_kubernetes_wraps_the_other(folder: Path) -> None:
    nightly = YAML(typ="safe").load(_block(folder, "yaml"))
    assert (nightly["apiVersion"], nightly["kind"]) == ("ray.io/v1", "RayCronJob")
    assert len(nightly["spec"]["schedule"].split()) == 5
    assert set(nightly["spec"]) == {"schedule", "jobTemplate"}


def test_the_cron_line_and_the_airflow_dag_submit_a_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    times, command = re.match(r"((?:\S+ ){5})cd \S+ && (matryoshka .*?) >>", _block(folder, "crontab")).groups()  # type: ignore[union-attr]
    assert times.split() == ["0", "2", "*", "*", "*"]
    _submits_a_run(command.replace("$(date +\\%F)", "2026-11-30"))
    tree = ast.parse(_block(folder, "python"))
    (operator,) = (
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "BashOperator"
    )
    bash = next(ast.literal_eval(keyword.value) for keyword in operator.keywords if keyword.arg == "bash_command")
    _submits_a_run(bash.replace("{{ ds }}", "2026-11-30"))


def test_the_launcher_file_is_one(launcher: Any) -> None:
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    assert list(jsonschema.validators.validator_for(schema)(schema).iter_errors(launcher)) == []


def test_the_launcher_leaves_nothing_to_the_defaults_of_ray(launcher: Any) -> None:
    profiles = {
        name: kind["node_config"]["IamInstanceProfile"]["Name"]
        for name, kind in launcher["available_node_types"].items()
    }
    assert len(set(profiles.values())) == 2, "head and workers have different rights"
    for kind in launcher["available_node_types"].values():
        assert kind["node_config"]["SecurityGroupIds"]
        assert kind["node_config"]["MetadataOptions"]["HttpTokens"] == "required"
    assert launcher["setup_commands"] == [], "or a nightly build of Ray is installed"
    for start in (launcher["head_start_ray_commands"][-1], launcher["worker_start_ray_commands"][-1]):
        assert "RAY_AUTH_MODE=token" in start
        assert "RAY_AUTH_TOKEN_PATH=" in start
    assert "--dashboard-host=127.0.0.1" in launcher["head_start_ray_commands"][-1]


@pytest.mark.parametrize("name", ["head", "worker"])
def test_roles_allow_named_actions_on_named_things(folder: Path, launcher: Any, name: str) -> None:
    policy = json.loads((folder / "iam" / f"{name}.json").read_text())
    for statement in policy["Statement"]:
        actions, resources = statement["Action"], statement["Resource"]
        assert all("*" not in action for action in actions), statement["Sid"]
        if "*" in ([resources] if isinstance(resources, str) else resources):
            # These cannot be limited to a resource, and change nothing.
            assert all(re.match(r"ec2:Describe|ecr:GetAuthorizationToken$", action) for action in actions), statement[
                "Sid"
            ]
        if {"ec2:TerminateInstances", "ec2:CreateTags", "iam:PassRole"} & set(actions):
            assert "Condition" in statement, statement["Sid"]
    tags = re.findall(r'ray-cluster-name": "([^"]+)"', json.dumps(policy))
    assert set(tags) <= {launcher["cluster_name"]}
