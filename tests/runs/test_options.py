"""`--shard` and SLURM's job arrays: which batches are this process's."""

from __future__ import annotations

import pytest

from gdcli.errors import UserError
from gdcli.runs.options import Partition, partition_of


@pytest.mark.parametrize(
    ("given", "place", "count"), [("1/1", 1, 1), ("2/4", 2, 4), (" 4/4 ", 4, 4), (None, 1, 1)]
)
def test_a_part_is_read(given: str | None, place: int, count: int) -> None:
    part = partition_of(given, {})
    assert part == Partition(place, count)
    assert str(part) == f"{place}/{count}"
    taken = [index for index in range(12) if part.takes(index)]
    assert taken == list(range(12))[place - 1 :: count]


@pytest.mark.parametrize("given", ["0/4", "5/4", "1", "a/b", "1/0", "-1/4", "1/2/3", "", "½/2"])
def test_what_is_no_part_is_refused(given: str) -> None:
    with pytest.raises(UserError, match=r"^--shard: .*; give i/n"):
        partition_of(given, {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "2"})


ARRAYS = {
    "1-4": ("3", "4", "1", "", Partition(3, 4)),
    "0-3": ("0", "4", "0", "", Partition(1, 4)),
    "10-30:10": ("30", "3", "10", "10", Partition(3, 3)),
    "unnumbered": ("", "", "", "", Partition()),
    "no first": ("2", "2", "", "", Partition(2, 2)),
}


@pytest.mark.parametrize(("task", "count", "first", "step", "part"), ARRAYS.values(), ids=ARRAYS)
def test_a_task_of_an_array_has_its_part(
    task: str, count: str, first: str, step: str, part: Partition
) -> None:
    names = [f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "COUNT", "MIN", "STEP")]
    assert partition_of(None, dict(zip(names, (task, count, first, step), strict=True))) == part


@pytest.mark.parametrize("name", ["ID", "COUNT", "MIN", "STEP"])
def test_an_array_of_no_numbers_is_refused(name: str) -> None:
    slurm = {"ID": "1", "COUNT": "3", name: "two"}
    line = f"^SLURM_ARRAY_TASK_{name}: 'two' is not a number of a job array; give --shard"
    with pytest.raises(UserError, match=line):
        partition_of(None, {f"SLURM_ARRAY_TASK_{key}": value for key, value in slurm.items()})


def test_an_array_with_gaps_is_refused() -> None:
    slurm = {"ID": "7", "COUNT": "3", "MIN": "1", "STEP": "1"}
    with pytest.raises(UserError, match=r"^SLURM_ARRAY_TASK_ID: task 7 is not one of 3 tasks"):
        partition_of(None, {f"SLURM_ARRAY_TASK_{name}": value for name, value in slurm.items()})
