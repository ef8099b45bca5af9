"""Results that were published elsewhere: DeepOBS, scikit-learn's gallery, the worked example."""

from __future__ import annotations

import numpy as np
import pytest

from gdcli.engine.recorder import DIVERGED
from tests.grids import only, train


def test_the_deepobs_quadratic_has_its_published_losses() -> None:
    runs = train(
        "quadratic",
        {"instance": "deepobs"},
        method="minibatch",
        batch_size="128",
        order="fixed",
        remainder="drop",
        lr="0.001,0.01,0.0398",
        epochs="100",
    )
    slow, fast, beyond = runs.values()
    assert slow.values["test_loss"][0] == pytest.approx(353.446766, abs=1e-6)
    assert slow.values["test_loss"][-1] == pytest.approx(95.85, rel=0.01)
    assert fast.values["test_loss"][-1] == pytest.approx(87.28, rel=0.01)
    assert beyond.ended == DIVERGED


@pytest.mark.parametrize(("optimizer", "score"), [("vanilla", 0.956), ("momentum", 0.993)])
def test_the_mlp_scores_as_in_scikit_learns_gallery(optimizer: str, score: float) -> None:
    # Only the score: the gallery starts from Glorot's distribution, which is wider than torch's,
    # and its loss of 15 epochs still shows it.
    runs = train(
        "mlp",
        {"hidden": "100", "test_fraction": "0", "l2": "5e-7"},
        method="minibatch",
        batch_size="200",
        optimizer=optimizer,
        lr="0.2",
        epochs="15",
        seed="0:7",
    )
    scores = [run.values["train_accuracy"][-1] for run in runs.values()]
    assert np.median(scores) == pytest.approx(score, abs=0.02)


def test_the_worked_example_steps_from_5_to_4_4() -> None:
    # (w - 2)^2 from w = 5 is the bowl with curvature 2 around 0, from 3.
    runs = train("quadratic", {"dim": "1", "condition": "2"}, lr="0.1", steps="1")
    run = only(runs)
    # From 1 the gradient is 2 and the next point 0.8: the example's 6 and 4.4 - 2, over 3.
    assert run.values["grad_norm"][0] * 3 == 6.0
    assert run.values["distance"][1] * 3 + 2 == pytest.approx(4.4, abs=1e-15)
