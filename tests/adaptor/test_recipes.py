"""A recipe's version says which settings it stands for: they may not change behind it."""

from __future__ import annotations

import pytest

from adaptor.identity import canonical, sha256
from adaptor.recipes import RECIPE_VERSIONS, RECIPES, fill
from adaptor.settings import MiningSettings, TrainingSection

#: Recipe and version → hash of all its settings.
RECORDED = {
    ("default", 9): "a35740d346a72cb312c459daa69a0ccf5d6049aa35c8ee997acabf5cca0c5102",
    ("paper", 5): "11875724fe161f818bbd5a5099d00b52ab8f9fb8a9f6923bae355891f2dc4b14",
}


@pytest.mark.parametrize("recipe", RECIPE_VERSIONS)
def test_settings_do_not_change_without_a_new_recipe_version(recipe: str) -> None:
    filled = fill({"adaptor": {"recipe": recipe}})
    training = TrainingSection.model_validate(filled.get("training", {}))
    mining = MiningSettings.model_validate(filled.get("mining", {}))
    settings = [shape.model_dump(mode="json") for shape in (RECIPES[recipe].with_training(training), mining)]
    version, found = RECIPE_VERSIONS[recipe], sha256(canonical(settings))
    assert RECORDED.get((recipe, version)) == found, (
        f"the settings of recipe {recipe} are not those recorded for version {version}: raise its version in "
        f"adaptor/recipes.py where they change what a fit does, and record {(recipe, version)}: {found!r} here"
    )
