"""The sentences on what came of a run: each true of the trials that it is made of."""

from collections.abc import Sequence
from math import inf, nan
from pathlib import Path

import pytest

from gdcli.analysis.results import settings_of
from gdcli.analysis.trials import read_trials
from gdcli.report.labels import namer
from gdcli.report.result import result_sentences
from tests.run_folders import Made, write_run


def sentences(folder: Path, trials: Sequence[Made]) -> list[str]:
    run = read_trials(write_run(folder, trials))
    settings = settings_of(run.trials)
    return result_sentences(run, settings, list(map(namer(run.names, settings), settings)))


def held(lr: float, loss: float, seed: int = 0, optimizer: str = "vanilla") -> Made:
    return Made([9.0, loss], lr=lr, seed=seed, optimizer=optimizer)


def lost(lr: float, seed: int = 0) -> Made:
    return Made([9.0, inf], lr=lr, seed=seed, status="diverged")


def failed(lr: float, seed: int = 0) -> Made:
    return Made([], lr=lr, seed=seed, status="failed", message="boom")


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        ([held(0.1, 2)], "learning rate 0.1, the only one tried, ends at a training loss of 2."),
        (
            [held(0.1, 2, seed) for seed in (0, 1)],
            (
                "learning rate 0.1, the only one tried, ends at a median training loss of 2 over 2 "
                "seeds."
            ),
        ),
        (
            [held(0.01, 5), held(0.1, 2), lost(1)],
            (
                "0.1 is the best of the 3 learning rates tried (final training loss 2); the next "
                "larger rate, 1, diverged."
            ),
        ),
        (
            [held(0.01, 5), held(0.1, 2), held(1, 3), lost(10)],
            "0.1 is the best of the 4 learning rates tried (final training loss 2); 10 diverged.",
        ),
        (
            [held(0.01, 5), held(0.1, 2), held(1, 3)],
            "0.1 is the best of the 3 learning rates tried (final training loss 2).",
        ),
        (
            [held(0.01, 5), held(0.1, 2)],
            (
                "0.1 is the best of the 2 learning rates tried (final training loss 2); no larger "
                "rate was tried."
            ),
        ),
        (
            [held(0.01, 2), held(0.1, 5)],
            (
                "0.01 is the best of the 2 learning rates tried (final training loss 2); no "
                "smaller rate was tried."
            ),
        ),
        (
            [held(0.01, 2), held(0.1, 2 + 1e-9), lost(1)],
            (
                "0.01 and 0.1 are the best of the 3 learning rates tried (final training loss 2); "
                "no smaller rate was tried; the next larger rate, 1, diverged."
            ),
        ),
        (
            [*(held(0.1, 2, s) for s in range(3)), held(1, 3, 0), held(1, 3, 1), lost(1, 2)],
            (
                "0.1 is the best of the 2 learning rates tried (median final training loss 2 over "
                "3 seeds); no smaller rate was tried; the next larger rate, 1, diverged for 1 of 3 "
                "seeds."
            ),
        ),
        (
            [held(0.1, 2), failed(1)],
            (
                "0.1 is the best of the 2 learning rates tried (final training loss 2); no smaller "
                "rate was tried; every trial of the next larger rate, 1, failed."
            ),
        ),
        (
            [held(0.1, 2, 0), held(0.1, 2, 1), lost(0.1, 2)],
            (
                "learning rate 0.1, the only one tried, ends at a median training loss of 2 over 3 "
                "seeds, 1 of which diverged."
            ),
        ),
        ([lost(0.1)], "every trial diverged."),
        ([lost(0.1), lost(1)], "every trial diverged at each of the 2 learning rates tried."),
        ([failed(0.1), failed(1)], "every trial failed."),
        (
            [lost(0.1, 0), held(0.1, 2, 1), failed(1)],
            "half of the seeds or more diverged or failed at each of the 2 learning rates tried.",
        ),
        (
            [held(0.1, 2), held(0.1 + 1e-9, 3)],
            (
                "0.1 is the best of the 2 learning rates tried (final training loss 2); no smaller "
                "rate was tried."
            ),
        ),
    ],
)
def test_a_setting_is_a_sentence(tmp_path: Path, trials: Sequence[Made], said: str) -> None:
    (sentence,) = sentences(tmp_path, trials)
    assert sentence == f"gd vanilla: {said}"


def test_rates_that_print_alike_are_told_apart(tmp_path: Path) -> None:
    trials = [held(0.10001, 3), held(0.10002, 2), lost(0.10003)]
    (sentence,) = sentences(tmp_path, trials)
    assert "0.10002 is the best" in sentence
    assert "the next larger rate, 0.10003, diverged" in sentence


def test_each_setting_has_its_own(tmp_path: Path) -> None:
    trials = [held(0.1, 2), held(0.1, nan, optimizer="adam"), held(1, 1, optimizer="adam")]
    vanilla, adam = sentences(tmp_path, trials)
    assert vanilla.startswith("gd vanilla: learning rate 0.1, the only one")
    assert adam.startswith("gd adam: 1 is the best of the 2 learning rates tried")
