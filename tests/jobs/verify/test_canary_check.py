"""Verify opens every codec that the adaptor's canary covers."""

from __future__ import annotations

import pytest

from adaptor.artefact import with_canary
from tests.jobs.compress.workplace import Workplace
from tests.jobs.evaluate.inputs import save_adaptor

pytestmark = pytest.mark.usefixtures("ray_cluster")


def test_an_adaptor_that_computes_otherwise_here_is_seen(workplace: Workplace) -> None:
    assert workplace.compress() == 0
    _, before = workplace.verify()
    assert before["checks"]["canary"] == "not checked"  # this adaptor has none
    fitted = with_canary(workplace.adaptor)
    save_adaptor(fitted, workplace.root / "adaptor")
    _, sound = workplace.verify()
    assert set(sound["checks"].values()) == {"ok"}
    canary = {name: tensor.copy() for name, tensor in fitted.canary.items()}
    canary["int4_8"][2, 1] ^= 0x10
    save_adaptor(with_canary(fitted, canary), workplace.root / "adaptor")
    status, summary = workplace.verify()
    assert status == 1
    (finding,) = summary["findings"]
    assert (finding["check"], "entry 1 of vector 2" in finding["problem"]) == ("canary", True)
