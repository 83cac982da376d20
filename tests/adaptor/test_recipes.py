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
    ("default", 8): "b14e4db52e4bb6e12bbbe11316d79048e360e37a1f0692f542ecb1d509a335f5",
    ("paper", 5): "64c9ba6d2e9b6ef556bb11c9c7206cb33b62dbbcc805b078ecf10e736d08ab71",
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
