"""A trial of a finished run, trained again for its weights, which runs do not keep.

The curve that it makes on the way is compared with the recorded one: they are its weights only if
that is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from gdcli.engine.batch import TrialBatch, train_batch
from gdcli.engine.examples import examples_of
from gdcli.engine.isolation import lacks_memory, message_of
from gdcli.engine.memory import check_memory
from gdcli.engine.plan import plan_of
from gdcli.errors import GdcliError, RunError, UserError
from gdcli.fields import show
from gdcli.grid import Trial
from gdcli.runs.checksums import data_checksum, problem_key
from gdcli.runs.code import changed_code
from gdcli.runs.finding import Difference
from gdcli.runs.judge import BYTES, Judge
from gdcli.runs.recorded import Recorded
from gdcli.runs.rerun import surroundings
from gdcli.runs.rows import Rows
from gdcli.runs.state import state_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from gdcli.runs.progress import Progress

    Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Weights:
    """What a trial came to."""

    trial: Trial
    step: int  # after which they are so
    loss: float  # on all training examples
    params: Arrays  # by the names that the module or model has for them
    carried: Arrays  # buffers, such as running statistics
    how: str  # how the curve was found to be the recorded one, in words


def trained_again(
    folder: Path,
    trial: str,
    make_bar: Callable[[], Progress],
    *,
    trust: bool,
    check: Callable[[Trial], None] = lambda _: None,
) -> Weights:
    """Return the weights of a trial after its last step.

    `check` is asked about the trial before it is trained. Code that the folder names is run only
    if `trust` is. Raises UserError for a run that is not
    finished, a trial that failed or diverged, and code or data that are not those of the run;
    RunError where the curve is another one than the recorded.
    """
    if not (folder / "manifest.json").exists():
        fix = "give its command again, which goes on with it"
        raise UserError(show(str(folder)), state_of(folder).unfinished, fix)
    run = Recorded.read(folder, trust=trust)
    _check_ended(run, trial)
    chosen = next(t for t in run.experiment.grid.trials if t.id == trial)
    device, changes = surroundings(run)
    _check_same(run, chosen, changes)
    check(chosen)
    batch = TrialBatch(0, "alone", (chosen,), run.engine)
    check_memory([batch], None, device)
    last = _Last()
    curve, step, loss = _curve(run, batch, device, make_bar, last)
    exact = device == "cpu" and not changes
    found = Judge(run, exact=exact).curve(chosen, curve)
    if isinstance(found, Difference):
        why = f" ({'; '.join(changes)})" if changes else ""
        fix = "take the weights on the machine and with the versions of the run"
        raise RunError(f"trained again, the trial is another one: {found}{why}; {fix}")
    how = "its curve is the recorded one, byte for byte"
    if found != BYTES:
        how = f"its losses are the recorded ones {found}"
    return Weights(chosen, step, loss, last.params, last.carried, how)


@dataclass
class _Last:
    """The last parameters that were looked at."""

    params: Arrays = field(default_factory=dict)
    carried: Arrays = field(default_factory=dict)

    def look(self, params: Arrays, carried: Arrays) -> None:
        """Take them."""
        self.params, self.carried = params, carried


def _check_ended(run: Recorded, trial: str) -> None:
    """Raise UserError unless the run has the trial, and it was trained to its end."""
    table = run.summary
    if trial not in table.places:
        what = f"the run holds no trial {show(trial)}"
        raise UserError("--trial", what, "give an id of summary.csv's first column")
    (row,) = table.measured(table.lines(trial))[:1]
    status = row[table.measures.index("status")]
    if status != "finished":
        what = f"trial {trial} {status}: it has no trained weights"
        raise UserError("--trial", what, "choose one that finished")


def _check_same(run: Recorded, trial: Trial, changes: list[str]) -> None:
    """Raise UserError where the code or the data are not those of the run."""
    if changed := changed_code(run.experiment, run.manifest):
        raise UserError(str(run.folder), changed, "bring back the file as it was")
    # Elsewhere the means that the features are scaled by may differ in the last digit.
    recorded = run.manifest.get("data", {}).get(problem_key(trial.problem))
    if not changes and data_checksum(trial) != recorded:
        what = "the data are not those that the run was trained on"
        raise UserError(str(run.folder), what, "bring back the file as it was")


def _curve(
    run: Recorded,
    batch: TrialBatch,
    device: str,
    make_bar: Callable[[], Progress],
    last: _Last,
) -> tuple[bytes, int, float]:
    """Train a trial; return its lines of curves.csv, its last step and training loss."""
    (trial,) = batch.trials
    data = examples_of(trial)
    plan = plan_of(trial, data.examples)
    bar = make_bar()
    bar.start(plan.steps)
    try:
        advance = partial(bar.advance, batch.label)
        _, curves = train_batch(batch, data, device, advance, look=last.look)
    except (GdcliError, OSError, MemoryError):
        raise
    except Exception as error:
        if lacks_memory(error):
            raise MemoryError(message_of(error)) from error
        raise RunError(f"trained again, the trial raised {message_of(error)}") from error
    finally:
        bar.stop()
    rows = Rows(run.experiment.varied, run.experiment.grid.metrics, plan)
    end = int(curves.length[0]) - 1
    loss = float(curves.values["train_loss"][end, 0])
    return rows.curve(trial, curves, 0).encode(), curves.steps[end], loss
