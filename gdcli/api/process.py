"""The process that trains for Python, seen from the one that asked for it.

This process may have imported torch with other threads, be a notebook's, or a script that another
process must not import again: the trials are trained in one that begins as the command line's.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from gdcli.engine.environment import SETTINGS
from gdcli.errors import RunError
from gdcli.experiment.toml import dump
from gdcli.report.progress import progress_bar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.experiment.experiment import Experiment
    from gdcli.runs.options import RunOptions
    from gdcli.runs.progress import Progress

# A signal that comes before it can be handled ends the process without a traceback.
BEGIN = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL)"
CODE = f"{BEGIN}; from gdcli.api.child import main; main()"


def execute_apart(experiment: Experiment, options: RunOptions, *, quiet: bool) -> Path:
    """Run an experiment in a process of its own; return its folder, or raise what it raised."""
    return Path(_apart(("run", dump(experiment), options), quiet=quiet))


def weights_apart(folder: Path, trial: str, *, trust: bool) -> dict[str, NDArray[Any]]:
    """Train a trial of a run again in a process of its own; return its weights by name."""
    found: dict[str, NDArray[Any]] = _apart(("weights", folder, trial, trust), quiet=True)
    return found


def _apart(request: tuple[Any, ...], *, quiet: bool) -> Any:
    """Return what a process of its own makes of a request, or raise what it raised."""
    progress = progress_bar(quiet=quiet)
    with _child() as child:
        try:
            return _hear(child, request, progress)
        except KeyboardInterrupt:
            _interrupt(child)
            raise
        finally:
            progress.stop()
            if child.poll() is None:
                child.kill()


def _child() -> subprocess.Popen[bytes]:
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return subprocess.Popen(  # noqa: S603 -- a fixed program
        [sys.executable, "-P", "-c", CODE],
        env={**os.environ, **SETTINGS, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # a terminal's Ctrl-C comes to it by way of this process
    )


def _hear(child: subprocess.Popen[bytes], request: object, progress: Progress) -> Any:
    """Tell the process what to do, and take in what it tells: see `child` for what there is."""
    with suppress(BrokenPipeError):  # that it has died is heard, too
        pickle.dump(request, _pipe(child.stdin))
        _pipe(child.stdin).flush()  # and stays open: its end would end the process
    while True:
        try:
            word, *given = pickle.load(_pipe(child.stdout))  # noqa: S301 -- from our own process
        except EOFError:
            raise RunError(_death(child)) from None
        if word == "done":
            return given[0]
        if word == "raise":
            raise given[0]
        getattr(progress, word)(*given)


def _interrupt(child: subprocess.Popen[bytes]) -> None:
    """Let the process finish the batches in hand; another interrupt ends it at once."""
    child.send_signal(signal.SIGINT)
    try:
        _pipe(child.stdout).read()
    except KeyboardInterrupt:
        child.send_signal(signal.SIGINT)
        _pipe(child.stdout).read()


def _death(child: subprocess.Popen[bytes]) -> str:
    code = child.wait()
    cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    fix = "run it again: what is finished is kept"
    return f"the process that ran the experiment ended by {cause}; {fix}"


def _pipe(stream: IO[bytes] | None) -> Any:
    if stream is None:
        raise RuntimeError("a process was started without its pipes")
    return stream
