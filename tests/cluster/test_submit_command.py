"""`matryoshka submit` from end to end: our own command line here, our own command line on the cluster."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.head_node import HeadNode, environment


def _submit(root: Path, node: HeadNode, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "jobs", "submit", "--submission.address", node.address, *arguments]
    return subprocess.Popen(
        command, env=environment(node), cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _quietly(command: list[str], node: HeadNode) -> int:
    return subprocess.run(command, env=environment(node), capture_output=True, timeout=100).returncode


def test_the_command_runs_there_and_its_failure_comes_back(root: Path, head_node: HeadNode, tmp_path: Path) -> None:
    config = tmp_path / "evaluate.yaml"
    config.write_text(
        f"source: {{uri: {tmp_path}/missing}}\nadaptor: {{uri: {tmp_path}}}\noutput: {{uri: {tmp_path}}}\n"
    )
    flags = ["--submission.command", "evaluate", "--submission.config", str(config)]
    process = _submit(root, head_node, *flags, "--submission.overrides.cluster.workers", "1")
    out, err = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "matryoshka evaluate: " in out, "the job's own message is in the log"
    assert "Traceback" not in out + err
    assert "failed (exit code 2)" in err
    process = _submit(root, head_node, *flags, "--submission.overrides.cluster.workers", "1")
    _, err = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "has already run on this cluster (it failed)" in err


def test_interrupt_leaves_the_job_running(root: Path, head_node: HeadNode, tmp_path: Path) -> None:
    config = tmp_path / "evaluate.yaml"
    config.write_text(
        f"source: {{uri: {tmp_path}/missing}}\nadaptor: {{uri: {tmp_path}}}\noutput: {{uri: {tmp_path}}}\n"
    )
    (tmp_path / "wait.sh").write_text("echo begun\nsleep 300\n")  # a file: versions differ in how they quote a command
    other = f"ray job submit --no-wait --address {head_node.address} --submission-id waiting -- sh {tmp_path}/wait.sh"
    assert _quietly(other.split(), head_node) == 0
    flags = ["--submission.command", "evaluate", "--submission.config", str(config), "--submission.job_id", "waiting"]
    process = _submit(root, head_node, *flags)
    assert process.stdout is not None
    while "begun" not in (line := process.stdout.readline()):
        assert line
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "is running already: following it, nothing new was sent" in err
    assert "the job goes on" in err
    stop = f"ray job stop --address {head_node.address} waiting"
    assert stop in err
    assert _quietly(stop.split(), head_node) == 0


def test_nothing_is_sent_when_the_configuration_is_wrong(root: Path, head_node: HeadNode, tmp_path: Path) -> None:
    config = tmp_path / "evaluate.yaml"
    config.write_text("source: {uri: s3://bucket/source}\nadaptor: {url: s3://bucket/a}\n")
    process = _submit(root, head_node, "--submission.command", "evaluate", "--submission.config", str(config))
    out, err = process.communicate(timeout=100)
    assert process.returncode == 2
    assert not out
    assert "adaptor.url" in err
    assert "output" in err
