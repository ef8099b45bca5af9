"""What training makes of each example: measured after every epoch, for each setting of a grid.

Sums run along with the epochs: neither the memory nor the device ever holds examples times trials
times epochs. They stay on the device, in double precision, until the batch has ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from gdcli.arrays import namespace
from gdcli.catalog.catalog import name_of
from gdcli.datasets.contents import human
from gdcli.datasets.described import Described, described
from gdcli.engine.batch import batches_of
from gdcli.engine.estimate import allowance
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import alone, family_of, stacked_trials
from gdcli.engine.plan import plan_of
from gdcli.engine.recorder import DIVERGED, BatchHistory
from gdcli.engine.sampling import stream
from gdcli.errors import UserError
from gdcli.experiment.experiment import Experiment
from gdcli.experiment.grid import Trial, cohorts_of
from gdcli.problem import Array, Data, Problem
from gdcli.studies.explore.files import LabelNoise, label_noise, margins_of, regions_of
from gdcli.studies.options import DataMap
from gdcli.studies.training import Advance, MakeBar, in_batches, none_trained, watched

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.engine.batch import TrialBatch
    from gdcli.engine.programs.program import Program
    from gdcli.problem import Params
    from gdcli.studies.options import Compute

Labels: TypeAlias = "NDArray[np.int64]"


def labels_of(trial: Trial, data: Data) -> Labels | None:
    """Return the training examples' classes, (examples,); None where there are no classes."""
    return family_of(trial.problem).labels(trial.problem, data.train["y"])


def classes_of(data: Data, labels: Labels) -> int:
    """Return how many classes there are; the training part alone may lack some."""
    y = data.train["y"]
    if y.ndim == 2:
        return max(2, int(y.shape[1]))
    return 1 + max(int(labels.max()), *(int(part["y"].max()) for part in [data.test] if part), 1)


def flipped(trial: Trial, labels: Labels, classes: int, fraction: float) -> Labels:
    """Return the labels with a fraction of them, drawn by the data seed, wrong.

    A wrong label is any of the other classes, all alike. What is wrong at a fraction is wrong at
    every larger one.
    """
    rng = stream(name_of(trial.problem), trial.training.data_seed, "flip")
    chosen = rng.permutation(len(labels))[: round(fraction * len(labels))]
    shift = rng.integers(1, classes, len(labels))
    wrong = labels.copy()
    wrong[chosen] = (labels[chosen] + shift[chosen]) % classes
    return wrong


def with_labels(data: Data, labels: Labels) -> Data:
    """Return data whose training examples have these classes, written as the targets were."""
    return replace(data, train={**data.train, "y": _written(data.train["y"], labels)})


def _written(y: Array, labels: Labels) -> Array:
    if y.ndim == 1:
        return labels.astype(y.dtype)
    if y.shape[1] == 1:
        return labels[:, None].astype(y.dtype)
    return np.eye(y.shape[1], dtype=y.dtype)[labels]


Sums: TypeAlias = dict[str, Array]
Measures: TypeAlias = "dict[str, NDArray[Any]]"  # by name, (trials, [classes,] examples)
NUMBERS = 12  # that are held for an example of a trial, besides one for each class


@dataclass
class Dynamics:
    """Told of the parameters after every epoch; `labels` is None where there are no classes."""

    labels: Labels | None
    el2n_epoch: int
    epochs: int = -1  # so far: the start comes first, and is not an epoch
    chunks: list[Sums] = field(default_factory=list)
    targets: list[Array] = field(default_factory=list)  # (classes, examples), one-hot

    def add(self, program: Program, params: Params) -> None:
        """Take in what the trials make of every example now."""
        self.epochs += 1
        if not self.epochs:
            return
        for place, outcome in enumerate(program.per_example(params)):
            if place == len(self.chunks):
                self.chunks.append({})
            sums = self.chunks[place]
            xp = namespace(outcome.loss)
            loss = xp.astype(outcome.loss, xp.float64)
            sums["final_loss"] = loss
            if outcome.probability is None or self.labels is None:
                self._spread(sums, "loss", loss)
                continue
            sums["loss"] = sums.get("loss", 0.0) + loss
            self._classified(sums, xp.astype(outcome.probability, xp.float64), place, program)

    def _spread(self, sums: Sums, name: str, value: Array) -> None:
        """Follow the mean, and the sum of squares about it, of a value (Welford 1962)."""
        gap = value - sums.get(name, 0.0)
        sums[name] = sums.get(name, 0.0) + gap / self.epochs
        sums["squares"] = sums.get("squares", 0.0) + gap * (value - sums[name])

    def _classified(self, sums: Sums, likely: Array, place: int, program: Program) -> None:
        assert self.labels is not None  # noqa: S101 -- of a classifier
        xp = namespace(likely)
        if place == len(self.targets):
            first = sum(target.shape[1] for target in self.targets)
            part = self.labels[first : first + likely.shape[2]]
            one_hot = program.device.array(np.eye(likely.shape[1])[part].T)
            self.targets.append(xp.astype(one_hot, xp.float64))
        target = self.targets[place]
        true = xp.sum(likely * target, axis=1)
        # Right: no other class is as likely. So says the accuracy of the curves, too.
        right = xp.sum(xp.astype(likely >= true[:, None], xp.int32), axis=1) == 1
        self._spread(sums, "confidence", true)
        sums["likely"] = sums.get("likely", 0.0) + likely
        self._learnt(sums, right)
        if self.epochs == self.el2n_epoch:
            sums["el2n"] = xp.sqrt(xp.sum((likely - target) ** 2, axis=1))

    def _learnt(self, sums: Sums, right: Array) -> None:
        """Count when an example is right, and when it ceases to be (Toneva et al. 2019)."""
        xp = namespace(right)
        if "right" not in sums:
            none = xp.zeros_like(right)
            sums |= {"right": none, "correctness": 0.0, "forgetting": 0.0, "first_learned": 0.0}
        now = xp.astype(right, xp.float64)
        sums["forgetting"] = sums["forgetting"] + xp.astype(sums["right"] & ~right, xp.float64)
        new = xp.astype((sums["correctness"] == 0.0) & right, xp.float64)
        sums["first_learned"] = sums["first_learned"] + new * self.epochs
        sums["correctness"] = sums["correctness"] + now
        sums["right"] = right

    def measures(self, program: Program) -> Measures:
        """Return means and counts by name, a row for each trial.

        `first_learned` is 0 for never, `right` whether an example is so after the last epoch.
        """
        host, layout = program.device.host, program.layout
        joined = {
            name: np.concatenate([host(sums[name]) for sums in self.chunks], axis=-1)[layout.place]
            for name in self.chunks[0]
        }
        squares = joined.pop("squares")
        spread = np.sqrt(squares / self.epochs)
        if "confidence" not in joined:
            return joined | {"loss_deviation": spread}
        for name in ("loss", "correctness", "likely"):
            joined[name] = joined[name] / self.epochs
        joined["right"] = joined["right"].astype(float)
        return joined | {"variability": spread}


WHERE = "gdcli explore"
CRITERIA = ("cross_entropy", "mse")  # of a network: those that are known for a single example


@dataclass(frozen=True)
class Examples:
    """The training examples of all trials, and what is said of their classes."""

    data: Data  # with the labels that are trained on
    labels: Labels | None  # those; None where there are no classes
    original: Labels | None  # what they were before some were made wrong on purpose
    classes: int
    described: Described  # what they are called in the user's file, as far as it is known

    def class_name(self, place: int) -> str:
        """Return what a class is called: its name, or its place where it has none."""
        names = self.described.classes
        return names[place] if place < len(names) else str(place)

    @property
    def flipped(self) -> NDArray[Any] | None:
        """Which labels were made wrong."""
        if self.labels is None or self.original is None:
            return None
        return np.not_equal(self.labels, self.original)


def examples_for(trials: Sequence[Trial], flip_labels: float) -> Examples:
    """Return the examples that all trials have, with some labels made wrong; raises UserError."""
    first = trials[0]
    for problem in dict.fromkeys(trial.problem for trial in trials):
        _check_kind(problem)
    data = examples_of(first)
    labels = labels_of(first, data) if data.train["y"].ndim <= 2 else None
    if data.train["y"].ndim > 2 or (labels is not None and labels.ndim > 1):
        raise UserError(WHERE, "an example has several targets", "explore one with a class each")
    _check_same(trials, data)
    if labels is None:
        if flip_labels:
            what = f"{name_of(first.problem)} predicts numbers: there are no labels to flip"
            raise UserError("--flip-labels", what, "leave it out, or explore a classifier")
        return Examples(data, None, None, 0, described(first.problem, data, data.train["y"]))
    classes = classes_of(data, labels)
    wrong = flipped(first, labels, classes, flip_labels)
    about = described(first.problem, data, labels)
    return Examples(with_labels(data, wrong), wrong, labels, classes, about)


def _check_kind(problem: Problem) -> None:
    """Raise UserError for a problem whose loss is not a mean over examples with a target each."""
    if not family_of(problem).has_examples:
        what = f"{name_of(problem)} has no loss of a single example"
        fix = "take a linear model or a network, such as softmax-regression or mlp"
        raise UserError(WHERE, what, fix)


def _check_same(trials: Sequence[Trial], data: Data) -> None:
    """Raise UserError where trials differ in their examples, as far as the targets tell."""
    y = data.train["y"]
    for trial in {trial.problem: trial for trial in trials}.values():
        if not np.array_equal(examples_of(trial).train["y"], y):
            what = "the grid varies the examples, and a data map is of the same ones"
            raise UserError("--vary", what, "vary what does not change them")


@dataclass
class Explored:
    """One setting: what its trials, one for each seed, make of each example, in their mean."""

    trial: Trial  # the setting, at seed 0
    seeds: int = 0  # that were trained to the end
    diverged: int = 0  # those that were not; nothing is taken from them
    loss: float = 0.0  # training loss at the end
    measures: Measures = field(default_factory=dict)  # (examples,) each
    noise: LabelNoise | None = None  # of a classifier's labels

    @property
    def right_at_end(self) -> float:
        """The share of the examples that were right after the last epoch."""
        return float(self.measures["right"].mean())

    def add(self, loss: float, measures: Measures) -> None:
        """Take in another seed, as sums."""
        if "first_learned" in measures:
            measures["learned"] = (measures["first_learned"] > 0).astype(float)
        self.seeds += 1
        self.loss += loss
        for name, values in measures.items():
            self.measures[name] = self.measures.get(name, 0.0) + values

    def finish(self, examples: Examples, options: DataMap) -> None:
        """Turn the sums into means, and judge them."""
        if not self.seeds:
            return
        own = self.measures
        learned = own.pop("learned", None)
        self.loss /= self.seeds
        for name, values in own.items():
            own[name] = values / self.seeds
        if learned is None or examples.labels is None:
            return
        with np.errstate(invalid="ignore"):  # 0 / 0 is nan: never learned
            own["first_learned"] = own["first_learned"] * self.seeds / learned
        likely = own.pop("likely")
        own["margin"] = margins_of(likely, examples.labels)
        own["predicted"] = likely.argmax(0)
        own["region"] = regions_of(own["confidence"], own["variability"], options.ambiguous_from)
        self.noise = label_noise(own["margin"], examples.labels, options.error_margin)
        own["likely_error"] = self.noise.accused


@dataclass(frozen=True)
class Exploration:
    """What every setting of a grid makes of the examples."""

    experiment: Experiment
    options: DataMap
    examples: Examples
    settings: tuple[Explored, ...]
    failed: Mapping[Trial, str] = field(default_factory=dict)  # trials that raised, left out

    @property
    def trained(self) -> tuple[Explored, ...]:
        """The settings of which a seed was trained to the end, the lowest loss first."""
        return tuple(sorted((s for s in self.settings if s.seeds), key=lambda s: s.loss))


def explore(
    experiment: Experiment, options: DataMap, machine: Compute, make_bar: MakeBar
) -> Exploration:
    """Train an experiment's trials and return what they make of every training example.

    Trials that raise an exception are left out. Raises UserError before anything is computed: for
    a problem without examples, a grid whose trials have different ones, labels to flip where there
    are none, and memory that does not suffice; RunError where every trial raises.
    """
    trials = experiment.grid.trials
    if lone := next(filter(alone, trials), None):
        what = f"{name_of(lone.optimizer)} trains each trial by itself, where none is watched"
        raise UserError("--optimizer", what, "take one of those that gdcli optimizers lists")
    examples = examples_for(trials, options.flip_labels)
    _check_room(trials, examples, machine)
    settings = {trial: Explored(trial) for trial in (replace(t, seed=0) for t in trials)}

    def work(batch: TrialBatch, device: str, advance: Advance) -> None:
        curves, measures = _watched(batch, device, advance, examples, options.el2n_epoch)
        for place, trial in enumerate(batch.trials):
            setting = settings[replace(trial, seed=0)]
            if curves.ended[place] == DIVERGED:
                setting.diverged += 1
            else:
                own = {name: values[place] for name, values in measures.items()}
                setting.add(float(curves.values["train_loss"][-1, place]), own)

    _, failed = in_batches(trials, machine, make_bar, work)
    if len(failed) == len(trials):
        raise none_trained(failed)
    for setting in settings.values():
        setting.finish(examples, options)
    return Exploration(experiment, options, examples, tuple(settings.values()), failed)


def _watched(
    batch: TrialBatch, device: str, advance: Advance, examples: Examples, el2n_epoch: int
) -> tuple[BatchHistory, Measures]:
    """Train a batch; return its curves and what its trials make of the examples."""
    first = batch.trials[0]
    data = examples_of(first)  # of its own problem, whose options may scale them
    if examples.labels is not None:
        data = with_labels(data, examples.labels)
    epochs = plan_of(first, data.examples).recorded - 1
    dynamics = Dynamics(examples.labels, min(el2n_epoch, epochs))
    program, curves = watched(batch, data, device, advance, dynamics.add)
    with np.errstate(all="ignore"):  # of trials that diverged
        return curves, dynamics.measures(program) if dynamics.chunks else {}


def _check_room(trials: Sequence[Trial], examples: Examples, machine: Compute) -> None:
    """Raise UserError where the sums of a batch, and those of the settings, need too much."""
    lanes = max(stacked_trials(batch.trials) for batch in batches_of(cohorts_of(trials)))
    settings = len({replace(trial, seed=0) for trial in trials})
    numbers = NUMBERS + examples.classes
    needed = 8 * numbers * examples.data.examples * (2 * lanes + settings)
    allowed = allowance(machine.memory)
    if needed > allowed:
        what = f"what is kept of {examples.data.examples} examples needs {human(needed)}"
        fix = f"explore fewer settings at a time, or allow --memory {human(1.01 * needed)}"
        raise UserError("--memory", f"{what}, more than {human(allowed)}", fix)
