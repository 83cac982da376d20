"""A recipe's version says which settings it stands for: they may not change behind it."""

from __future__ import annotations

import pytest

from adaptor.identity import canonical, sha256
from adaptor.recipes import RECIPE_VERSIONS, fill
from adaptor.settings import LossSettings, MiningSettings, ModelSettings, Settings, TrainingSettings

SECTIONS: dict[str, type[Settings]] = {
    "adaptor": ModelSettings,
    "loss": LossSettings,
    "training": TrainingSettings,
    "mining": MiningSettings,
}
#: Recipe and version → hash of all its settings.
RECORDED = {
    ("default", 8): "fac599949b414c7507ee4bd3efec71ea680c569230b85ddce1fe4dd72e7c6fb3",
    ("paper", 5): "da8ed03d94fde3cd05bf2ad6e923ccd7999e80c87dd06d0fe65e2695fd42c73d",
}


@pytest.mark.parametrize("recipe", RECIPE_VERSIONS)
def test_settings_do_not_change_without_a_new_recipe_version(recipe: str) -> None:
    filled = fill({"adaptor": {"recipe": recipe}})
    settings = {
        name: schema.model_validate(filled.get(name, {})).model_dump(mode="json") for name, schema in SECTIONS.items()
    }
    version, found = RECIPE_VERSIONS[recipe], sha256(canonical(settings))
    assert RECORDED.get((recipe, version)) == found, (
        f"the settings of recipe {recipe} are not those recorded for version {version}: raise its version in "
        f"adaptor/recipes.py where they change what a fit does, and record {(recipe, version)}: {found!r} here"
    )
