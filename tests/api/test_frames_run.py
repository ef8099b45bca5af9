"""`run` from Python: the command line's bytes, whatever has begun it and however it ends."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import torch

from gdcli import Experiment, RunError, UserError, run
from gdcli.executors.execute import LostBatches
from gdcli.runs.folder import State, state_of
from tests.runs.command import SABOTEUR, gdcli, leftovers, tables

if TYPE_CHECKING:
    from pathlib import Path

NETWORK = ("run", "mlp", "--dataset", "iris", "--method", "gd,minibatch", "--lr", "0.1,1")
SMALL = Experiment(
    "quadratic", optimizer="vanilla,momentum,adam,nesterov", lr="lin:0.01:3:20", epochs=20
)
# The same in a program of its own.
PROGRAM = """
from gdcli import Experiment, run
experiment = Experiment(
    "quadratic", optimizer="vanilla,momentum,adam,nesterov", lr="lin:0.01:3:20", epochs=20
)
print(run(experiment, name="run", workers={workers}))
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Return the tables that the command line writes."""
    folder = tmp_path_factory.mktemp("whole")
    assert gdcli(folder, *SMALL.command(), "--name", "run", "--format", "csv")[0] == 0
    return tables(folder / "results" / "run")


def begin(folder: Path, program: str, *arguments: str, sabotage: str = "") -> subprocess.Popen[str]:
    """Begin a Python program; `sabotage` is run before every batch."""
    path = os.pathsep.join([str(SABOTEUR)] * bool(sabotage) + sys.path)
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "SABOTAGE": sabotage},
        stdin=subprocess.PIPE if program else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_network_has_the_bytes_of_the_command_line(tmp_path: Path) -> None:
    experiment = Experiment(
        "mlp", dataset="iris", method=["gd", "minibatch"], lr=[0.1, 1], epochs=3, seed=range(3)
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(3)  # what would change bits here changes none there
    try:
        found = run(experiment, tmp_path / "python", name="net")
    finally:
        torch.set_num_threads(threads)
    typed = (*NETWORK, "--epochs", "3", "--seed", "0:2", "--name", "net", "--format", "csv")
    assert gdcli(tmp_path, *typed)[0] == 0
    assert tables(found.path) == tables(tmp_path / "results/net")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_program_from_stdin_or_without_a_guard_is_run(
    tmp_path: Path, whole: list[bytes], workers: int
) -> None:
    program = PROGRAM.format(workers=workers)
    (tmp_path / "script.py").write_text(program)
    for arguments, given in ((("-",), program), (("script.py",), ""), (("-c", program), "")):
        process = begin(tmp_path, given, *arguments)
        out, err = process.communicate(given or None, timeout=300)
        assert (out, err) == ("<Run 'results/run': 80 trials, 53 diverged>\n", "")
        assert tables(tmp_path / "results" / "run") == whole
        (tmp_path / "results").rename(tmp_path / f"results-of-{arguments[0]}")


def test_an_event_loop_may_be_running(tmp_path: Path, whole: list[bytes]) -> None:
    async def cell() -> Path:
        return run(SMALL, tmp_path, name="run").path

    assert tables(asyncio.run(cell())) == whole


def test_a_run_that_is_there_is_not_run_again(tmp_path: Path) -> None:
    first = run(SMALL, tmp_path, name="run")
    stored = {path: path.stat().st_mtime_ns for path in first.path.rglob("*")}
    again = run(SMALL, tmp_path, name="run")
    assert again.path == first.path
    assert {path: path.stat().st_mtime_ns for path in first.path.rglob("*")} == stored
    with pytest.raises(UserError, match="holds another run, which differs in settings") as raised:
        run(Experiment("quadratic", epochs=3), tmp_path, name="run")
    assert not hasattr(raised.value, "__notes__")  # another process's traceback is nobody's help
    other = run(Experiment("quadratic", epochs=3), tmp_path, name="run", overwrite=True)
    assert len(other.summary) == 1


def test_the_manifest_has_a_command_that_does_the_same(tmp_path: Path) -> None:
    found = run(Experiment("quadratic", epochs=3), tmp_path, name="a")
    wanted = f"gdcli run quadratic --epochs=3 --output={tmp_path} --name=a"
    assert found.manifest["command"] == wanted


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"name": "../x"}, "--name: '../x' cannot name a run; take 1 to 100 of"),
        ({"workers": 0}, "--workers: 0 is less than 1; give an integer of at least 1"),
        ({"device": "gpu"}, "--device: 'gpu' is not a device; did you mean 'cuda'?"),
        ({"engine": "fast"}, "--engine: 'fast' is not one of auto, reference; "),
        ({"overwrite": True, "retry_failed": True}, "--overwrite: --retry-failed keeps results"),
        ({"reuse": ["x"]}, "--reuse: 'x' is not a run with its hidden folder .gdcli; "),
        ({"memory": "1B"}, "--memory: "),
    ],
)
def test_mistakes_raise_what_the_command_line_says(
    tmp_path: Path, given: dict[str, object], error: str
) -> None:
    with pytest.raises(UserError) as raised:
        run(SMALL, tmp_path / "out", **given)  # type: ignore[arg-type]  # on purpose
    assert str(raised.value).startswith(error)
    assert not (tmp_path / "out").exists()


def test_what_is_told_on_the_way_is_on_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SABOTAGE", "if len(trials) == 1: raise ValueError('odd')\nraise ValueError")
    monkeypatch.syspath_prepend(str(SABOTEUR))
    found = run(Experiment("quadratic", lr=[0.1, 0.2], epochs=3), tmp_path, name="a")
    assert found.diagnoses["state"].tolist() == ["failed", "failed"]
    lines = capsys.readouterr().err.splitlines()
    assert "ValueError: odd" in lines[0]
    assert lines[-1] == f"2 of 2 trials failed: see {tmp_path / 'a/summary.csv'}"


def test_a_process_that_is_killed_is_a_run_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: list[bytes]
) -> None:
    with monkeypatch.context() as sabotaged:
        sabotaged.setenv("SABOTAGE", "index == 2 and os.kill(os.getpid(), 9)")
        sabotaged.syspath_prepend(str(SABOTEUR))
        with pytest.raises(RunError, match="the experiment ended by SIGKILL; run it again"):
            run(SMALL, tmp_path, name="run", workers=1)
        with pytest.raises(
            LostBatches, match=r"batch 2 .* at last its worker ended by SIGKILL"
        ) as raised:
            run(SMALL, tmp_path, name="run", workers=2)
    assert len(raised.value.lines) == 1
    assert tables(run(SMALL, tmp_path, name="run").path) == whole


def test_lost_batches_are_the_same_in_another_process() -> None:
    copy = pickle.loads(pickle.dumps(LostBatches(["batch 1", "batch 2"])))  # noqa: S301
    assert copy.lost == ("batch 1", "batch 2")


def wait_for(file: Path) -> None:
    """Wait until a file is there; fails after a minute."""
    for _ in range(6000):
        if file.exists():
            return
        time.sleep(0.01)
    raise AssertionError(file)


HELD = """
import time
open(f'began-{index}', 'w').close()
while not os.path.exists('go on'): time.sleep(0.01)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_lets_the_batches_in_hand_be_finished(
    tmp_path: Path, whole: list[bytes], workers: int
) -> None:
    (tmp_path / "script.py").write_text(PROGRAM.format(workers=workers))
    process = begin(tmp_path, "", "script.py", sabotage=HELD)
    for index in range(workers):
        wait_for(tmp_path / f"began-{index}")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.stderr is not None
    assert process.stderr.readline().startswith("stopping after the batches in hand; the same")
    (tmp_path / "go on").touch()
    _, err = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGINT
    assert err.splitlines()[-1] == "KeyboardInterrupt"
    assert state_of(tmp_path / "results/run") == State("partial", workers, 4)
    assert tables(run(SMALL, tmp_path / "results", name="run").path) == whole


def test_a_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(PROGRAM.format(workers=2))
    process = begin(tmp_path, "", "script.py", sabotage=HELD)
    wait_for(tmp_path / "began-0")
    os.killpg(process.pid, signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("stopping ")
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=300)
    assert process.returncode == -signal.SIGINT
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_goes_on_when_the_program_is_killed(tmp_path: Path, workers: int) -> None:
    (tmp_path / "script.py").write_text(PROGRAM.format(workers=workers))
    process = begin(tmp_path, "", "script.py", sabotage=HELD)
    wait_for(tmp_path / "began-0")
    process.kill()
    process.communicate(timeout=300)  # waits for all that hold its stderr open: all of them
    assert state_of(tmp_path / "results/run").word == "partial"
