"""Named recipes: sets of settings that are versioned as one, because they were measured as one.

`default` is what the schemas carry as their defaults. `paper` is arXiv 2407.20243 as published (objective top-k +
α·pairwise + β·reconstruction + γ·ranking with α = β = γ = 1, Adam 1e-3, batch 128, at most 5,000 iterations, patience
500, neighbours within 50,000 rows); depth, width and activation of its "shallow MLP" are not published: one hidden
layer of 512 ReLU units here.
"""

from __future__ import annotations

from typing import Any

from adaptor.settings import LossSettings, ModelSettings, Settings, TrainingSection, TrainingSettings


class Recipe(Settings):
    """Everything that shapes an adaptor, but for the sample and the dims."""

    model: ModelSettings = ModelSettings()
    loss: LossSettings = LossSettings()
    training: TrainingSettings = TrainingSettings()

    def with_training(self, chosen: TrainingSection) -> Recipe:
        """The same with the settings that are the user's."""
        training = self.training.model_copy(update=dict(chosen))
        return self.model_copy(update={"training": training})


#: Part of the adaptor's identity: raise it when a recipe's meaning changes.
RECIPE_VERSIONS = {"default": 9, "paper": 5}

RECIPES = {
    "default": Recipe(),
    "paper": Recipe(
        model=ModelSettings(architecture="mlp", initialisation="identity", hidden_units=512),
        loss=LossSettings(listwise=0, topk=1, pairwise=1, reconstruction=1, ranking=1, contrastive=0),
        training=TrainingSettings(
            steps=5000, query_steps=5000, learning_rate=1e-3, noise=0, candidates=0, schedule="constant", patience=500
        ),
    ),
}

#: What the paper's recipe says of settings that are the user's.
_PAPER: dict[str, dict[str, Any]] = {
    "training": {name: getattr(RECIPES["paper"].training, name) for name in ("steps", "query_steps", "learning_rate")},
    "mining": {"sample_rows": 50_000},
}


def fill(given: Any) -> Any:
    """Put the chosen recipe's settings under the given ones; anything that is not a mapping is left to the schema to
    refuse."""
    if not isinstance(given, dict):
        return given
    model = given.get("adaptor")
    if not (isinstance(model, dict) and model.get("recipe") == "paper"):
        return given
    filled = dict(given)
    for section, settings in _PAPER.items():
        own = given.get(section, {})
        filled[section] = {**settings, **own} if isinstance(own, dict) else own
    return filled
