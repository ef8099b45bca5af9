"""What a run keeps of its trials: the recorded points, and how each trial ended.

The state of a batch between two steps, as named arrays that training can go on from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from gdcli.arrays import namespace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.engine.programs.program import Evaluation, Program
    from gdcli.engine.watcher import Trajectory
    from gdcli.experiment.grid import Training
    from gdcli.optimizer import State
    from gdcli.problem import Array, Params

FLUSH = 64  # recorded points that stay on a GPU before they leave it together
RUNNING, CONVERGED, DIVERGED = 0, 1, 2


class Curves(NamedTuple):
    """The recorded points of the trials of one batch."""

    steps: list[int]
    values: dict[str, Array]  # NumPy arrays by column, shape (points, trials)
    length: Array  # points that each trial has: its last one is where it ended
    ended: Array  # RUNNING (the budget was spent), CONVERGED or DIVERGED
    path: str = ""  # which way the engine computed them
    trajectory: Trajectory | None = None  # what was watched besides, of a run's trials
    seen: list[int] | None = None  # examples before each point, where they are not the plan's


class Recorder:
    """Collects evaluations and decides, at each, which trials end there.

    A trial diverges when its loss or a parameter is not finite, or when its loss exceeds
    `diverge_at` times max(1, |loss at the start|). It converges when its gradient norm is at
    most `tol`, or its loss at most `target_loss`.
    """

    def __init__(self, program: Program, training: Training) -> None:
        """Begin with every trial running."""
        self.program, self.training = program, training
        self.steps: list[int] = []
        self.pending: list[Array] = []  # measures of points that have not left the device
        self.blocks: list[NDArray[np.floating]] = []
        self.names: list[str] = []
        self.filled = program.device.array(program.lanes.filled())
        # An array of integers where the lanes are, in whichever library they are.
        self.ended = namespace(self.filled).where(self.filled, RUNNING, RUNNING)
        self.length = self.ended
        self.limit: Array = None
        self.over = False

    def running(self, evaluation: Evaluation) -> Array:
        """Return which trials have a point to record, and a finite loss there."""
        loss = evaluation.values["train_loss"]
        return (self.ended == RUNNING) & namespace(loss).isfinite(loss)

    def record(self, step: int, evaluation: Evaluation, params: Params) -> Array:
        """Keep a point; return which lanes end with it, of the lanes' shape."""
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
        """Take the names and the limits from the start; lanes without a trial end there."""
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
        """End those of the running trials that stop."""
        stops = (self.ended == RUNNING) & stops
        self.ended = namespace(stops).where(stops, reason, self.ended)

    def lowest(self) -> float | None:
        """Return the lowest training loss of the last point; None: none is finite."""
        last = self.program.device.host(self.pending[-1]) if self.pending else self.blocks[-1][-1]
        losses = self.program.lanes.gather(last)[self.names.index("train_loss")]
        finite = losses[np.isfinite(losses)]
        return float(finite.min()) if finite.size else None

    def _flush(self) -> None:
        """Bring the pending points to the host."""
        if self.pending:
            stacked = namespace(self.ended).stack(self.pending)
            self.blocks.append(self.program.device.host(stacked))
            self.pending = []

    def packed(self) -> dict[str, NDArray[Any]]:
        """Return what was recorded, as named arrays."""
        self._flush()
        held = {"ended": self.ended, "length": self.length, "limit": self.limit}
        return {
            "names": np.array(self.names),
            "steps": np.array(self.steps),
            "recorded": np.concatenate(self.blocks),
            **{name: self.program.device.host(array) for name, array in held.items()},
        }

    def unpack(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Go on from what was packed."""
        array = self.program.device.array
        self.names, self.steps = arrays["names"].tolist(), arrays["steps"].tolist()
        self.blocks, self.pending = [arrays["recorded"]], []
        self.ended, self.length, self.limit = (
            array(arrays[name]) for name in ("ended", "length", "limit")
        )

    def curves(self) -> Curves:
        """Return what was recorded."""
        self._flush()
        lanes, host = self.program.lanes, self.program.device.host
        values = lanes.gather(np.concatenate(self.blocks))
        return Curves(
            steps=self.steps,
            values={name: values[:, i] for i, name in enumerate(self.names)},
            length=lanes.gather(host(self.length)),
            ended=lanes.gather(host(self.ended)),
        )


Arrays: TypeAlias = "dict[str, NDArray[Any]]"


class Keeper(Protocol):
    """Keeps the last state of one batch; how long, and where, is its own affair."""

    def due(self) -> bool:
        """Return whether it is time for another state."""

    def save(self, arrays: Arrays) -> None:
        """Keep a state instead of the one before."""

    def load(self) -> Arrays | None:
        """Return the state that is kept; None, if there is none to be trusted."""


def packed(step: int, params: Params, states: dict[str, State], program: Program) -> Arrays:
    """Return the parameters, the optimizer's state and what is carried after a number of steps."""
    held = {f"param {name}": array for name, array in params.items()}
    for name, state in states.items():
        held |= {f"state {name} {key}": array for key, array in state.items()}
    held |= {f"carried {name}": array for name, array in program.carried.items()}
    return {"step": np.array(step), **{name: program.device.host(a) for name, a in held.items()}}


def unpack(arrays: Arrays, params: Params, states: dict[str, State], program: Program) -> int:
    """Put a state in the place of another of the same batch; return its step."""
    array = program.device.array
    for name in params:
        params[name] = array(arrays[f"param {name}"])
        states[name] = {k: array(arrays[f"state {name} {k}"]) for k in states[name]}
    program.carried = {name: array(arrays[f"carried {name}"]) for name in program.carried}
    return int(arrays["step"])
