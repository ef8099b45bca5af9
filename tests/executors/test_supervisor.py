"""Several processes on one folder, and executors of one file: every batch once, the same bytes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gdcli.errors import RunError
from gdcli.executors.supervisor import Executor, RunMonitor, Unit, WorkerDied, supervise
from gdcli.runs import atomic
from gdcli.runs.folder import State, state_of
from gdcli.runs.options import RunOptions
from gdcli.runs.run import Run
from tests.executors.test_execute import Counting
from tests.grids import experiment
from tests.runs.command import SABOTEUR, SMALL, begin, end, gdcli, leftovers, tables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gdcli.runs.store import Shard

ALONE = (*SMALL, "--workers", "1")
NOTE = "with open(f'began-{index}', 'a') as file: file.write('x')"
# A batch waits until some batch has been begun by two processes, however late they start.
MEETING = f"""{NOTE}
import glob, time
end = time.monotonic() + 60
while time.monotonic() < end and not any(os.path.getsize(f) > 1 for f in glob.glob('began-*')):
    time.sleep(0.01)
"""
MANY = ("--vary", "condition=" + ",".join(str(k) for k in range(2, 12)))  # 40 batches


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Return the tables of the run in one process."""
    folder = tmp_path_factory.mktemp("whole")
    assert gdcli(folder, *ALONE)[0] == 0
    return tables(folder / "results" / "run")


def test_eight_processes_compute_every_batch_once(tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    assert gdcli(tmp_path / "alone", *ALONE, *MANY)[0] == 0
    processes = [begin(tmp_path, *ALONE, *MANY, sabotage=NOTE) for _ in range(8)]
    assert [end(process)[0] for process in processes] == [0] * 8
    assert tables(tmp_path / "results" / "run") == tables(tmp_path / "alone" / "results" / "run")
    assert {file.read_text() for file in tmp_path.glob("began-*")} == {"x"}
    assert len(list(tmp_path.glob("began-*"))) == 40
    assert not leftovers(tmp_path)


def test_without_locks_work_is_doubled_and_results_are_right(
    tmp_path: Path, whole: list[bytes]
) -> None:
    processes = [
        begin(tmp_path, *ALONE, sabotage=MEETING, **without_locks(tmp_path)) for _ in range(3)
    ]
    assert [end(process)[0] for process in processes] == [0] * 3
    assert tables(tmp_path / "results" / "run") == whole
    assert any(len(file.read_text()) > 1 for file in tmp_path.glob("began-*"))


def without_locks(folder: Path) -> dict[str, str]:
    """Return an environment in which Python finds no lock service, as on Windows."""
    root = Path(atomic.__file__).parents[2]
    saboteur = root / "tests" / "executors" / "saboteur" / "sitecustomize.py"
    # Some builds of Python have fcntl inside: a file of that name would not hide it.
    hidden = "import sys; sys.modules['fcntl'] = None"
    text = f"{hidden}\nexec(open({str(saboteur)!r}).read())\n"
    (folder / "sitecustomize.py").write_text(text)
    return {"PYTHONPATH": f"{folder}:{root}"}


def test_shards_take_every_nth_batch_and_the_last_one_finishes(
    tmp_path: Path, whole: list[bytes]
) -> None:
    run = tmp_path / "results" / "run"
    for shard, done in (("2/3", 1), ("1/3", 3)):
        code, (line,) = gdcli(tmp_path, *ALONE, "--shard", shard)
        assert code == 0
        those = ("batch of another shard is", "batches of other shards are")[done < 3]
        missing = f"{4 - done} {those} not there yet: "
        assert line.startswith(missing)
        assert state_of(run) == State("partial", done, 4)
        assert not (run / "curves.csv").exists()
    assert gdcli(tmp_path, *ALONE, "--shard", "3/3") == (0, ["the results are in results/run"])
    assert tables(run) == whole


def test_a_job_array_is_a_set_of_shards(tmp_path: Path, whole: list[bytes]) -> None:
    tasks = [
        begin(
            tmp_path,
            *ALONE,
            SLURM_ARRAY_TASK_ID=str(number),
            SLURM_ARRAY_TASK_COUNT="2",
            SLURM_ARRAY_TASK_MIN="0",
        )
        for number in (0, 1)
    ]
    assert [end(task)[0] for task in tasks] == [0, 0]
    assert tables(tmp_path / "results" / "run") == whole


def test_a_claim_of_a_killed_process_is_free_at_once(tmp_path: Path, whole: list[bytes]) -> None:
    stuck = begin(tmp_path, *ALONE, sabotage=f"{NOTE}; import time; index or time.sleep(600)")
    while not (tmp_path / "began-0").exists():
        assert stuck.poll() is None
    other = begin(tmp_path, *ALONE)
    assert other.stderr is not None
    told = other.stderr.readline()
    assert told.startswith("waiting for 1 batch that another process computes, unless there is ")
    stuck.kill()
    assert (end(stuck)[0], end(other)[0]) == (-9, 0)
    assert tables(tmp_path / "results" / "run") == whole


IMPATIENT = "import gdcli.runs.atomic as claims; claims.PATIENCE = 0"


def test_a_claim_without_a_sign_of_work_is_not_waited_for(
    tmp_path: Path, whole: list[bytes]
) -> None:
    stuck = begin(tmp_path, *ALONE, sabotage=f"{NOTE}; import time; index or time.sleep(600)")
    while not (tmp_path / "began-0").exists():
        assert stuck.poll() is None
    code, lines = gdcli(tmp_path, *ALONE, sabotage=IMPATIENT)
    assert stuck.poll() is None
    stuck.kill()
    assert (end(stuck)[0], code) == (-9, 0)
    assert lines[0].startswith("waiting for 1 batch that another process computes, unless there")
    assert tables(tmp_path / "results" / "run") == whole


def test_starting_again_is_refused_while_another_process_is_at_work(tmp_path: Path) -> None:
    stuck = begin(tmp_path, *ALONE, sabotage=f"{NOTE}; import time; time.sleep(600)")
    while not (tmp_path / "began-0").exists():
        assert stuck.poll() is None
    code, (line,) = gdcli(tmp_path, *ALONE, "--overwrite")
    stuck.kill()
    assert (end(stuck)[0], code) == (-9, 2)
    assert line.startswith("error: --overwrite: another process is at work in results/run; ")
    assert gdcli(tmp_path, *ALONE, "--overwrite")[0] == 0


ONE_EACH = '''
"""A process for each batch."""

from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from gdcli.executors.local import compute, job_of
from gdcli.executors.supervisor import Executor, WorkerDied


class OneEach(Executor):
    """Computes each batch in a process of its own."""

    reads = frozenset({"workers"})

    def start(self, run, todo, monitor):
        self.job = job_of(run, self.owns)

    def submit(self, index, held):
        pool = ProcessPoolExecutor(1, get_context("spawn"))
        unit = pool.submit(compute, self.job, index, held)
        pool.shutdown(wait=False)
        return unit

    def result(self, unit):
        try:
            return super().result(unit)
        except BrokenProcessPool:
            raise WorkerDied("its process ended") from None
'''


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a copy of gdcli and one file more: an executor."""
    folder = tmp_path_factory.mktemp("package")
    here = Path(atomic.__file__).parents[1]
    shutil.copytree(here, folder / "gdcli", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "gdcli" / "executors" / "one_each.py").write_text(ONE_EACH)
    return folder


def test_a_new_executor_is_one_file_and_its_workers_are_supervised(
    tmp_path: Path, package: Path, whole: list[bytes]
) -> None:
    dies = "open(f'died-{index}', 'x') and os.kill(os.getpid(), 9)"
    once = f"index == 2 and not os.path.exists('died-2') and {dies}"
    given = (*SMALL, "--executor", "one-each", "--workers", "2")
    path = os.pathsep.join([str(SABOTEUR), str(package)])
    code, lines = gdcli(tmp_path, *given, sabotage=once, PYTHONPATH=path)
    assert lines == [
        "batch 2 is tried again: its process ended",
        "the results are in results/run",
    ]
    assert code == 0
    assert tables(tmp_path / "results" / "run") == whole
    always = "index == 1 and os.kill(os.getpid(), 9)"
    code, lines = gdcli(tmp_path, *given, "--overwrite", sabotage=always, PYTHONPATH=path)
    assert code == 1
    assert "it was tried 2 times; at last its process ended; all others are kept" in lines[-1]
    assert state_of(tmp_path / "results" / "run") == State("partial", 3, 4)


def test_a_new_executor_is_in_the_help_and_told_of_its_mistakes(
    tmp_path: Path, package: Path
) -> None:
    where = {"PYTHONPATH": str(package), "COLUMNS": "200"}
    help_of = begin(tmp_path, "run", "quadratic", "--help", **where)
    assert "local|one-each|ray" in help_of.communicate()[0]
    given = (*SMALL, "--executor", "one-each", "--ray-address", "a:1")
    what = "--executor one-each does not use it; leave it out, or give --executor ray"
    assert gdcli(tmp_path, *given, **where) == (2, [f"error: --ray-address: {what}"])
    (line,) = gdcli(tmp_path, *SMALL, "--executor", "one-eech", **where)[1]
    assert line.endswith("is not one of local, one-each, ray; did you mean 'one-each'?")


class Scripted(Executor):
    """Computes two batches at a time, here; the first tries of some end as the script says."""

    script: dict[int, list[Exception]]

    def __init__(self, options: RunOptions, script: dict[int, list[Exception]]) -> None:
        """Take how the first tries of batches end."""
        super().__init__(options)
        self.script, self.cancelled = script, set[int]()

    def capacity(self) -> int:
        """Return two."""
        return 2

    def submit(self, index: int, held: Shard | None) -> Unit:
        """Do half of the steps, and end as the script says; else compute."""
        self.monitor.advance(index, self.monitor.steps(index) // 2)
        if ends := self.script.get(index):
            return Unit(index, ends.pop())
        return Unit(index, self.run.compute(index, held, lambda _: None))

    def wait(self, units: Sequence[Unit], seconds: float) -> Sequence[Unit]:
        """Let the latest end first."""
        return units[-1:]

    def result(self, unit: Unit) -> Shard | Exception:
        """Return what a unit came to."""
        assert unit.found is not None
        return unit.found

    def cancel(self, unit: Unit) -> None:
        """Note it."""
        self.cancelled.add(unit.index)


def supervised(
    folder: Path, script: dict[int, list[Exception]], stopping: Callable[[], bool] = lambda: False
) -> tuple[Run, Scripted, RunMonitor, Counting]:
    """Supervise a run of four batches; `monitor.lost` and the notes tell how it went."""
    given = experiment("quadratic", optimizer="vanilla,adam,momentum,nesterov", epochs="10")
    run, progress = Run(given, RunOptions(output=folder, name="run")), Counting()
    executor, monitor = Scripted(run.options, script), RunMonitor(run, progress)
    run.open()
    with run.locked():
        try:
            supervise(executor, run, [0, 1, 2, 3], monitor, stopping)
        except RunError as error:
            progress.note(str(error))
    return run, executor, monitor, progress


def stored(run: Run) -> list[int]:
    """Return the batches of a run that are stored."""
    return [index for index in range(4) if run.store.load(index)]


def test_the_steps_of_a_batch_that_is_tried_again_count_once(tmp_path: Path) -> None:
    run, _, monitor, progress = supervised(tmp_path, {1: [WorkerDied("its node ended")]})
    assert stored(run) == [0, 1, 2, 3]
    assert (monitor.computed, monitor.lost) == (4, [])
    assert progress.warnings == ["batch 1 is tried again: its node ended"]
    steps = {batch.label: monitor.steps(batch.index) for batch in run.batches}
    assert progress.steps == steps


def test_a_batch_is_given_up_after_as_many_attempts_as_the_executor_makes(tmp_path: Path) -> None:
    deaths: list[Exception] = [WorkerDied("its node ended") for _ in range(Scripted.attempts)]
    run, _, monitor, _ = supervised(tmp_path, {2: deaths})
    assert stored(run) == [0, 1, 3]
    (line,) = monitor.lost
    assert line.startswith("batch 2 of ")
    assert line.endswith("): it was tried 2 times; at last its node ended")


def test_an_error_ends_the_run_when_the_units_in_hand_are_finished(tmp_path: Path) -> None:
    run, executor, _, progress = supervised(tmp_path, {1: [RunError("no room")]})
    assert progress.notes == ["no room"]
    assert executor.cancelled == {0}
    assert stored(run) == [0]


def test_a_batch_that_fails_while_the_run_stops_is_left_to_the_next_run(tmp_path: Path) -> None:
    looks = iter([False, False, *[True] * 9])
    script: dict[int, list[Exception]] = {0: [WorkerDied("its node ended")]}
    run, executor, monitor, progress = supervised(tmp_path, script, lambda: next(looks))
    assert executor.cancelled == {0}
    assert stored(run) == [1]
    assert (progress.warnings, progress.notes, monitor.lost) == ([], [], [])
