"""A real cluster of three nodes: the same bytes as in one process, whatever happens to one."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gdcli.process import SETTINGS
from gdcli.runs.folder import State, state_of
from tests.ray.cluster import LOOPBACK, Nodes, cluster
from tests.runs.command import SMALL, begin, end, gdcli, leftovers, tables

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

pytest.importorskip("ray", reason="the extra `ray` is not installed: make test-ray")

ALONE = (*SMALL, "--workers", "1")
BEGAN = "open(f'began-{index}', 'w').close()\n"
HELD = f"{BEGAN}import time\nwhile not os.path.exists('go on'): time.sleep(0.01)"
STUCK = f"{BEGAN}import time; time.sleep(600)"
STOPPING = "stopping after the batches in hand; the same signal again stops at once"


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """Return a cluster of three nodes with a CPU each."""
    with cluster() as started:
        yield started


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[bytes]]:
    """Return what a run in one process prints, and its tables."""
    folder = tmp_path_factory.mktemp("whole")
    out, _ = begin(folder, *ALONE).communicate()
    return out, tables(folder / "results" / "run")


def ended(process: subprocess.Popen[str]) -> tuple[int, str, list[str]]:
    """Wait for a process; return its exit code, its stdout and the lines of its stderr."""
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err.splitlines()


def wait_for(folder: Path, batches: int) -> None:
    """Wait until so many batches have begun; fails after a minute."""
    for _ in range(6000):
        if len(list(folder.glob("began-*"))) >= batches:
            return
        time.sleep(0.01)
    raise AssertionError(list(folder.iterdir()))


def test_a_cluster_computes_the_same_bytes(
    tmp_path: Path, nodes: Nodes, whole: tuple[str, list[bytes]]
) -> None:
    done = ended(nodes.begin(tmp_path, *SMALL))
    assert done == (0, whole[0], ["the results are in results/run"])
    assert tables(tmp_path / "results" / "run") == whole[1]
    assert not leftovers(tmp_path)
    told = "nothing to do: the results are in results/run; --overwrite computes them again"
    assert ended(nodes.begin(tmp_path, *SMALL)) == (0, whole[0], [told])


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="Linux alone tells it")
def test_a_task_s_process_begins_with_one_thread(tmp_path: Path, nodes: Nodes) -> None:
    seen = "open(f'environment-{index}', 'wb').write(open('/proc/self/environ', 'rb').read())"
    assert ended(nodes.begin(tmp_path, *SMALL, sabotage=seen))[0] == 0
    files = sorted(tmp_path.glob("environment-*"))
    assert len(files) == 4
    for file in files:  # as its process began, before it could import NumPy
        begun = dict(line.split("=", 1) for line in file.read_text().split("\0") if line)
        assert begun.items() >= SETTINGS.items()


def test_torch_computes_the_same_bytes(tmp_path: Path, nodes: Nodes) -> None:
    run = ("run", "mlp", "--lr", "0.1,0.3", "--epochs", "2", "--name", "run", "--format", "csv")
    assert ended(nodes.begin(tmp_path, *run))[::2] == (0, ["the results are in results/run"])
    (tmp_path / "alone").mkdir()
    assert gdcli(tmp_path / "alone", *run, "--workers", "1")[0] == 0
    assert tables(tmp_path / "results" / "run") == tables(tmp_path / "alone" / "results" / "run")


def test_a_node_that_is_killed_costs_its_batches_a_retry(
    tmp_path: Path, nodes: Nodes, whole: tuple[str, list[bytes]]
) -> None:
    run = nodes.begin(tmp_path, *SMALL, sabotage=HELD)
    wait_for(tmp_path, 3)
    nodes.kill()
    assert run.stderr is not None
    assert re.fullmatch(r"batch \d is tried again: its .* ended\n", run.stderr.readline())
    (tmp_path / "go on").touch()
    assert ended(run) == (0, whole[0], ["the results are in results/run"])
    assert tables(tmp_path / "results" / "run") == whole[1]


def test_a_batch_that_ends_its_workers_is_named_and_the_rest_is_done(
    tmp_path: Path, nodes: Nodes, whole: tuple[str, list[bytes]]
) -> None:
    sabotage = "index == 1 and os.kill(os.getpid(), 9)"
    code, out, lines = ended(nodes.begin(tmp_path, *SMALL, sabotage=sabotage))
    assert (code, out) == (1, "")
    assert lines[:-1] == ["batch 1 is tried again: its worker ended"] * 3
    assert lines[-1].startswith("error: batch 1 of gd momentum (trials ")
    assert "it was tried 4 times; at last its worker ended; all others are kept" in lines[-1]
    assert state_of(tmp_path / "results" / "run") == State("partial", 3, 4)
    assert ended(nodes.begin(tmp_path, *SMALL))[0] == 0
    assert tables(tmp_path / "results" / "run") == whole[1]


def test_a_trial_that_raises_fails_alone(
    tmp_path: Path, nodes: Nodes, whole: tuple[str, list[bytes]]
) -> None:
    sabotage = "if any(abs(t.lr - 1.27) < 0.1 for t in trials): raise ValueError('users')"
    code, out, lines = ended(nodes.begin(tmp_path, *SMALL, sabotage=sabotage))
    (tmp_path / "alone").mkdir()
    alone = ended(begin(tmp_path / "alone", *ALONE, sabotage=sabotage))
    assert code == 1
    assert any("ValueError: users" in line for line in lines)
    assert (code, out, sorted(lines)) == (alone[0], alone[1], sorted(alone[2]))
    assert tables(tmp_path / "results" / "run") == tables(tmp_path / "alone" / "results" / "run")
    assert ended(nodes.begin(tmp_path, *SMALL, "--retry-failed"))[0] == 0
    assert tables(tmp_path / "results" / "run") == whole[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_lets_the_tasks_that_run_be_finished(
    tmp_path: Path, nodes: Nodes, whole: tuple[str, list[bytes]], number: int
) -> None:
    run = nodes.begin(tmp_path, *SMALL, sabotage=HELD)
    wait_for(tmp_path, 3)
    os.killpg(run.pid, number)
    assert run.stderr is not None
    assert run.stderr.readline().rstrip() == STOPPING
    time.sleep(2)  # what waits is taken back before a CPU is free: both at once, Ray may abort
    (tmp_path / "go on").touch()
    stopped = "stopped: what is finished is kept; the same command goes on from there"
    assert ended(run) == (128 + number, "", [stopped])
    state = state_of(tmp_path / "results" / "run")
    assert state.word == "partial"
    assert state.done >= 3  # the fourth may have been begun before it was called off
    assert ended(nodes.begin(tmp_path, *SMALL))[:2] == (0, whole[0])
    assert tables(tmp_path / "results" / "run") == whole[1]


def test_a_second_signal_stops_at_once_and_the_tasks_with_it(tmp_path: Path, nodes: Nodes) -> None:
    record = STUCK.replace(".close()", ".write(str(os.getpid()))")
    run = nodes.begin(tmp_path, *SMALL, sabotage=record)
    wait_for(tmp_path, 3)
    run.send_signal(signal.SIGINT)
    assert run.stderr is not None
    assert run.stderr.readline().rstrip() == STOPPING
    run.send_signal(signal.SIGTERM)
    code, _, lines = ended(run)
    assert (code, len(lines)) == (143, 1)
    # The cluster is free again: three tasks would hold its three CPUs for ten minutes.
    (tmp_path / "next").mkdir()
    assert ended(nodes.begin(tmp_path / "next", *SMALL))[0] == 0


def test_batches_of_another_process_are_waited_for(
    tmp_path: Path, nodes: Nodes, whole: tuple[str, list[bytes]]
) -> None:
    stuck = begin(tmp_path, *ALONE, sabotage=STUCK)
    wait_for(tmp_path, 1)
    run = nodes.begin(tmp_path, *SMALL)
    assert run.stderr is not None
    assert run.stderr.readline().startswith("waiting for 1 batch that another process ")
    stuck.kill()
    assert end(stuck)[0] == -9
    assert ended(run)[:2] == (0, whole[0])
    assert tables(tmp_path / "results" / "run") == whole[1]


def test_a_node_that_would_compute_other_bits_is_refused(tmp_path: Path, nodes: Nodes) -> None:
    (tmp_path / "sitecustomize.py").write_text("import gdcli; gdcli.__version__ = '0.0.9'\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    where = ("--executor", "ray", "--ray-address", nodes.address)
    code, (line,) = gdcli(tmp_path, *SMALL, *where, **LOOPBACK, PYTHONPATH=path)
    assert code == 1
    assert line.startswith("error: node ")
    assert (
        "would compute other bits than the machine of the run: fingerprint.gdcli 0.0.9 -> " in line
    )
    assert state_of(tmp_path / "results" / "run") == State("partial", 0, 4)


@pytest.mark.parametrize("by", ["--ray-address", "RAY_ADDRESS"])
def test_a_cluster_that_is_not_there_is_no_reason_to_start_one(tmp_path: Path, by: str) -> None:
    given = ("--ray-address", "127.0.0.1:1") if by == "--ray-address" else ()
    code, (line,) = gdcli(
        tmp_path, *SMALL, "--executor", "ray", *given, RAY_ADDRESS="127.0.0.1:1", **LOOPBACK
    )
    assert code == 1
    assert line.startswith(f"error: {by}: there is no Ray cluster at 127.0.0.1:1 (")


def test_the_reference_engine_computes_the_same_bytes(tmp_path: Path, nodes: Nodes) -> None:
    run = (*SMALL, "--engine", "reference")
    assert ended(nodes.begin(tmp_path, *run))[::2] == (0, ["the results are in results/run"])
    (tmp_path / "alone").mkdir()
    assert gdcli(tmp_path / "alone", *run, "--workers", "1")[0] == 0
    assert tables(tmp_path / "results" / "run") == tables(tmp_path / "alone" / "results" / "run")
