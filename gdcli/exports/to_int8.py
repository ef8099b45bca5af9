"""One trial's network as integers: an .npz file from which NumPy alone can predict.

For each linear layer or convolution NAME it holds NAME.weight, int8; NAME.scale, one float32 for
each output, by which its weights are multiplied; and NAME.bias, float32. "layers" names all layers
in their order, as PyTorch writes them, "bits" has those of a weight and of an activation. What a
layer is given is rounded for each example by itself, with the largest magnitude as the largest
level, and multiplied as integers.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gdcli.discovery import name_of
from gdcli.door import REPAIR
from gdcli.engine.examples import examples_of
from gdcli.engine.initial import starting_point
from gdcli.engine.integers import integers_of, layers_of
from gdcli.errors import UserError
from gdcli.exports.target import refuse_existing
from gdcli.fields import show
from gdcli.problem import Network
from gdcli.runs import atomic
from gdcli.studies.flat import layout_of
from gdcli.studies.options import Machine
from gdcli.studies.training import MakeBar, none_trained, train

if TYPE_CHECKING:
    from gdcli.runs.contents import Contents


def export(run: Contents, trial: str, file: Path, make_bar: MakeBar, *, overwrite: bool) -> str:
    """Train a trial of a run again, from its seed, and write its integers; return what to tell.

    Raises UserError for a trial that is no network, or whose network has layers that are no
    integers.
    """
    refuse_existing([file], overwrite=overwrite)
    chosen = next((t for t in run.experiment.grid.trials if t.id == trial), None)
    if chosen is None:
        what = f"the tables hold trial {show(trial)}, and the experiment does not"
        raise UserError(str(run.folder), what, REPAIR)
    problem = chosen.problem
    if not isinstance(problem, Network):
        what = f"int8 is of networks, and {name_of(problem)} is none"
        raise UserError("--to", what, "choose a trial of mlp or cnn")
    if problem.quantize == "none":
        problem = replace(problem, quantize="ptq")
    data = examples_of(chosen)
    layers = layers_of(problem, data)
    results = train([chosen], Machine(device="cpu"), make_bar, keep=True)
    if results.failed:
        raise none_trained(results.failed)
    trained = results.trained[chosen]
    assert trained.params is not None  # noqa: S101 -- they were kept
    layout = layout_of(starting_point(chosen.problem, data, chosen.seed))
    params = layout.split(trained.params[-1])
    packed, held = io.BytesIO(), integers_of(problem, layers, params)
    np.savez(packed, allow_pickle=False, **held)
    atomic.write(file, [packed.getvalue()])
    return f"trial {trial} was trained again: its training loss ends at {trained.losses[-1]:.6g}"
