"""The laws of methods and wrappers: the built-in ones keep them, and broken ones are found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gdcli import trees
from gdcli.catalog.catalog import OPTIMIZERS, WRAPPERS
from gdcli.laws.law import kept
from gdcli.laws.laws import check
from gdcli.laws.of_methods import MethodLaws, WrapperLaws
from gdcli.mapped import together
from gdcli.method import Method, Wrapper
from tests.catalog.test_composed import HALVES, MATRICES
from tests.own_code import write

LAWS = ["options", "shapes", "purity", "mapping", "reference", "resume", "descent"]


METHODS = [n for n in OPTIMIZERS.names() if issubclass(OPTIMIZERS.find(n, ""), Method)]
WRAPPED = [f"momentum+{name}" for name in WRAPPERS.names()]


@pytest.mark.parametrize("name", [*METHODS, *WRAPPED, "muon+adamw+ema"])
def test_methods_keep_the_laws(name: str) -> None:
    (results,) = check(name, "gdcli check").values()
    assert [r for r in results if r.result != "passed"] == []
    rule = OPTIMIZERS.find(name, "")
    some = getattr(rule, "linear_models", False) or getattr(rule, "needs_labels", False)
    laws = [law for law in LAWS if not some or law not in {"shapes", "purity"}]
    assert [r.law for r in results] == laws


def test_laws_of_a_wrapper_are_those_of_a_rule_within_it() -> None:
    (results,) = check("cautious", "gdcli check").values()
    assert [r for r in results if r.result != "passed"] == []
    assert [r.law for r in results] == LAWS


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


@dataclass(frozen=True)
class ChangesTheGradient(Method):
    """A method that doubles what it was answered."""

    def direction(self, params: Any, state: Any, ask: Any, lr: Any, step: int) -> Any:
        """Double in place."""
        return {name: slope.mul_(2) for name, slope in ask(params)[1].items()}, state


@dataclass(frozen=True)
class Branches(Method):
    """A method that looks at a value."""

    def direction(self, params: Any, state: Any, ask: Any, lr: Any, step: int) -> Any:
        """Turn back where the loss is high."""
        loss, gradient = ask(params)
        return (gradient if loss < 1 else trees.scaled(0.5, gradient)), state


@dataclass(frozen=True)
class Mixes(Method):
    """A method that takes the mean over whatever is stacked."""

    def direction(self, params: Any, state: Any, ask: Any, lr: Any, step: int) -> Any:
        """Return all trials' mean."""
        _, gradient = ask(params)
        mean = together(lambda g: {n: 0 * g[n] + g[n].mean() for n in g}, gradient)
        return mean, state


@dataclass(frozen=True)
class Counts(Method):
    """A method that goes a little further each time that it is called."""

    calls: ClassVar[list[int]] = []

    def direction(self, params: Any, state: Any, ask: Any, lr: Any, step: int) -> Any:
        """Count."""
        self.calls.append(step)
        return trees.scaled(len(self.calls) ** 0.5, ask(params)[1]), state


@dataclass(frozen=True)
class Remembers(Method):
    """A method that keeps a part of its state in itself: the steps since it began."""

    steps: ClassVar[set[int]] = set()

    def init(self, params: Any, about: Any) -> Any:
        """Begin."""
        self.steps.clear()
        return {}

    def direction(self, params: Any, state: Any, ask: Any, lr: Any, step: int) -> Any:
        """Go further with every step."""
        self.steps.add(step)
        return trees.scaled(len(self.steps) ** 0.5, ask(params)[1]), state


@dataclass(frozen=True)
class Uphill(Method):
    """A method that climbs."""

    def direction(self, params: Any, state: Any, ask: Any, lr: Any, step: int) -> Any:
        """Return the way up."""
        return trees.scaled(-1.0, ask(params)[1]), state


@dataclass(frozen=True)
class Rated(Method):
    """A method with a learning rate that is none."""

    default_lr = -1.0

    def direction(self, params: Any, state: Any, ask: Any, lr: Any, step: int) -> Any:
        """Return the gradient."""
        return ask(params)[1], state


@pytest.mark.parametrize(
    ("laws", "law", "said"),
    [
        (MethodLaws(InPlace), "purity", "changes the parameters or the state in place"),
        (MethodLaws(Grows), "shapes", "the form of the state changes in step 1"),
        (MethodLaws(ChangesTheGradient), "purity", "it changes the gradient in place"),
        (MethodLaws(Branches), "mapping", "its trials run one at a time, for torch.func.vmap"),
        (MethodLaws(Mixes), "mapping", "a trial goes another way beside others than by itself"),
        (MethodLaws(Counts), "purity", "repeating a step gives another result"),
        (MethodLaws(Remembers), "resume", "what goes on from step 1 differs"),
        (MethodLaws(Uphill), "descent", "it lowers a loss at none of the rates"),
        (MethodLaws(Rated), "options", "-1.0"),
        (WrapperLaws(Loses), "shapes", "at returns the shapes"),
    ],
)
def test_broken_laws_are_found(laws: Any, law: str, said: str) -> None:
    (found,) = kept([(law, dict(laws)[law])])
    assert found.result == "failed"
    assert said in found.detail


IMPORTS = '''"""An example."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt

from gdcli import trees
from gdcli.method import Method


'''


def test_the_example_of_the_documentation_keeps_the_laws(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "own.md"
    _, _, after = page.read_text("utf-8").partition("```python\n@dataclass(frozen=True)\nclass ")
    text, _, _ = f"@dataclass(frozen=True)\nclass {after}".partition("```")
    (results,) = check(str(write(tmp_path, "normalized.py", IMPORTS + text)), "test").values()
    assert [r for r in results if r.result != "passed"] == []
    assert [r.law for r in results] == LAWS
