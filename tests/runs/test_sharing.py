"""Several processes on one folder: every batch once, the same bytes, whoever finishes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdcli.errors import UserError
from gdcli.runs import atomic
from gdcli.runs.options import Share, share_of
from gdcli.runs.overview import State, state_of
from tests.runs.command import SMALL, begin, end, gdcli, leftovers, tables

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


@pytest.mark.parametrize(
    ("given", "place", "count"), [("1/1", 1, 1), ("2/4", 2, 4), (" 4/4 ", 4, 4), (None, 1, 1)]
)
def test_a_share_is_read(given: str | None, place: int, count: int) -> None:
    share = share_of(given, {})
    assert share == Share(place, count)
    assert str(share) == f"{place}/{count}"
    taken = [index for index in range(12) if share.takes(index)]
    assert taken == list(range(12))[place - 1 :: count]


@pytest.mark.parametrize("given", ["0/4", "5/4", "1", "a/b", "1/0", "-1/4", "1/2/3", "", "½/2"])
def test_what_is_no_share_is_refused(given: str) -> None:
    with pytest.raises(UserError, match=r"^--shard: .*; give i/n"):
        share_of(given, {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "2"})


ARRAYS = {
    "1-4": ("3", "4", "1", "", Share(3, 4)),
    "0-3": ("0", "4", "0", "", Share(1, 4)),
    "10-30:10": ("30", "3", "10", "10", Share(3, 3)),
    "unnumbered": ("", "", "", "", Share()),
    "no first": ("2", "2", "", "", Share(2, 2)),
}


@pytest.mark.parametrize(("task", "count", "first", "step", "share"), ARRAYS.values(), ids=ARRAYS)
def test_a_task_of_an_array_has_its_share(
    task: str, count: str, first: str, step: str, share: Share
) -> None:
    names = [f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "COUNT", "MIN", "STEP")]
    assert share_of(None, dict(zip(names, (task, count, first, step), strict=True))) == share


@pytest.mark.parametrize("name", ["ID", "COUNT", "MIN", "STEP"])
def test_an_array_of_no_numbers_is_refused(name: str) -> None:
    slurm = {"ID": "1", "COUNT": "3", name: "two"}
    line = f"^SLURM_ARRAY_TASK_{name}: 'two' is no number of a job array; give --shard"
    with pytest.raises(UserError, match=line):
        share_of(None, {f"SLURM_ARRAY_TASK_{key}": value for key, value in slurm.items()})


def test_an_array_with_gaps_is_refused() -> None:
    slurm = {"ID": "7", "COUNT": "3", "MIN": "1", "STEP": "1"}
    with pytest.raises(UserError, match=r"^SLURM_ARRAY_TASK_ID: 7 is none of 3 tasks"):
        share_of(None, {f"SLURM_ARRAY_TASK_{name}": value for name, value in slurm.items()})
