"""Options: every mistake is told at once, and what was typed is read as it was meant."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pytest
from annotated_types import Ge

from gdcli.cli.options import checked_file, collect_errors, read
from gdcli.errors import RunError, UserError, UserErrors

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Budget:
    """Options of a test."""

    steps: Annotated[int, "steps", Ge(1)] = 1
    rate: Annotated[float, "rate"] = 0.1


def refused(where: str) -> int:
    """Raise the error of a mistake."""
    raise UserError(where, "it is wrong", "mend it")


def test_what_is_collected_is_returned() -> None:
    with collect_errors() as collect:
        budget = collect(read, Budget, {"steps": "3"})
        number = collect(int, "7")
    assert (budget, number) == (Budget(steps=3), 7)


def full() -> None:
    raise RunError("the disk is full")


def everything(*reads: Callable[[], object]) -> list[object]:
    """Return what all of them return, or raise what they raise."""
    with collect_errors() as collect:
        return [collect(read_one) for read_one in reads]


def test_every_mistake_is_told_at_once() -> None:
    both = partial(read, Budget, {"steps": "0", "rate": "x"})
    with pytest.raises(UserErrors) as found:
        everything(partial(refused, "--one"), both, int, partial(refused, "--two"))
    wheres = [line.partition(":")[0] for line in found.value.lines]
    assert wheres == ["--one", "--steps", "--rate", "--two"]


def test_one_mistake_is_raised_as_it_is() -> None:
    with pytest.raises(UserError, match="--one: it is wrong; mend it") as found:
        everything(int, partial(refused, "--one"))
    assert type(found.value) is UserError


def test_what_is_no_mistake_of_the_command_line_ends_it_at_once() -> None:
    with pytest.raises(RunError):
        everything(partial(refused, "--one"), full)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.gif", "--output: 'a.gif' does not end in .png or .svg; name it a.png"),
        ("no/a.png", "--output: 'no/a.png' is in no folder that exists; give a file in a folder"),
        ("b.svg", "--output: 'b.svg' is a folder; give a file in a folder that exists"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("b.svg").mkdir()
    with pytest.raises(UserError) as found:
        checked_file(Path(name), (".png", ".svg"))
    assert str(found.value).startswith(said)
    assert checked_file(Path("a.PNG"), (".png", ".svg")) == Path("a.PNG")
