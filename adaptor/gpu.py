"""Whether there is a GPU, asked without importing torch where there is none."""

from __future__ import annotations

from pathlib import Path

#: One of these is there where a driver is: in containers the first may be hidden; the last is Windows' (WSL).
_DRIVERS = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")


def gpu_seen() -> bool:
    """Whether torch sees a GPU; it is asked only where there is a driver, because importing it takes seconds."""
    if not any(Path(driver).exists() for driver in _DRIVERS):
        return False
    import torch

    return torch.cuda.is_available()
