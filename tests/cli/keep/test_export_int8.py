"""A trial's integers, from which NumPy alone predicts what the rounded network does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from gdcli.engine.examples import examples_of
from gdcli.experiment.toml import load

if TYPE_CHECKING:
    from tests.cli.command_line import Shell

MLP = ("mlp", "--dataset", "iris", "--hidden", "8,6")
CNN = ("cnn", "--examples", "60", "--channels", "3,4")
TRAINED = ("--method", "minibatch", "--epochs", "4", "--lr", "0.05,0.1", "--name", "bits")


def whole(x: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Round each example by itself: integers, and their scale."""
    most = 2 ** (bits - 1) - 1
    size = np.abs(x).max(tuple(range(1, x.ndim)), keepdims=True)
    scale = np.where(size > 0, size / np.float32(most), np.float32(1)).astype(np.float32)
    return np.rint(x / scale).clip(-most, most).astype(np.int32), scale


def predict(file: Any, x: np.ndarray) -> np.ndarray:
    """Return the outputs for examples, by integer products."""
    x = x.astype(np.float32)
    for layer in file["layers"].tolist():
        name, kind = layer.split(" ", 1)
        if kind.startswith("ReLU"):
            x = np.maximum(x, 0)
        elif kind.startswith("Flatten"):
            x = x.reshape(len(x), -1)
        elif kind.startswith("MaxPool2d"):
            n, c, h, w = x.shape
            x = x[:, :, : h // 2 * 2, : w // 2 * 2].reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5))
        else:
            weight, scale = file[f"{name}.weight"].astype(np.int32), file[f"{name}.scale"]
            q, own = whole(x, int(file["bits"][1]))
            if kind.startswith("Linear"):
                x = (q @ weight.T) * (own * scale) + file[f"{name}.bias"]
            else:
                q = np.pad(q, ((0, 0), (0, 0), (1, 1), (1, 1)))
                windows = np.lib.stride_tricks.sliding_window_view(q, (3, 3), (2, 3))
                sums = np.einsum("nchwij,ocij->nohw", windows, weight)
                x = sums * (own * scale[:, None, None]) + file[f"{name}.bias"][:, None, None]
    return x


@pytest.mark.parametrize("problem", [MLP, CNN])
@pytest.mark.parametrize("how", [("qat", "8"), ("qat", "2"), ("ptq", "4"), ("none", "8")])
def test_numpy_predicts_from_integers_what_the_network_does(
    problem: tuple[str, ...], how: tuple[str, str], shell: Shell
) -> None:
    kind, bits = how
    options = ("--quantize", kind, *(() if kind == "none" else ("--weight-bits", bits)))
    assert shell("run", *problem, *options, *TRAINED, "--quiet") == 0
    summary = pd.read_csv("results/bits/summary.csv")
    row = summary.iloc[1]
    arguments = ("--to", "int8", "--trial", row["trial"], "-o", "net.npz")
    assert shell("export", "bits", *arguments) == 0
    assert f"trial {row['trial']} was trained again" in shell.err
    assert f"{row['final_train_loss']:.6g}" in shell.err
    experiment = load(Path("results/bits/experiment.toml"))
    data = examples_of(experiment.grid.trials[0])
    with np.load("net.npz", allow_pickle=False) as file:
        weights = [file[name] for name in file.files if name.endswith(".weight")]
        assert {array.dtype for array in weights} == {np.dtype("int8")}
        assert max(np.abs(array).max() for array in weights) == 2 ** (int(bits) - 1) - 1
        found = predict(file, data.train["x"]).argmax(1) == data.train["y"]
    if kind == "none":  # nothing was measured: eight bits cost next to nothing
        assert abs(found.mean() - row["final_train_accuracy"]) < 0.05
    else:
        # An integer sum and a float one may differ in a tie of two outputs.
        assert found.mean() == pytest.approx(row["final_train_quantized_accuracy"], abs=0.02)


def test_a_mistake_is_one_line(shell: Shell) -> None:
    assert shell("run", "quadratic", "--name", "bowl", "--quiet") == 0
    ids = pd.read_csv("results/bowl/summary.csv")["trial"]
    one = ("--trial", ids[0])
    for arguments, said in [
        (("--trial", "a,b"), r"--trial: int8 takes one trial, and 2 are given; "),
        (one, r"--output: int8 cannot be printed; "),
        ((*one, "-o", "net.txt"), r"--output: 'net\.txt' does not end in \.npz; "),
        ((*one, "-o", "net.npz"), r"--to: int8 is of networks, and quadratic is none; "),
    ]:
        (line,) = shell.refuses("export", "bowl", "--to", "int8", *arguments)
        assert re.match(said, line)
