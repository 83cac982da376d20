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
    ("default", 7): "d465a5c68d55c764c04c65f3960513fa47af1a52fcc0829665922e79bdf6fefc",
    ("paper", 4): "8adbdaac7a9f8b818d89c1e9ad580e252f85514121a41fc15fbadee5d79ef84f",
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
