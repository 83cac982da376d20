"""One real head node for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.head_node import HeadNode, running_head_node


@pytest.fixture(scope="session")
def head_node() -> Iterator[HeadNode]:
    """A cluster of one node that asks for a token."""
    with running_head_node() as node:
        yield node
