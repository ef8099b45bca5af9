"""What a shell offers when it completes a value: names, choices, and runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

from gdcli.catalog.catalog import OPTIMIZERS, SCHEDULES
from gdcli.fields import Option
from gdcli.runs.run_name import NAME

Completion: TypeAlias = Callable[[str], list[str]]
RULES = {catalogue.word: catalogue.names for catalogue in (OPTIMIZERS, SCHEDULES)}


def completion(option: Option) -> Completion | None:
    """Return how the values of an option are completed, None where they are not known."""
    if option.axis and option.name in RULES:
        return one_of(RULES[option.name], many=True)
    return one_of(lambda: option.choices, many=option.many) if option.choices else None


def one_of(names: Callable[[], Iterable[str]], *, many: bool = False) -> Completion:
    """Complete a name, or of `many` with commas between them the last one."""

    def complete(incomplete: str) -> list[str]:
        before, comma, _ = incomplete.rpartition(",") if many else ("", "", "")
        return [before + comma + name for name in names() if name not in before.split(",")]

    return complete


def runs() -> list[str]:
    """Complete the name of a run in results; paths are the shell's own to complete."""
    names = (file.parent.parent.name for file in Path("results").glob("*/.gdcli/spec.json"))
    return sorted(name for name in names if NAME.fullmatch(name))  # the shell reads them as code
