"""A dry run says which rule moves which parameters; a rule with nothing to move is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.command_line import Shell

NETWORK = ("run", "mlp", "--dataset", "iris", "--method", "minibatch", "--epochs", "1")


def test_a_dry_run_says_which_rule_moves_which_parameters(shell: Shell) -> None:
    given = ("--optimizer", "muon+adamw", "--for", "bias weight-decay=0 lr=2x", "--lr", "0.01")
    assert shell(*NETWORK, *given, "--dry-run") == 0
    said = shell.out.splitlines()
    start = said.index("Parameters of muon+adamw+for on mlp")
    rows = [line.split("  ") for line in said[start + 2 : start + 4]]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells == [
        ["muon", "the trial's", "the trial's", "0.weight, 2.weight"],
        ["adamw", "2x", "0", "0.bias, 2.bias"],
    ]


def test_a_single_rule_for_all_parameters_needs_no_table(shell: Shell) -> None:
    assert shell(*NETWORK, "--optimizer", "adamw", "--lr", "0.01", "--dry-run") == 0
    assert "Parameters of" not in shell.out


def test_a_rule_that_is_left_nothing_to_move_is_refused(shell: Shell) -> None:
    given = ("--optimizer", "adamw", "--for", "* optimizer=lion", "--lr", "0.01")
    (said,) = shell.refuses(*NETWORK, *given)
    assert "adamw moves nothing: --for gives every parameter of mlp to another" in said


def test_a_step_that_is_never_complete_is_refused(shell: Shell) -> None:
    given = ("--optimizer", "adamw+accumulate", "--vary", "accumulate.batches=100", "--lr", "0.01")
    (said,) = shell.refuses(*NETWORK, *given)
    assert said.startswith("accumulate.batches: 100 batches make a step, and the run has 4;")
