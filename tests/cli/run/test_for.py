"""--for: settings of some parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.command_line import Shell


def test_both_values_of_the_command_line_may_be_words_of_their_own(shell: Shell) -> None:
    run = ("run", "mlp", "--dataset", "iris", "--optimizer", "adamw", "--epochs", "1", "--dry-run")
    assert shell(*run, "--for", "bias,norm", "weight-decay=0") == 0
    apart = shell.out
    assert shell(*run, "--for", "bias,norm weight-decay=0") == 0
    assert apart == shell.out
