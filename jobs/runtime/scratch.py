"""Local folders for files on their way to the output; those of killed processes are swept up by the next one."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from adaptor.errors import RunError

_LOCK = "lock"
_PREFIX = f"matryoshka-{os.getuid()}-"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A fresh folder in the system's temporary folder (TMPDIR), which nobody else may enter, removed at the end."""
    while True:
        with ExitStack() as until_the_end:
            try:
                temporary = TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
                folder = Path(until_the_end.enter_context(temporary))
                # The lock goes with the process, however that ends: whoever can take it knows that the owner is gone.
                lock = until_the_end.enter_context(open(folder / _LOCK, "xb"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError as error:
                raise RunError(
                    f"no scratch folder can be made ({error}): free space in the temporary folder, or set TMPDIR to a "
                    "folder on a local disk that this user may write to"
                ) from error
            if os.path.exists(lock.name):  # no sweeper came between making the lock and taking it
                yield folder
                return


def sweep() -> None:
    """Remove the folders whose process is gone."""
    for folder in Path(gettempdir()).glob(f"{_PREFIX}*"):
        # An error: it is in use, not made completely yet, or swept by a neighbour.
        with suppress(OSError):
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                continue  # another user's, who has guessed the name
            with open(folder / _LOCK, "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
