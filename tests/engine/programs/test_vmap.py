"""Derivatives by torch.func do not import torch's compiler, and it is there for whoever asks."""

from __future__ import annotations

import subprocess
import sys

COMPUTED = """
import sys
import torch
from gdcli.engine.programs.vmap import Together
from gdcli.engine.programs.vmap import uncompiled

slopes = Together().slopes(lambda w, _: ((w["a"] ** 3).sum(), {}))
mapped = Together().each(slopes, (False, True), lambda _: None)
gradient, (loss, _) = mapped({"a": torch.tensor([[1.0], [2.0]])}, {})
assert gradient["a"].tolist() == [[3.0], [12.0]] and loss.tolist() == [1.0, 8.0]
assert "torch._dynamo" not in sys.modules
assert "_dynamo" not in vars(torch)
with uncompiled(), uncompiled():
    assert torch._dynamo.config.verbose in {True, False}
    assert torch._dynamo is sys.modules["torch._dynamo"]
assert torch._dynamo is sys.modules["torch._dynamo"]
"""


def test_the_compiler_is_imported_for_those_alone_who_ask_for_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMPUTED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


CHECKED = """
import sys
import torch
from gdcli.engine.programs.vmap import Together

def loss(w, y):
    torch._check(len(y) == 2, lambda: "not two")
    return torch.nn.functional.cross_entropy(w["a"] * torch.ones(len(y), 3), y), {}

def slopes(y):
    mapped = Together().each(Together().slopes(loss), (False, True), lambda _: None)
    return mapped({"a": torch.ones(2, 3)}, torch.tensor(y))

before = torch._check_with
assert slopes([0, 1])[0]["a"].shape == (2, 3)
assert "sympy" not in sys.modules
try:
    slopes([0, 1, 2])
except RuntimeError as error:
    assert "not two" in str(error)
else:
    raise AssertionError
assert torch._check_with is before
"""


def test_what_torch_checks_is_checked_without_its_algebra_of_sizes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHECKED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
