"""Texts, the windows that char-lm sees, and the rows that the autoencoder repeats."""

from __future__ import annotations

import gzip
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from gdcli.engine.examples import examples_of
from gdcli.errors import UserError
from gdcli.problems.autoencoder import Autoencoder
from gdcli.problems.char_lm import CharLm, read_text
from tests.grids import only, train

if TYPE_CHECKING:
    from pathlib import Path


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("name", ["t.txt", "t.txt.gz"])
def test_the_characters_of_a_text(tmp_path: Path, name: str) -> None:
    content = "\ufeffbäb\r\n😀a\x1b".encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    text = read_text(tmp_path / name)
    assert text.characters == "\n\x1babä😀"
    assert [text.characters[i] for i in text.places] == list("bäb\n😀a\x1b")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "--data: 'FILE' has 0 different characters; give a text with 2 to 1000 different "),
        (b"aaa", "--data: 'FILE' has 1 different characters; give a text with 2 to 1000 differen"),
        (
            "".join(map(chr, range(0x4E00, 0x5300))).encode(),
            "--data: 'FILE' has 1280 different characters; give a text with 2 to 1000 different",
        ),
        (b"one\ntwo\xff", "FILE:2: the byte 0xff is not UTF-8; save the file as UTF-8"),
    ],
)
def test_what_is_no_text(tmp_path: Path, content: bytes, error: str) -> None:
    file = tmp_path / "t"
    file.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_text(file)
    assert str(caught.value).startswith(error.replace("FILE", str(file)))


def test_every_window_is_seen_beside_the_character_that_follows(tmp_path: Path) -> None:
    file = tmp_path / "t"
    file.write_text("abcdefghij")
    data = CharLm(data=file, context=3, test_fraction=0.3).load(rng())
    assert data.train["x"].tolist() == [[i, i + 1, i + 2] for i in range(5)]
    assert data.train["y"].tolist() == [3, 4, 5, 6, 7]
    assert data.test["x"].tolist() == [[5, 6, 7], [6, 7, 8]]
    assert data.test["y"].tolist() == [8, 9]
    few = CharLm(data=file, context=3, test_fraction=0.3, examples=2).load(rng())
    assert few.train["x"].tolist() == [[0, 1, 2], [1, 2, 3]]
    assert few.test["x"].tolist() == data.test["x"].tolist()
    with pytest.raises(UserError) as caught:
        CharLm(data=file, context=10).load(rng())
    assert str(caught.value) == (
        "--data: the text of 10 characters has 0 windows to train on; give a longer text"
    )


def test_a_text_that_repeats_is_learnt(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("abcd" * 40)
    options = {"data": str(tmp_path / "t"), "context": "2", "hidden": "8"}
    run = only(train("char-lm", options, epochs="150"))
    assert run.losses[0] == pytest.approx(math.log(4), rel=0.3)
    assert run.losses[-1] < 0.1
    assert run.values["test_accuracy"][-1] == 1


def test_equal_characters_have_equal_embeddings_wherever_they_stand() -> None:
    problem = CharLm(context=3)
    data = problem.load(rng())
    embedding = problem.module(data)[0]  # type: ignore[index]
    first, second, _ = embedding(torch.tensor([[5, 5, 6]]))[0]
    assert torch.equal(first, second)


def test_the_decoder_mirrors_the_encoder() -> None:
    problem = Autoencoder(hidden=(20, 10), code=3)
    data = problem.load(rng())
    assert data.train["x"] is data.train["y"]
    module = problem.module(data)
    widths = [tuple(p.shape) for p in module.parameters() if p.ndim == 2]
    assert widths == [(20, 64), (10, 20), (3, 10), (10, 3), (20, 10), (64, 20)]
    kinds = [type(layer).__name__ for layer in module.children()]
    assert kinds == ["Linear", "Tanh", "Linear", "Tanh", "Linear"] * 2


def test_a_code_of_one_number_does_about_as_well_as_the_first_principal_component() -> None:
    options = {"dataset": "iris", "hidden": "8", "code": "1"}
    run = only(train("autoencoder", options, epochs="1500", lr="0.5"))
    data = examples_of(run.trial)
    x = data.train["x"] - data.train["x"].mean(axis=0)
    variances = np.linalg.svd(x, compute_uv=False) ** 2 / x.size
    assert run.losses[-1] < 1.5 * variances[1:].sum()
    assert run.losses[-1] < 0.2 * run.losses[0]
