"""One trial's network as integers, in an .npz file from which NumPy alone can predict.

For each linear layer or convolution NAME it holds NAME.weight, int8; NAME.scale, one float32 for
each output, by which its weights are multiplied; and NAME.bias, float32. "layers" names all layers
in their order, as PyTorch writes them, "bits" has those of a weight and of an activation. What a
layer is given is rounded for each example by itself, with the largest magnitude as the largest
level, and multiplied as integers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gdcli.catalog.catalog import name_of
from gdcli.engine.examples import examples_of
from gdcli.engine.initial import integers_of, layers_of
from gdcli.errors import UserError
from gdcli.exports.exporter import WeightsExporter
from gdcli.exports.to_npz import npz
from gdcli.problem import Network

if TYPE_CHECKING:
    from gdcli.experiment.grid import Trial
    from gdcli.studies.training import Weights


class ToInt8(WeightsExporter):
    """An .npz file of integers."""

    endings = (".npz",)

    def check(self, trial: Trial) -> None:
        """Raise UserError for a trial that is not a network, or whose layers are not integers."""
        layers_of(_rounded(trial), examples_of(trial))

    def content(self, weights: Weights) -> bytes:
        """Return the file."""
        problem, data = _rounded(weights.trial), examples_of(weights.trial)
        return npz(integers_of(problem, layers_of(problem, data), weights.params))


def _rounded(trial: Trial) -> Network:
    """Return the network, rounded after training where the run did not round it."""
    problem = trial.problem
    if not isinstance(problem, Network):
        what = f"int8 is of networks, and {name_of(problem)} is none"
        raise UserError("--to", what, "choose a trial of mlp or cnn")
    return replace(problem, quantize="ptq") if problem.quantize == "none" else problem
