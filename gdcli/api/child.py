"""The child process that trains for `gdcli.run` and `Run.weights`."""

from __future__ import annotations

import os
import pickle
import sys
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from gdcli.errors import GdcliError
from gdcli.executors.execute import execute
from gdcli.executors.local import StepReports, end_with_parent, portable
from gdcli.experiment.toml import loads
from gdcli.fields import counted
from gdcli.process import listen
from gdcli.studies.training import trained_again

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.runs.options import RunOptions


def main() -> None:
    """Read a request from stdin, "run" or "weights" and its arguments; report on stdout.

    A message is a word and its arguments: a method of `Progress`, and at the end "done"
    and the folder or the weights, or "raise" and the error.
    """
    telling = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # other output must not mix with the messages
    word, *given = pickle.load(sys.stdin.buffer)  # noqa: S301 -- from the process that began us
    end_with_parent(_wait_for_end)
    listen()
    told = _Told(telling)
    try:
        told.send("done", _execute(told, *given) if word == "run" else _weights(told, *given))
    except KeyboardInterrupt:
        return  # the parent asked for it
    except GdcliError as error:
        told.send("raise", error)
    except BaseException as error:  # noqa: BLE001 -- the user's process raises it
        told.send("raise", portable(error))


def _weights(told: _Told, folder: Path, trial: str, trust: bool) -> dict[str, NDArray[Any]]:  # noqa: FBT001 -- as it was sent
    found = trained_again(folder, trial, lambda: told, trust=trust)
    return found.params | found.buffers


def _execute(told: _Told, text: str, options: RunOptions) -> str:
    experiment = loads(text, Path("experiment.toml"))
    name = [f"--name={options.name}"] if options.name else []
    # The command that would do the same, for manifest.json.
    sys.argv = ["gdcli", *experiment.command(), f"--output={options.output}", *name]
    outcome = execute(experiment, options, told)
    if outcome.failed:
        what = f"{outcome.failed} of {counted(outcome.trials, 'trial', 'trials')} failed"
        told.warn(f"{what}: see {outcome.folder / 'summary.csv'}")
    return str(outcome.folder)


def _wait_for_end() -> None:
    """Wait until stdin is closed, as it is when the parent ends."""
    while os.read(0, 1):
        pass


class _Told:
    """Progress that the parent shows; steps are sent a few times a second."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._steps = StepReports(partial(self.send, "advance"))

    def send(self, word: str, *given: object) -> None:
        """Send one message."""
        pickle.dump((word, *given), self._stream)
        self._stream.flush()

    def start(self, total: int) -> None:
        self.send("start", total)

    def advance(self, label: str, steps: int, loss: float | None = None) -> None:
        self._steps.add(label, steps, loss)

    def note(self, line: str) -> None:
        self.send("note", line)

    def warn(self, line: str) -> None:
        self.send("warn", line)

    def stop(self) -> None:
        self._steps.flush()
        self.send("stop")
