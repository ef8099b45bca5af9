"""The recorded points of a batch, how each trial ended, and the state to go on from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from gdcli.arrays import namespace
from gdcli.catalog.catalog import name_of
from gdcli.errors import UserError
from gdcli.problem import Array, Params

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from gdcli.engine.device import Device
    from gdcli.engine.programs.program import Evaluation, Program, Stack
    from gdcli.engine.watcher import Trajectory
    from gdcli.experiment.training import Training
    from gdcli.measure import Measure
    from gdcli.problem import Array, Params

FLUSH = 64  # recorded points that stay on a GPU before they leave it together
RUNNING, CONVERGED, DIVERGED = 0, 1, 2


class BatchHistory(NamedTuple):
    """The recorded points of the trials of one batch."""

    steps: list[int]
    values: dict[str, Array]  # NumPy arrays by column, shape (points, trials)
    length: Array  # recorded points of each trial; it ended at the last
    ended: Array  # RUNNING (the budget was spent), CONVERGED or DIVERGED
    path: str = ""  # how the engine computed them
    trajectory: Trajectory | None = None  # what was watched between recorded points
    # Examples whose losses or gradients were computed before each point, shape (points, trials),
    # where the plan does not tell.
    seen: Array | None = None


class Recorder:
    """Collects evaluations and decides which trials end at each.

    A trial diverges when its loss or a parameter is not finite, or when its loss exceeds
    `diverge_at` times max(1, |loss at the start|). It converges when its gradient norm is at most
    `tol`, or its loss at most `target_loss`.
    """

    def __init__(self, program: Program, training: Training) -> None:
        """Begin with every trial running."""
        self.program, self.training = program, training
        self.steps: list[int] = []
        self.pending: list[Array] = []  # values of points that are still on the device
        self.seen: list[NDArray[np.int64]] = []  # examples that methods have asked for, by point
        self.blocks: list[NDArray[np.floating]] = []
        self.names: list[str] = []
        self.filled = program.device.array(program.layout.filled())
        # An array of integers on the program's device.
        self.ended = namespace(self.filled).where(self.filled, RUNNING, RUNNING)
        self.length = self.ended
        self.limit: Array = None
        self.over = False

    def running(self, evaluation: Evaluation) -> Array:
        """Return which trials still run and have a finite loss."""
        loss = evaluation.values["train_loss"]
        return (self.ended == RUNNING) & namespace(loss).isfinite(loss)

    def record(
        self, step: int, evaluation: Evaluation, params: Params, seen: Array = None
    ) -> Array:
        """Keep a point; return which trials end with it, of the layout's shape.

        `seen` are the examples that each trial has asked for; None: the plan tells.
        """
        if seen is not None:
            self.seen.append(self.program.device.host(seen).copy())
        running = self.ended == RUNNING
        self.length = self.length + running
        if self.limit is None:
            self._begin(evaluation)
        self._judge(evaluation, params)
        self.steps.append(step)
        # Stacking copies: a problem's metric may be a view of the parameters.
        self.pending.append(namespace(running).stack(list(evaluation.values.values())))
        if len(self.steps) % FLUSH == 0:
            self._flush()
        if self.program.device.eager or not self.pending:
            self.over = bool((self.ended != RUNNING).all())
        return running & (self.ended != RUNNING)

    def _begin(self, evaluation: Evaluation) -> None:
        """Take the names and the limits from the start; padding ends there."""
        loss = evaluation.values["train_loss"]
        self.names = list(evaluation.values)
        height = namespace(loss).where(abs(loss) > 1, abs(loss), 1.0)
        self.limit = self.training.diverge_at * height
        self._end(CONVERGED, ~self.filled)

    def _judge(self, evaluation: Evaluation, params: Params) -> None:
        """End the trials that diverge or converge at a point."""
        loss, norm = evaluation.values["train_loss"], evaluation.values["grad_norm"]
        # The limit may itself be infinite: the start's loss times diverge_at can overflow.
        sound = (abs(loss) <= self.limit) & namespace(loss).isfinite(loss)
        self._end(DIVERGED, ~(sound & self.program.finite(params)))
        if self.training.tol is not None:
            self._end(CONVERGED, norm <= self.training.tol)
        if self.training.target_loss is not None:
            self._end(CONVERGED, loss <= self.training.target_loss)

    def _end(self, reason: int, stops: Array) -> None:
        """End the running trials that `stops` marks."""
        stops = (self.ended == RUNNING) & stops
        self.ended = namespace(stops).where(stops, reason, self.ended)

    def lowest(self) -> float | None:
        """Return the lowest training loss of the last point; None: no loss is finite."""
        last = self.program.device.host(self.pending[-1]) if self.pending else self.blocks[-1][-1]
        losses = self.program.layout.gather(last)[self.names.index("train_loss")]
        finite = losses[np.isfinite(losses)]
        return float(finite.min()) if finite.size else None

    def _flush(self) -> None:
        """Move the pending points to the host."""
        if self.pending:
            stacked = namespace(self.ended).stack(self.pending)
            self.blocks.append(self.program.device.host(stacked))
            self.pending = []

    def packed(self) -> dict[str, NDArray[Any]]:
        """Return what was recorded as named arrays, for a checkpoint."""
        self._flush()
        held = {"ended": self.ended, "length": self.length, "limit": self.limit}
        seen = {"seen": np.stack(self.seen)} if self.seen else {}
        return {
            **seen,
            "names": np.array(self.names),
            "steps": np.array(self.steps),
            "recorded": np.concatenate(self.blocks),
            **{name: self.program.device.host(array) for name, array in held.items()},
        }

    def unpack(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Restore what was packed."""
        array = self.program.device.array
        self.names, self.steps = arrays["names"].tolist(), arrays["steps"].tolist()
        self.blocks, self.pending = [arrays["recorded"]], []
        self.seen = [*arrays.get("seen", ())]
        self.ended, self.length, self.limit = (
            array(arrays[name]) for name in ("ended", "length", "limit")
        )

    def curves(self) -> BatchHistory:
        """Return what was recorded."""
        self._flush()
        layout, host = self.program.layout, self.program.device.host
        values = layout.gather(np.concatenate(self.blocks))
        return BatchHistory(
            steps=self.steps,
            values={name: values[:, i] for i, name in enumerate(self.names)},
            length=layout.gather(host(self.length)),
            ended=layout.gather(host(self.ended)),
            seen=layout.gather(np.stack(self.seen)) if self.seen else None,
        )


Arrays: TypeAlias = "dict[str, NDArray[Any]]"


class Checkpointer(Protocol):
    """Stores the last checkpoint of one batch; it decides where, and how long."""

    def due(self) -> bool:
        """Return whether the next checkpoint is due."""

    def save(self, arrays: Arrays) -> None:
        """Store a checkpoint in the place of the one before."""

    def load(self) -> Arrays | None:
        """Return the stored checkpoint; None: there is none, or it is damaged."""


class TrainingState(NamedTuple):
    """All that training goes on from; a stepper changes the arrays by name in place."""

    step: int  # steps taken so far
    params: Params
    optimizer: dict[str, Any]  # by parameter; of a method, dictionaries as deep as it likes
    buffers: Params

    def copy(self) -> TrainingState:
        """Return a state whose arrays no step changes."""
        held = copied(self.params), copied(self.optimizer), copied(self.buffers)
        return TrainingState(self.step, *held)

    def packed(self, device: Device, states: Device) -> Arrays:
        """Return the state as named arrays on the host; `states` is where the optimizer's are."""
        held = {f"param {name}": device.host(array) for name, array in self.params.items()}
        held |= {name: states.host(a) for name, a in _leaves(self.optimizer, "state").items()}
        held |= {f"carried {name}": device.host(array) for name, array in self.buffers.items()}
        return {"step": np.array(self.step), **held}

    def unpacked(self, arrays: Arrays, device: Device, states: Device) -> TrainingState:
        """Return the state of the same batch that named arrays hold."""
        array = device.array
        return TrainingState(
            int(arrays["step"]),
            {name: array(arrays[f"param {name}"]) for name in self.params},
            _grown(self.optimizer, "state", lambda name: states.array(arrays[name])),
            {name: array(arrays[f"carried {name}"]) for name in self.buffers},
        )


def copied(arrays: Params) -> Params:
    """Return copies of arrays, which may be deep in dictionaries."""
    return {
        name: copied(a) if isinstance(a, dict) else namespace(a).asarray(a, copy=True)
        for name, a in arrays.items()
    }


def _leaves(tree: dict[str, Any], prefix: str) -> dict[str, Array]:
    """Return the arrays of nested dictionaries by the names on the way to them."""
    found: dict[str, Array] = {}
    for name, part in tree.items():
        path = f"{prefix} {name}"
        found |= _leaves(part, path) if isinstance(part, dict) else {path: part}
    return found


def _grown(tree: dict[str, Any], prefix: str, leaf: Callable[[str], Array]) -> dict[str, Any]:
    """Return nested dictionaries like others, whose arrays come by the names on the way to them."""
    return {
        name: _grown(part, f"{prefix} {name}", leaf)
        if isinstance(part, dict)
        else leaf(f"{prefix} {name}")
        for name, part in tree.items()
    }


class Measures:
    """The measures that were asked for, each prepared for one stack of trials."""

    def __init__(self, kinds: Sequence[type[Measure]], stack: Stack, params: Params) -> None:
        """Prepare every measure at the starting points."""
        self.stack = stack
        measures = [kind() for kind in kinds]
        self.prepared = [(measure, measure.prepare(stack, params)) for measure in measures]

    def added(self, params: Params, evaluation: Evaluation) -> Evaluation:
        """Return an evaluation with the columns of every measure.

        Raises UserError for a measure whose values are not those of its columns.
        """
        values = dict(evaluation.values)
        array, dtype = namespace(values["train_loss"]), values["train_loss"].dtype
        for measure, prepared in self.prepared:
            found = measure.values(self.stack, params, evaluation, prepared)
            columns = [column.name for column in measure.columns]
            if sorted(found) != sorted(columns) or not values.keys().isdisjoint(columns):
                what = f"it gives {', '.join(found)}, and declares {', '.join(columns)}"
                fix = "give the values of its columns, under names that no other column has"
                raise UserError(f"--measure {name_of(measure)}", what, fix)
            # Stacked with wider numbers, the losses would be written with more digits.
            values |= {name: array.asarray(found[name], dtype=dtype) for name in columns}
        return evaluation._replace(values=values)
