"""Settings of all tests of the method."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> None:
    """The matrices of these tests are small: threads of torch would only wait for each other."""
    torch.set_num_threads(1)
