"""Built-in measures keep every law, and what breaks one is found out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gdcli.catalog.catalog import MEASURES
from gdcli.laws.laws import check
from tests.own_code import write

if TYPE_CHECKING:
    from pathlib import Path

NORM = '''"""Norm of the parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gdcli.measure import Column, Measure


@dataclass(frozen=True)
class Norm(Measure):
    """Its square root."""

    columns = (Column("param_norm", phrase="norm of the parameters"),)
    seen: ClassVar[list[int]] = []

    def values(self, stack, params, evaluation, prepared):
        norm = stack.norm(params)
        return {"param_norm": norm}
'''
CHANGED = "        for param in params.values():\n            param += 1\n        return"
WIDE = '        evaluation.values["grad_norm"][:] = 0\n        return'
SLOPE = "        for slope in evaluation.gradient.values():\n            slope *= 2\n        return"
# What in it is replaced by what, the law that this breaks, and what is said.
BROKEN = {
    "phrase": ('phrase="norm of the parameters"', "", "columns", "has no phrase"),
    "kind": ('Column("param_norm"', 'Column("param_norm", "text"', "columns", "of kind text"),
    "taken": ("param_norm", "test_loss", "columns", "every run has a column test_loss already"),
    "params": ("        return", CHANGED, "purity", "it changes the parameter"),
    "gradient": ("        return", SLOPE, "purity", "it changes the gradient"),
    "values": ("        return", WIDE, "others", "grad_norm is another with the measure"),
    "other": ('{"param_norm"', '{"norm"', "others", "it gives norm, and declares param_norm"),
    "shape": (": norm}", ": norm[None]}", "others", ""),
    "neighbours": (": norm}", ": norm + norm.sum()}", "grid", "param_norm of gd differs"),
    "memory": (
        "        norm = stack.norm(params)",
        "        self.seen.append(0)\n        norm = stack.norm(params) * len(self.seen)",
        "grid",
        "param_norm of gd differs",
    ),
    "raises": (
        "        return",
        "        raise ValueError('ouch')\n        return",
        "grid",
        "ouch",
    ),
}


@pytest.mark.parametrize("name", MEASURES.built_in())
def test_every_measure_keeps_every_law(name: str) -> None:
    (results,) = check(name, "test").values()
    assert [(kept.law, kept.detail) for kept in results if kept.result != "passed"] == []
    assert [kept.law for kept in results] == ["columns", "purity", "others", "engines", "grid"]


def test_a_measure_of_ones_own_keeps_every_law(tmp_path: Path) -> None:
    (results,) = check(str(write(tmp_path, "my_norm.py", NORM)), "test").values()
    assert [(kept.law, kept.detail) for kept in results if kept.result != "passed"] == []


@pytest.mark.parametrize("case", BROKEN)
def test_what_breaks_a_law_is_found_out(tmp_path: Path, case: str) -> None:
    old, new, law, said = BROKEN[case]
    assert old in NORM
    (results,) = check(str(write(tmp_path, "my_norm.py", NORM.replace(old, new))), "test").values()
    failed = {result.law: result.detail for result in results if result.result == "failed"}
    assert law in failed
    assert said in failed[law]
