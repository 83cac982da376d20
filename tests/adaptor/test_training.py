"""The loop: learns, stops, continues as if never stopped, and does the same with two workers as with one."""

from __future__ import annotations

import copy
import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adaptor.batches import anchor_rows, query_rows
from adaptor.gpu import gpu_seen
from adaptor.losses import prefix_similarities
from adaptor.model import new_model
from adaptor.neighbours import top_k
from adaptor.objective import Objective, Trainee
from adaptor.pca import InitialBasis, moments, rotation
from adaptor.rows import unit_rows
from adaptor.settings import LossSettings, ModelSettings, TrainingSettings
from adaptor.training import EvalStep, _batches, learning_rate, train
from adaptor.training_job import Stage, TrainingJob, Worker
from adaptor.training_set import TRUTH_K, Labels, Supervision, TrainingSet, hold_out
from adaptor.training_state import TrainingState, load_state, save_state

DIM, DIMS = 32, (4, 8, 16, 32)
MODEL = ModelSettings()
TRAINING = TrainingSettings(steps=60, learning_rate=1e-2, query_steps=30, batch=32, candidates=64, evaluate_every=20)


def training_set(supervised: bool = False) -> TrainingSet:
    """Small clusters that lie mostly in directions of little variance: PCA keeps what tells the least."""
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(90, DIM)) * np.r_[np.full(6, 0.1), np.full(10, 0.5), np.full(DIM - 16, 0.02)]
    noise = draw.normal(size=(900, DIM)) * np.r_[np.full(6, 0.6), np.full(10, 0.05), np.full(DIM - 16, 0.02)]
    cluster = draw.integers(0, 90, 900)
    vectors = unit_rows((centres[cluster] + noise).astype(np.float32))
    basis = InitialBasis(rotation(moments(vectors, "cosine")), 1.0, "cosine")
    training, held = hold_out(len(vectors), 0.2, 0)
    corpus, held_out = vectors[training], vectors[held]
    numbers = np.arange(len(corpus))
    truth = top_k(held_out, corpus, numbers, TRUTH_K, "cosine").ids
    data = TrainingSet(
        corpus=basis.transform(corpus),
        anchors=len(corpus),
        neighbours=top_k(corpus, corpus, numbers, 5, "cosine", numbers).ids,
        held_out=basis.transform(held_out),
        truth=truth,
        searched=len(corpus),
    )
    if not supervised:
        return data
    queries, held_queries = data.held_out[:100], data.held_out[100:]
    # Relevant = of the same cluster, which the cosine of these noisy vectors hardly shows.
    same = cluster[held][:, None] == cluster[training][None, :]
    labels, held_labels = (
        Labels(rows, documents, (1.0 + documents % 2).astype(np.float32))
        for rows, documents in (np.nonzero(same[:100]), np.nonzero(same[100:]))
    )
    supervision = Supervision(
        queries=queries,
        labels=labels,
        negatives=truth[:100, 7:10],
        held_out=held_queries,
        held_out_labels=held_labels,
    )
    return replace(data, supervision=supervision)


def job(**changes: Any) -> TrainingJob:
    settings = {
        "data": training_set(),
        "model": MODEL,
        "loss": LossSettings(),
        "training": TRAINING,
        "metric": "cosine",
        "dims": DIMS,
    }
    return TrainingJob(**{**settings, **changes})


def run(
    work: TrainingJob, model: ModelSettings = MODEL, stage: Stage = Stage.UNSUPERVISED
) -> tuple[Any, TrainingState, list[EvalStep]]:
    module, state, steps = new_model(model, DIM, 0), TrainingState(stage=stage), list[EvalStep]()
    train(module, work, state, lambda step: steps.append(replace(step, state=copy.deepcopy(step.state))))
    return module, state, steps


def test_it_learns_what_pca_does_not_know() -> None:
    steps: list[int] = []
    exact = TRAINING.model_copy(update={"noise": 0.0})
    _, state, evaluated = run(job(training=exact, worker=Worker(on_step=steps.append)))
    assert steps == list(range(1, 61))
    assert [step.state.step for step in evaluated] == [0, 20, 40, 60]
    assert [step.state.finished for step in evaluated] == [False, False, False, True]
    assert state.best_score > state.initial_score + 0.004
    assert evaluated[-1].loss < evaluated[1].loss


MLP = MODEL.model_copy(update={"architecture": "mlp", "hidden_units": 8})


def test_the_best_weights_of_a_perceptron_are_kept_and_never_worse_than_the_start() -> None:
    wild = job(training=TRAINING.model_copy(update={"learning_rate": 3.0, "schedule": "constant"}))
    module, state, evaluated = run(wild, MLP)
    assert evaluated[-1].score < state.best_score == max(step.score for step in evaluated)
    assert state.best_score >= state.initial_score
    assert state.best_weights.keys() == module.state_dict().keys()
    assert all(torch.equal(state.best_weights[k], v) for k, v in module.state_dict().items())


@pytest.mark.gpu
@pytest.mark.skipif(not gpu_seen(), reason="needs a CUDA device")
def test_a_gpu_learns_what_the_cpu_learns() -> None:
    # Not the same weights: Adam moves an entry whose gradient is nearly zero by the sign of its rounding.
    few = TRAINING.model_copy(update={"steps": 60, "evaluate_every": 20})
    (_, _, on_cpu), (_, _, on_gpu) = (
        run(job(training=few, worker=Worker(device=torch.device(device)))) for device in ("cpu", "cuda")
    )
    assert [step.loss for step in on_gpu] == pytest.approx([step.loss for step in on_cpu], rel=0.02)
    assert [step.score for step in on_gpu] == pytest.approx([step.score for step in on_cpu], abs=0.02)


@pytest.mark.parametrize(
    ("means", "kept"),
    [
        ((0.50, 0.60, 0.595, 0.59), 60),  # within one standard error (0.02) of the best: the last
        ((0.50, 0.60, 0.595, 0.55), 40),  # the last score is worse beyond doubt
        ((0.50, 0.505, 0.499, 0.495), 20),  # never below the start
        ((0.50, 0.49, 0.48, 0.45), 0),
    ],
)
def test_of_scores_that_cannot_be_told_apart_the_last_counts(
    means: tuple[float, ...], kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    coming = iter(means)
    # Rows at ± 0.2 around the mean: over 100 rows a standard error of 0.02.
    monkeypatch.setattr("adaptor.training.validate", lambda *_: np.tile([0.2, -0.2], 50) + next(coming))
    _, state, evaluated = run(job(), MLP)
    assert state.best_step == kept
    assert state.best_score == pytest.approx(max(means))
    weights = evaluated[kept // 20].state.weights["module.outer.weight"]
    assert torch.equal(state.best_weights["outer.weight"], weights)


@pytest.mark.parametrize(
    ("stage", "schedule", "early"),
    [
        (Stage.UNSUPERVISED, "constant", True),
        (Stage.SUPERVISED, "cosine", True),
        (Stage.UNSUPERVISED, "cosine", False),
    ],
)
def test_patience_ends_a_stage_with_labels_or_with_a_constant_learning_rate(
    stage: Stage, schedule: str, early: bool
) -> None:
    # Without labels a falling learning rate is followed to its end, however long the score lies below the initial one.
    lost = {"learning_rate": 1e-9, "patience": 20, "steps": 200, "query_steps": 200, "schedule": schedule}
    stale = job(data=training_set(supervised=stage is Stage.SUPERVISED), training=TRAINING.model_copy(update=lost))
    _, state, evaluated = run(stale, stage=stage)
    assert evaluated[-1].state.finished
    assert (state.step < 200) == early


@pytest.mark.parametrize(
    ("stage", "patience"), [(Stage.UNSUPERVISED, 500), (Stage.SUPERVISED, 500), (Stage.SUPERVISED, 20)]
)
@pytest.mark.parametrize("architecture", ["linear", "mlp"])
def test_continued_from_any_checkpoint_it_ends_with_the_same_bits(
    architecture: str, stage: Stage, patience: int, tmp_path: Path
) -> None:
    model = MODEL.model_copy(update={"architecture": architecture, "hidden_units": 8})
    # With no patience a high learning rate ends the stage before its last step.
    rate = 1e-2 if patience == 500 else 3e-2
    hurried = TRAINING.model_copy(update={"patience": patience, "learning_rate": rate, "query_steps": 60})
    supervised = stage is Stage.SUPERVISED
    work = job(data=training_set(supervised), training=TRAINING if patience == 500 else hurried)
    expected, ended, evaluated = run(work, model, stage)
    for step in evaluated:  # the last one, too: a fit may be killed between its last checkpoint and its artefact
        again = new_model(model, DIM, 99)  # other first weights: they must come from the state
        save_state(step.state, tmp_path)
        state = load_state(tmp_path)
        train(again, work, state, lambda _: None)
        assert state.step == ended.step
        assert all(torch.equal(a, b) for a, b in zip(again.parameters(), expected.parameters(), strict=True))


def test_supervised_stage_finds_the_labelled_documents() -> None:
    _, state, _ = run(job(data=training_set(supervised=True)), stage=Stage.SUPERVISED)
    assert state.best_score > state.initial_score


@pytest.mark.parametrize("name", ["topk", "pairwise", "reconstruction", "ranking"])
def test_every_term_of_the_paper_trains_alone(name: str) -> None:
    loss = LossSettings.model_validate({"listwise": 0, "contrastive": 0, name: 1})
    model = ModelSettings(architecture="mlp", hidden_units=8, initialisation="identity")
    _, _, evaluated = run(job(loss=loss, data=training_set(supervised=True)), model, Stage.SUPERVISED)
    assert np.isfinite([step.loss for step in evaluated]).all()
    moved = float(evaluated[-1].state.weights["module.outer.weight"].abs().max()) > 0
    assert moved == (name != "reconstruction")  # f = 0 is where reconstruction is best


def test_learning_rate_falls_to_zero_or_stays() -> None:
    assert learning_rate(TRAINING, 0, 100) == pytest.approx(1e-2)
    assert learning_rate(TRAINING, 50, 100) == pytest.approx(5e-3)
    assert learning_rate(TRAINING, 100, 100) == pytest.approx(0)
    assert learning_rate(TRAINING.model_copy(update={"schedule": "constant"}), 99, 100) == 1e-2


def test_drawing_ahead_gives_the_same_batches() -> None:
    work = job(data=training_set(supervised=True))
    at_once, ahead = (
        list(_batches(replace(work, worker=Worker(device=torch.device(d))), Stage.SUPERVISED, range(3, 8)))
        for d in ("cpu", "cuda")
    )
    assert len(at_once) == len(ahead) == 5
    for one, other in zip(at_once, ahead, strict=True):
        for mine, theirs in zip(one, other, strict=True):
            assert mine is not None
            assert theirs is not None
            assert all(np.array_equal(value, vars(theirs)[name]) for name, value in vars(mine).items())
    assert not np.array_equal(ahead[0][0].anchors, ahead[1][0].anchors)


def _worker(rank: int, size: int, folder: str) -> None:
    """One gloo process of a data-parallel run."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)

    def agree(finished: bool) -> bool:
        word = torch.tensor([finished])
        torch.distributed.broadcast(word, 0)
        return bool(word)

    wrap = torch.nn.parallel.DistributedDataParallel
    gentle = TRAINING.model_copy(update={"learning_rate": 1e-3})
    module, _, _ = run(job(training=gentle, worker=Worker(rank=rank, size=size, wrap=wrap, agree=agree)))
    if rank == 0:
        np.save(f"{folder}/{size}.npy", module.matrix.detach().numpy())
    torch.distributed.destroy_process_group()


def test_three_workers_learn_what_one_learns(tmp_path: Path) -> None:
    # 32 anchors do not split evenly over 3: each worker's mean is weighted by its share.
    workers = [
        multiprocessing.get_context("spawn").Process(target=_worker, args=(r, 3, str(tmp_path))) for r in range(3)
    ]
    for worker in workers:
        worker.start()
    alone, _, _ = run(job(training=TRAINING.model_copy(update={"learning_rate": 1e-3})))
    for worker in workers:
        worker.join(200)
        assert worker.exitcode == 0
    # Adam turns the last bits of a sum into whole steps where a gradient is near zero: equal in effect, not in bits.
    together = torch.from_numpy(np.load(tmp_path / "3.npy"))
    data = training_set()
    z = torch.from_numpy(data.corpus[:200])
    with torch.no_grad():
        gap = prefix_similarities(z @ together, z @ together, (4, 8), "cosine") - prefix_similarities(
            alone(z), alone(z), (4, 8), "cosine"
        )
    assert float(gap.abs().max()) < 0.05
    assert float(gap.abs().mean()) < 0.005


def test_the_gradient_does_not_depend_on_the_number_of_workers() -> None:
    data, loss = training_set(supervised=True), LossSettings(topk=1, pairwise=1, reconstruction=1, ranking=1)
    assert data.supervision is not None
    objective, work = Objective(loss, "cosine"), job(data=data, loss=loss)
    corpus, queries = torch.from_numpy(data.corpus), torch.from_numpy(data.supervision.queries)
    gradients = []
    for size in (1, 2, 3):
        trainee = Trainee(new_model(MODEL, DIM, 0), DIMS, 0.05)
        for rank in range(size):
            mine = replace(work, worker=Worker(rank=rank, size=size))
            rows = anchor_rows(mine, Stage.SUPERVISED, 4), query_rows(mine, data.supervision, 4)
            torch.autograd.backward(objective(trainee, corpus, queries, *rows) / size)
        gradients.append(torch.cat([p.grad.flatten() for p in trainee.parameters() if p.grad is not None]))
    for other in gradients[1:]:
        assert torch.allclose(other, gradients[0], rtol=1e-3, atol=1e-3 * float(gradients[0].abs().max()))
