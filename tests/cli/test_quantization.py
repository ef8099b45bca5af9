"""Networks of a few bits on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.command_line import Shell

VARIED = (
    *("run", "mlp", "--dataset", "iris", "--hidden", "8", "--name", "bits"),
    *("--method", "minibatch", "--epochs", "3", "--lr", "0.1", "--seed", "0,1"),
    *("--vary", "quantize=none,ptq,qat", "--vary", "weight-bits=2,4"),
)


def rows(shell: Shell, *arguments: str) -> list[dict[str, Any]]:
    assert shell("show", "bits", "--view", "quantization", "--format", "json", *arguments) == 0
    found: list[dict[str, Any]] = json.loads(shell.out)
    return found


def test_the_table_says_what_rounding_costs(shell: Shell) -> None:
    assert shell(*VARIED) == 0
    assert "What rounding costs" in shell.out.splitlines()
    found = rows(shell)
    assert [(row["quantize"], row["weight_bits"]) for row in found] == [
        ("none", None),
        *(("ptq", bits) for bits in (2, 4)),
        *(("qat", bits) for bits in (2, 4)),
    ]
    whole = 4 * (4 * 8 + 8 + 8 * 3 + 3)
    assert {row["float_bytes"] for row in found} == {whole}
    two_bits = (4 * 8 + 8 * 3) * 2 // 8 + 2 * 4 * (8 + 3)  # a scale and a bias for each output
    sizes = two_bits, two_bits + 14
    assert [row["bytes"] for row in found] == [whole, *sizes, *sizes]
    for row in found[1:]:
        gap = row["float_test_accuracy"] - row["quantized_test_accuracy"]
        assert row["drop"] == pytest.approx(gap)
        assert row["float_test_accuracy"] == found[0]["float_test_accuracy"]


def test_a_grid_of_one_kind_has_its_table_too(shell: Shell) -> None:
    alone = tuple(x for x in VARIED if "quantize=" not in x and "weight" not in x)
    assert shell(*(x for x in alone if x != "--vary"), "--quantize", "qat") == 0
    (row,) = rows(shell)
    assert row["quantize"] == "qat"
    assert row["weight_bits"] == row["activation_bits"] == 8
    assert row["float_test_accuracy"] is None


def test_workers_shards_and_a_rerun_agree(shell: Shell) -> None:
    assert shell(*VARIED) == 0
    curves = (shell.folder / "results/bits/curves.csv").read_bytes()
    assert shell(*VARIED, "--overwrite", "--workers", "2") == 0
    assert (shell.folder / "results/bits/curves.csv").read_bytes() == curves
    assert shell("verify", "bits") == 0


def test_a_run_without_rounding_has_no_such_table(shell: Shell) -> None:
    assert shell("run", "quadratic", "--name", "bowl", "--quiet") == 0
    assert shell("show", "bowl", "--view", "quantization") == 2
    fix = "give gdcli run --vary quantize=none,ptq,qat"
    assert shell.errors == [f"error: --view: no network of the run is rounded; {fix}"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--weight-bits", "1"), "--weight-bits: 1 is less than 2; "),
        (("--weight-bits", "9"), "--weight-bits: 9 is more than 8; "),
        (("--activation-bits", "33"), "--activation-bits: 33 is more than 32; "),
        (("--quantize", "int8"), "--quantize: 'int8' is not one of none, ptq, qat; "),
        (("--float-epochs", "-1"), "--float-epochs: -1 is less than 0; "),
    ],
)
def test_a_mistake_is_one_line(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    (line,) = shell.refuses("run", "mlp", *arguments)
    assert line.startswith(said)
