"""One trial's network as a state_dict of PyTorch.

The problem's module takes it: module.load_state_dict(torch.load(file, weights_only=True)).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdcli.catalog.catalog import name_of
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import precision
from gdcli.engine.initial import state_dict
from gdcli.errors import UserError
from gdcli.exports.exporter import WeightsExporter
from gdcli.problem import Network, StatefulNetwork

if TYPE_CHECKING:
    from gdcli.experiment.grid import Trial
    from gdcli.studies.training import Weights


class ToTorch(WeightsExporter):
    """A state_dict."""

    endings = (".pt", ".pth")

    def check(self, trial: Trial) -> None:
        """Raise UserError for a trial that is not a network."""
        if not isinstance(trial.problem, Network | StatefulNetwork):
            what = f"torch is of networks, and {name_of(trial.problem)} is none"
            raise UserError("--to", what, "give --to npz")

    def content(self, weights: Weights) -> bytes:
        """Return the file."""
        trial = weights.trial
        problem = trial.problem
        assert isinstance(problem, Network | StatefulNetwork)  # noqa: S101 -- others are refused before
        numbers = weights.params | weights.buffers
        return state_dict(problem, examples_of(trial), precision(trial), numbers)
