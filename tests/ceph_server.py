"""Ceph's S3 gateway as a second, independent server for the same tests: `make test-ceph`.

One monitor, one storage daemon that keeps everything in memory, and radosgw, on free ports of loopback, which know
each other by one key. They come from Debian's packages ceph-mon, ceph-osd, radosgw and ceph-common.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from tests.s3_server import ACCESS_KEY, SECRET_KEY, S3Server, free_ports

_PROGRAMS = ("monmaptool", "ceph-authtool", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph")
_START_SECONDS = 60
_CONFIG = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]
mon initial members = a
mon data = {folder}/mon
mon data avail crit = 1
mon allow pool size one = true
mon max pg per osd = 2000
keyring = {folder}/keyring
public addr = 127.0.0.1
ms bind ipv6 = false
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
crash dir = {folder}/crash
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw dns name = 127.0.0.1
"""


@contextmanager
def running_ceph(folder: Path) -> Iterator[S3Server]:
    """Start the three daemons (about 20 s) and kill them at the end."""
    if missing := [name for name in _PROGRAMS if shutil.which(name) is None]:
        pytest.fail(f"{', '.join(missing)} missing: apt-get install ceph-mon ceph-osd radosgw ceph-common")
    v2, v1, port = free_ports(3)
    fsid, config = str(uuid4()), folder / "ceph.conf"
    config.write_text(_CONFIG.format(fsid=fsid, folder=folder, v2=v2, v1=v1, port=port))
    for name in ("mon", "osd", "rgw", "crash"):
        (folder / name).mkdir()
    cluster = _Cluster(config)
    addresses = f"[v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]"
    try:
        _run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", addresses, str(folder / "monmap"))
        keyring = str(folder / "keyring")
        for name, daemons in (("mon.", ("mon",)), ("client.admin", ("mon", "osd", "mgr"))):
            caps = [part for daemon in daemons for part in ("--cap", daemon, "allow *")]
            create = () if Path(keyring).exists() else ("--create-keyring",)
            _run("ceph-authtool", keyring, *create, "--gen-key", "-n", name, *caps)
        cluster.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(folder / "monmap"), "--keyring", keyring)
        cluster.start("ceph-mon", "-i", "a")
        uuid = str(uuid4())
        cluster.run("ceph", "--connect-timeout", "60", "osd", "new", uuid)
        allowed = ("mon", "allow *", "osd", "allow *")
        cluster.run("ceph", "auth", "get-or-create", "osd.0", *allowed, "-o", str(folder / "osd.keyring"))
        _run("ceph-authtool", keyring, "--import-keyring", str(folder / "osd.keyring"))
        cluster.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", uuid)
        cluster.start("ceph-osd", "-i", "0")
        cluster.start("radosgw", "-n", "client.admin")
        keys = ("--access-key", ACCESS_KEY, "--secret", SECRET_KEY)
        cluster.run("radosgw-admin", "user", "create", "--uid", "test", "--display-name", "test", *keys)
        _wait_until_ready(port, folder)
        environment = {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
            # This version knows none of the checksums that AWS's clients send by default.
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }
        yield S3Server(f"http://127.0.0.1:{port}", environment, "")
    finally:
        cluster.kill()


class _Cluster:
    """The daemons of one configuration file."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._daemons: list[subprocess.Popen[bytes]] = []

    def run(self, program: str, *arguments: str) -> None:
        """Run a command to its end."""
        _run(program, "-c", str(self._config), *arguments)

    def start(self, program: str, *arguments: str) -> None:
        """Start a daemon in the foreground of a process of its own."""
        with open(self._config.with_name(f"{program}.out"), "wb") as out:
            command = [program, "-f", "-c", str(self._config), *arguments]
            self._daemons.append(
                subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True)
            )

    def kill(self) -> None:
        """SIGKILL to all: nothing of it is needed any more."""
        for daemon in self._daemons:
            os.killpg(daemon.pid, signal.SIGKILL)
            daemon.wait()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_START_SECONDS, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}"[-2000:])


def _wait_until_ready(port: int, folder: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"radosgw was not ready in {_START_SECONDS} s: see {folder}")
