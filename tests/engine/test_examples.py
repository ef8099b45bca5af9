"""What a problem's `load` may return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from torch import nn

from gdcli.engine.examples import load
from gdcli.errors import UserError
from gdcli.problem import Data, Network

X, Y = np.ones((4, 2)), np.ones((4, 1))


@dataclass(frozen=True)
class Loaded(Network):
    """A network whose examples are whatever they are."""

    criterion: ClassVar[str] = "mse"
    number: int = 0

    def load(self, rng: np.random.Generator) -> Data:
        """Return one of what there is."""
        found: Data = CASES[self.number][0]
        return found

    def module(self, data: Data) -> nn.Module:
        """Return a linear layer."""
        return nn.Linear(2, 1)


CASES: list[tuple[Any, str]] = [
    (Data({"x": X, "y": Y}, {"x": X, "y": Y}), ""),
    ({"x": X, "y": Y}, "its `load` returns dict"),
    ((X, Y), "its `load` returns tuple"),
    (Data({"x": X.tolist(), "y": Y}), '"x" of its training examples is list, and no array'),
    (Data({"x": X, "y": Y[1:]}), 'of its training examples "x" has 4, "y" has 3'),
    (Data({"x": X, "y": Y}, {"x": X[1:], "y": Y}), 'of its test examples "x" has 3, "y" has 4'),
    (Data({"inputs": X, "y": Y}), 'its training examples have no "x"'),
    (Data({"x": X, "y": Y}, {"x": X}), 'its test examples have no "y"'),
]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_what_is_no_examples_is_refused(number: int) -> None:
    found, message = CASES[number]
    if not message:
        assert load(Loaded(number=number), 0) is found
        return
    with pytest.raises(UserError, match=message):
        load(Loaded(number=number), 0)
