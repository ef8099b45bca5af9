"""Workers: the same bytes as in one process, whatever happens to one of them."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from gdcli.runs.folder import State, state_of
from tests.runs.command import SMALL, begin, end, gdcli, leftovers, tables

if TYPE_CHECKING:
    from pathlib import Path

WORKERS = (*SMALL, "--workers", "2")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Return the tables of the run in one process."""
    folder = tmp_path_factory.mktemp("whole")
    assert gdcli(folder, *SMALL, "--workers", "1")[0] == 0
    return tables(folder / "results" / "run")


def test_workers_compute_the_same_bytes(tmp_path: Path, whole: list[bytes]) -> None:
    assert gdcli(tmp_path, *WORKERS) == (0, ["the results are in results/run"])
    assert tables(tmp_path / "results" / "run") == whole
    assert not leftovers(tmp_path)
    again = gdcli(tmp_path, *WORKERS)
    told = "nothing to do: the results are in results/run; --overwrite computes them again"
    assert again == (0, [told])


def test_a_network_has_the_same_bytes_too(tmp_path: Path) -> None:
    network = (
        *("run", "mlp", "--dataset", "iris", "--hidden", "5", "--method", "gd,minibatch"),
        *("--lr", "0.1,1", "--seed", "0:5", "--epochs", "3", "--name", "run", "--format", "csv"),
    )
    for count in ("1", "2"):
        (tmp_path / count).mkdir()
        assert gdcli(tmp_path / count, *network, "--workers", count)[0] == 0
    one, two = (tables(tmp_path / count / "results" / "run") for count in ("1", "2"))
    assert one == two


def test_a_worker_that_is_killed_costs_its_batch_a_retry(
    tmp_path: Path, whole: list[bytes]
) -> None:
    sabotage = (
        "import signal, pathlib; mark = pathlib.Path('mark');"
        "index == 2 and not mark.exists() and "
        "(mark.touch(), os.kill(os.getpid(), signal.SIGKILL))"
    )
    code, lines = gdcli(tmp_path, *WORKERS, sabotage=sabotage)
    assert (code, lines[0]) == (0, "batch 2 is tried again: its worker ended by SIGKILL")
    assert tables(tmp_path / "results" / "run") == whole


@pytest.mark.parametrize(
    ("death", "cause"),
    [("os.kill(os.getpid(), 9)", "SIGKILL"), ("os._exit(3)", "exit code 3"), ("os.abort()", "SIG")],
)
def test_a_batch_that_kills_two_workers_is_named_and_the_rest_is_done(
    tmp_path: Path, whole: list[bytes], death: str, cause: str
) -> None:
    code, lines = gdcli(tmp_path, *WORKERS, sabotage=f"index == 1 and {death}")
    assert code == 1
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].startswith("error: batch 1 of gd momentum (trials ")
    assert f"it was tried 2 times; at last its worker ended by {cause}" in errors[0]
    assert state_of(tmp_path / "results" / "run") == State("partial", 3, 4)
    assert gdcli(tmp_path, *WORKERS)[0] == 0
    assert tables(tmp_path / "results" / "run") == whole


def test_what_a_worker_raises_is_the_runs_error(tmp_path: Path, whole: list[bytes]) -> None:
    errors = {
        "raise OSError(28, 'No space left on device', 'x')": "error: x: no space left on device; ",
        "raise MemoryError": "error: memory: there is not enough",
        "from gdcli.errors import UserError; raise UserError('--lr', 'odd', 'even')": (
            "error: --lr: odd; even"
        ),
    }
    for sabotage, line in errors.items():
        code, lines = gdcli(tmp_path, *WORKERS, sabotage=sabotage)
        assert (code, len(lines)) == (2 if "--lr" in line else 1, 1), lines
        assert lines[0].startswith(line)
    assert gdcli(tmp_path, *WORKERS)[0] == 0
    assert tables(tmp_path / "results" / "run") == whole


def test_workers_that_cannot_begin_end_the_run(tmp_path: Path) -> None:
    # The saboteur is imported in the supervising process too, which is no child.
    sabotage = "0"
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sitecustomize.py").write_text(
        "import sys, os\nif '--multiprocessing-fork' in sys.orig_argv: os._exit(7)\n"
    )
    path = os.pathsep.join([str(tmp_path / "broken"), os.environ.get("PYTHONPATH", "")])
    code, lines = gdcli(tmp_path, *WORKERS, sabotage=sabotage, PYTHONPATH=path)
    assert code == 1
    (line,) = lines
    assert line.startswith("error: a worker process ended before it began, by exit code 7; ")


def wait_for(file: Path) -> None:
    """Wait until a file is there; fails after a minute."""
    for _ in range(6000):
        if file.exists():
            return
        time.sleep(0.01)
    raise AssertionError(file)


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path, whole: list[bytes]) -> None:
    sabotage = "import time; open(f'began-{index}', 'w').close(); time.sleep(600)"
    parent = begin(tmp_path, *WORKERS, sabotage=sabotage)
    for index in (0, 1):
        wait_for(tmp_path / f"began-{index}")
    parent.kill()
    end(parent)  # which waits for all that hold its stderr open: the workers, too
    assert state_of(tmp_path / "results" / "run").word == "partial"
    assert gdcli(tmp_path, *WORKERS)[0] == 0
    assert tables(tmp_path / "results" / "run") == whole


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_lets_every_worker_finish_its_batch(
    tmp_path: Path, whole: list[bytes], number: int
) -> None:
    sabotage = (
        "import time; open(f'began-{index}', 'w').close()\n"
        "while not os.path.exists('go on'): time.sleep(0.01)"
    )
    parent = begin(tmp_path, *WORKERS, sabotage=sabotage)
    for index in (0, 1):
        wait_for(tmp_path / f"began-{index}")
    os.killpg(parent.pid, number)  # to its workers, too, as a terminal does
    assert parent.stderr is not None
    assert parent.stderr.readline().startswith("stopping after the batches in hand")
    (tmp_path / "go on").touch()
    code, lines = end(parent)
    assert (code, lines) == (
        128 + number,
        ["stopped: what is finished is kept; the same command goes on from there"],
    )
    assert state_of(tmp_path / "results" / "run") == State("partial", 2, 4)
    assert gdcli(tmp_path, *WORKERS)[0] == 0
    assert tables(tmp_path / "results" / "run") == whole


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    sabotage = "import time; open(f'began-{index}', 'w').close(); time.sleep(600)"
    parent = begin(tmp_path, *WORKERS, sabotage=sabotage)
    wait_for(tmp_path / "began-0")
    parent.send_signal(signal.SIGINT)
    assert parent.stderr is not None
    assert parent.stderr.readline().startswith("stopping ")
    parent.send_signal(signal.SIGTERM)
    code, lines = end(parent)
    assert (code, len(lines)) == (143, 1)
    assert not leftovers(tmp_path)
