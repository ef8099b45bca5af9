"""gdcli's own keep every law, and what breaks one is found out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gdcli.catalog.catalog import OPTIMIZERS, PROBLEMS, SCHEDULES
from gdcli.laws.law import Kept, kept
from gdcli.laws.laws import OptimizerLaws, ProblemLaws, ScheduleLaws, check
from gdcli.optimizer import Optimizer
from tests.grids import TRAINABLE
from tests.own_code import BOWL, NET, RULE, SCHEDULE, write

if TYPE_CHECKING:
    from pathlib import Path

SMALL: dict[str, dict[str, Any]] = {
    "cnn": {"examples": 48, "channels": (3, 4)},
    "mlp": {"dataset": "wine", "hidden": (6,)},
    "softmax-regression": {"dataset": "iris"},
    "matrix-factorization": {"rows": 12, "columns": 9, "density": 0.9},
}


def all_kept(results: list[Kept]) -> bool:
    """Return whether every law was kept; show those that were not."""
    assert results
    assert not [result for result in results if result.result != "passed"]
    return True


# What needs an extra has tests of its own: tests/yolo.
@pytest.mark.parametrize("name", TRAINABLE)
def test_every_problem_keeps_every_law(name: str) -> None:
    assert all_kept(kept(ProblemLaws(PROBLEMS.find(name, ""), SMALL.get(name, {}))))


def test_a_noisy_bowl_keeps_every_law() -> None:
    options = {"noise": 1.0, "examples": 40, "dim": 5, "rotate": True}
    assert all_kept(kept(ProblemLaws(PROBLEMS.find("quadratic", ""), options)))


RULES = {name: OPTIMIZERS.find(name, "") for name in OPTIMIZERS.built_in()}
ELEMENTWISE = {name: rule for name, rule in RULES.items() if issubclass(rule, Optimizer)}


# Those of all parameters have tests of their own: tests/laws/test_of_methods.py.
@pytest.mark.parametrize("rule", ELEMENTWISE.values(), ids=ELEMENTWISE)
def test_every_optimizer_keeps_every_law(rule: type[Optimizer]) -> None:
    assert all_kept(kept(OptimizerLaws(rule)))


@pytest.mark.parametrize("name", SCHEDULES.built_in())
def test_every_schedule_keeps_every_law(name: str) -> None:
    assert all_kept(kept(ScheduleLaws(SCHEDULES.find(name, ""))))


LINEAR = RULE.replace("    share: A", "    linear = True\n    share: A")
COUNT = RULE.replace("return self", "self.calls.append(0)\n        return len(self.calls) * self")
COUNT = COUNT.replace("    share: A", "    calls: ClassVar[list[int]] = []\n    share: A")
COUNT = COUNT.replace("import Annotated", "import Annotated, ClassVar")
METRIC = """    def metrics(self, params, batch):
        return {"height": params["point"][..., 0, :]}

"""
# A text, what in it is replaced by what, the law that this breaks, and what is said.
BROKEN: dict[str, tuple[str, str, str, str, str]] = {
    "phrase": (BOWL, "how steep it is", "", "options", "--stiffness has no help text"),
    "default": (BOWL, "] = 2.0", "] = -2.0", "options", "-2.0 is not more than 0"),
    "gradient": (BOWL, "self.stiffness * point\n", "point\n", "gradient", "the slope is"),
    "dtype": (NET, '"x": x,', '"x": x.astype("f4"),', "data", "is float32: make it float64"),
    "infinite": (NET, '"x": x,', '"x": x / 0,', "data", "is not finite everywhere"),
    "lengths": (NET, '"x": x,', '"x": x[1:],', "data", '"x" has 39, "y" has 40'),
    "list": (NET, '"x": x,', '"x": x.tolist(),', "data", "is list, and no array"),
    "seed": (
        BOWL,
        "rng.standard_normal(3)",
        "__import__('numpy').random.rand(3)",
        "determinism",
        'the start "point" differs between two draws',
    ),
    "in place": (
        BOWL,
        "return 0.5",
        "point *= 1.5\n        return 0.5",
        "purity",
        "it changes point in place",
    ),
    "column": (
        BOWL,
        "    def init",
        METRIC + "    def init",
        "columns",
        "metric_names lacks height",
    ),
    "rate": (
        BOWL,
        "    stiffness",
        "    default_lr = 5.0\n    stiffness",
        "descent",
        "choose another default_lr",
    ),
    "neighbours": (
        BOWL,
        "return self.stiffness * point",
        "return self.stiffness * point + 1e-9 * point.mean()",
        "grid",
        "differs between a grid and the trial alone",
    ),
    "raises": (
        BOWL,
        "return 0.5",
        "raise ValueError('ouch')\n        return 0.5",
        "purity",
        "my_file.py:26: ValueError: ouch",
    ),
    "shape": (RULE, "self.share * grad", "(self.share * grad).sum()", "shapes", "has the shape ()"),
    "state": (RULE, "grad, state\n", "grad, {'last': grad}\n", "shapes", "['last'] after step 1"),
    "nan": (RULE, "self.share * grad", "grad / 0", "shapes", "direction is not finite"),
    "grad": (RULE, "return self", "grad *= 2\n        return self", "purity", "changes grad in"),
    "calls": (COUNT, "", "", "purity", "repeating a step gives another result"),
    "rows": (RULE, "* grad,", "* grad / abs(grad).max(),", "elementwise", "derive from"),
    "numpy": (RULE, "self.share * grad", "__import__('numpy').sign(grad)", "libraries", ""),
    "linear": (LINEAR, "* grad,", "* grad / (1 + abs(grad)),", "linear", "it sets linear = True"),
    "uphill": (RULE, "self.share", "-self.share", "descent", "at none of the rates"),
    "negative": (SCHEDULE, "return 0.5", "return -0.5", "values", "at step 0 of 1 is -"),
    "complex": (SCHEDULE, "return 0.5 **", "return 1j *", "values", "is a complex, not a number"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_breaks_a_law_is_found_out(tmp_path: Path, case: str) -> None:
    text, old, new, law, said = BROKEN[case]
    assert old in text
    text = text.format(layer="nn.Tanh()") if text is NET or "{layer}" in text else text
    old, new = (part.replace("{{", "{").replace("}}", "}") for part in (old, new))
    file = write(tmp_path, "my_file.py", text.replace(old, new))
    (results,) = check(str(file), "test").values()
    failed = {result.law: result.detail for result in results if result.result == "failed"}
    assert law in failed
    assert said in failed[law]


@pytest.mark.parametrize("text", [BOWL, RULE, SCHEDULE, NET.format(layer="nn.Dropout(0.3)")])
def test_what_is_whole_keeps_every_law(tmp_path: Path, text: str) -> None:
    file = write(tmp_path, "my_file.py", text)
    (results,) = check(str(file), "test").values()
    assert all_kept(results)
