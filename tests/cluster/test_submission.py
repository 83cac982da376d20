"""Jobs sent to a real head node: what comes back, under which name, and who is let in."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.head_node import HeadNode, environment

SEND = """
import sys
from pathlib import Path
from cluster.errors import ClusterError
from cluster.following import follow
from cluster.submission import SubmittedJob, job_client, send

address, name, entrypoint, folder = sys.argv[1:]
try:
    with job_client(address) as client:
        job = SubmittedJob(name, entrypoint, Path(folder), variables={"GREETING": "hello"})
        print("SENT", send(client, job), flush=True)
        ended = follow(client, name, lambda text: print(text, end="", flush=True))
        print("ENDED", ended.status.value, ended.driver_exit_code)
except ClusterError as error:
    print("REFUSED", error)
"""


def _send(
    root: Path, node: HeadNode, name: str, entrypoint: str, folder: Path, variables: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """A process of its own: Ray keeps its token for the life of a process."""
    return subprocess.Popen(
        [sys.executable, "-c", SEND, node.address, name, entrypoint, str(folder)],
        env=environment(node) if variables is None else variables,
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _output(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=100)[0]


def test_log_and_status_of_a_job_that_succeeds(root: Path, head_node: HeadNode, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text("import os\nfor i in range(30): print(os.environ['GREETING'], i)")
    output = _output(_send(root, head_node, "good", "python job.py", tmp_path))
    assert "SENT True" in output
    assert [line for line in output.splitlines() if line.startswith("hello")] == [f"hello {i}" for i in range(30)]
    assert "ENDED SUCCEEDED 0" in output
    again = _output(_send(root, head_node, "good", "python job.py", tmp_path))
    assert "REFUSED the job good has already run on this cluster (it succeeded)" in again
    assert "--submission.job_id good-2" in again


def test_a_job_that_fails_says_so(root: Path, head_node: HeadNode, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text("import sys\nprint('before')\nsys.exit('cannot go on')")
    output = _output(_send(root, head_node, "bad", "python job.py", tmp_path))
    assert output.count("cannot go on") == 1, "the log is not told twice"
    assert "ENDED FAILED 1" in output


def test_a_running_job_is_followed_not_doubled(root: Path, head_node: HeadNode, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(
        "import pathlib, time\nprint('first', flush=True)\n"
        f"while not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.1)\nprint('last')"
    )
    first = _send(root, head_node, "once", "python job.py", tmp_path)
    assert first.stdout is not None
    while "first" not in (line := first.stdout.readline()):
        assert line, "the job ended early"
    second = _send(root, head_node, "once", "python job.py", tmp_path)
    assert second.stdout is not None
    assert second.stdout.readline() == "SENT False\n"
    (tmp_path / "go").touch()
    for process in (first, second):
        output = _output(process)
        assert "last\n" in output
        assert "SUCCEEDED" in output
    # The second follower hears the whole log, from before it came.


def test_a_job_joins_the_cluster_and_its_workers_have_our_code(root: Path, head_node: HeadNode, tmp_path: Path) -> None:
    from jobs.submit.staging import stage

    stage(tmp_path, "{}")
    (tmp_path / "job.py").write_text(
        "import ray\nfrom cluster.session import connect\nfrom cluster.settings import ClusterSection\n"
        "@ray.remote\ndef where():\n"
        "    import adaptor\n    return adaptor.__file__, ray.get_runtime_context().gcs_address\n"
        "with connect(ClusterSection(address='local'), need_cpus=2):\n    print('AT', *ray.get(where.remote()))\n"
        "with connect(ClusterSection(), need_cpus=3): pass\n"
    )
    output = _output(_send(root, head_node, "joining", "python job.py", tmp_path))
    at = next(line for line in output.splitlines() if line.startswith("AT"))
    assert "runtime_resources/working_dir_files" in at
    assert at.endswith(head_node.gcs)
    assert "the cluster has 2 CPUs, this command needs 3 at once" in output


@pytest.mark.parametrize(
    ("token", "reason"), [("0" * 64, "the token is not the cluster's"), (None, "there is no token")]
)
def test_who_has_no_right_token_is_refused(
    root: Path, head_node: HeadNode, tmp_path: Path, token: str | None, reason: str
) -> None:
    node = replace(head_node, token=token) if token else None
    variables = environment(node, HOME=str(tmp_path))
    output = _output(_send(root, head_node, "refused", "true", tmp_path, variables))
    assert f"REFUSED the Ray cluster at {head_node.address} refused us: {reason}" in output
    assert head_node.token not in output


def test_nobody_at_the_address(root: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        node = HeadNode(f"http://127.0.0.1:{taken.getsockname()[1]}", "", "0" * 64)
        started = time.monotonic()
        output = _output(_send(root, node, "nobody", "true", tmp_path))
    assert "REFUSED no Ray cluster answers at" in output
    assert time.monotonic() - started < 30
