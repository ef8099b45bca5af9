"""The laws of methods and wrappers: the built-in ones keep them, and broken ones are found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gdcli.catalog.catalog import OPTIMIZERS, WRAPPERS
from gdcli.laws.law import kept
from gdcli.laws.laws import check
from gdcli.laws.of_methods import MethodLaws, WrapperLaws
from gdcli.method import Method, Wrapper
from tests.catalog.test_composed import HALVES, MATRICES
from tests.own_code import write


@pytest.mark.parametrize("name", WRAPPERS.names())
def test_wrappers_keep_the_laws(name: str) -> None:
    results = kept(WrapperLaws(WRAPPERS.find(name, "")))
    assert [(r.law, r.result) for r in results] == [
        ("options", "passed"),
        ("shapes", "passed"),
        ("purity", "passed"),
    ], results


METHODS = [n for n in OPTIMIZERS.names() if issubclass(OPTIMIZERS.find(n, ""), Method)]


@pytest.mark.parametrize("name", [*METHODS, "adamw+cautious+ema"])
def test_methods_keep_the_laws(name: str) -> None:
    (results,) = check(name, "gdcli check").values()
    assert {r.result for r in results} == {"passed"}, results


def test_files_of_ones_own_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "matrices.py", MATRICES)
    write(tmp_path, "halves.py", HALVES)
    monkeypatch.chdir(tmp_path)
    for reference, word in (
        ("matrices.py", "optimizer"),
        ("halves.py", "wrapper"),
        ("matrices.py+adamw+halves.py", "optimizer"),
    ):
        found = check(reference, "gdcli check")
        assert [*found] == [word]
        assert {r.result for r in found[word]} == {"passed"}, found


@dataclass(frozen=True)
class InPlace(Method):
    """A method that moves what it is given."""

    def step(self, params: Any, state: Any, ask: Any, lr: Any, step: int) -> Any:
        """Move in place."""
        for name, slope in ask(params)[1].items():
            params[name].sub_(lr * slope)
        return params, state


@dataclass(frozen=True)
class Grows(Method):
    """A method whose state gets longer."""

    def direction(self, params: Any, state: Any, ask: Any, lr: Any, step: int) -> Any:
        """Keep every gradient."""
        _, gradient = ask(params)
        return gradient, {**state, str(step): gradient}


@dataclass(frozen=True)
class Loses(Wrapper):
    """A wrapper that hands out less than all parameters."""

    def at(self, inner: Any, params: Any, state: Any) -> Any:
        """Leave one out."""
        return dict([*params.items()][1:])


@pytest.mark.parametrize(
    ("laws", "law", "said"),
    [
        (MethodLaws(InPlace), "purity", "changes the parameters or the state in place"),
        (MethodLaws(Grows), "shapes", "the form of the state changes in step 1"),
        (WrapperLaws(Loses), "shapes", "at returns the shapes"),
    ],
)
def test_broken_laws_are_found(laws: Any, law: str, said: str) -> None:
    (found,) = [result for result in kept(laws) if result.law == law]
    assert found.result == "failed"
    assert said in found.detail
