"""Draws the pictures of the gallery, each from a run of its experiment.

Run from the project's root: python docs/pictures.py FOLDER [NAME...]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

RATES = ("--kind", "multiples")
# What a picture shows is what the experiment's text names: see docs/gallery.md.
PICTURES: dict[str, tuple[str, ...]] = {
    "learning-rate-too-large": RATES,
    "condition-number": (),
    "momentum": (),
    "gd-vs-sgd-vs-minibatch": RATES,
    "batch-size-and-noise": RATES,
    "schedules": RATES,
    "saddle-point": RATES,
    "escaping-local-minima": RATES,
    "edge-of-stability": (*RATES, "--metric", "sharpness"),
    "deepobs-quadratic": (*RATES, "--metric", "test-loss"),
    "sklearn-mlp": ("--metric", "train-accuracy"),
    "cnn-fashion": RATES,
}


def gdcli(*arguments: str) -> None:
    """Run a command of gdcli."""
    subprocess.run([sys.executable, "-m", "gdcli", *arguments], check=True)  # noqa: S603 -- our own


def draw(name: str, folder: Path, runs: Path) -> None:
    """Run an experiment, recorded as its file says, and draw its picture."""
    gdcli("sweep", f"experiments/{name}.toml", "-o", str(runs), "--quiet")
    picture = folder / f"{name}.svg"
    gdcli("plot", str(runs / name), *PICTURES[name], "-o", str(picture), "--quiet")


def main(folder: Path, names: list[str]) -> None:
    """Draw the named pictures, or all."""
    with TemporaryDirectory() as runs:
        for name in names or PICTURES:
            draw(name, folder, Path(runs))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
