"""The stages of a fit, one after the other, and what comes out of them.

Without labels: a rotation of the leading block, then a free matrix of that block and half as many coordinates again,
for outputs that are narrower than the block.
With labels: the rotation, then a free matrix of all coordinates. Between stages the held-out rows have a word
(settling.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from adaptor.batches import LABELS, NARROW, ROTATION
from adaptor.model import Form, Linear, Orthogonal, freed, narrow_reach, new_form
from adaptor.settings import ModelSettings
from adaptor.settling import Settled, settle, settle_narrow
from adaptor.training import Job, Look, State, train

_TURNED = "rotation"


def train_stages(job: Job, model: ModelSettings, state: State | None, on_look: Callable[[Look], None]) -> State:
    """Run all stages, from the start or from a state that `on_look` was given; the state in which they ended, which on
    the first worker holds the best weights."""
    form = _new(job, model).to(job.device)
    state = ended = state or State(ROTATION)
    if state.stage == ROTATION:
        train(form, job, state, on_look)
        following = _following(form, job)
        if following is None:
            return ended
        state = State(following)
        if job.world.rank == 0:
            settled = settle(form, job.data, job.widths, job.metric)
            form, state.notes = settled.form, settled.held_back
            if following == NARROW:
                state.tensors.update(_turned(form, job))
    if state.stage == LABELS:
        train(freed(form, job.data.corpus.shape[1]).to(job.device), job, state, on_look)
        return state
    turned = state.tensors.get(_TURNED)
    leading = job.tell(0 if turned is None else len(turned))
    if not leading:  # nothing was gained by turning: then nothing more is tried
        return ended
    # The others get the first worker's weights when training starts.
    head = Linear(_reach(job, leading), None if turned is None else turned.float()).to(job.device)
    train(head, _narrow(job, leading), state, on_look)
    return state


def outcome(state: State, job: Job, model: ModelSettings) -> Settled:
    """The form to use, from the best weights of the state in which the stages ended."""
    best = {k.removeprefix("best.form."): v for k, v in state.tensors.items() if k.startswith("best.form.")}
    if state.stage == NARROW:
        rotation = Orthogonal(len(state.tensors[_TURNED]), state.tensors[_TURNED])
        head = Linear(_reach(job, rotation.leading), best["matrix"]) if state.best_step else None
        settled = settle_narrow(rotation, head, _narrow(job, rotation.leading))
    else:
        form = _new(job, model)
        form = freed(form, job.data.corpus.shape[1]) if state.stage == LABELS else form
        if best:
            form.load_state_dict(best)
        settled = settle(form, job.data, job.widths, job.metric)
    return replace(settled, held_back=(*state.notes, *settled.held_back))


def _following(form: Form, job: Job) -> int | None:
    if job.data.supervision is not None:
        return LABELS
    return NARROW if isinstance(form, Orthogonal) and job.training.narrow_steps else None


def _turned(form: Form, job: Job) -> dict[str, Tensor]:
    """What the narrow stage begins with: the settled rotation; nothing where the start was kept."""
    if isinstance(form, Orthogonal) and form.base is not None and _narrow(job, form.leading).widths:
        return {_TURNED: form.exact()}
    return {}


def _narrow(job: Job, leading: int) -> Job:
    training = job.training.model_copy(update={"learning_rate": job.training.narrow_learning_rate})
    return replace(job, training=training, widths=tuple(w for w in job.widths if w < leading))


def _reach(job: Job, leading: int) -> int:
    return narrow_reach(leading, job.data.corpus.shape[1])


def _new(job: Job, model: ModelSettings) -> Form:
    return new_form(model, job.data.corpus.shape[1], job.training.seed, job.data.anchors)
