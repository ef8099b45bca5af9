"""What is read of a run's folder: plain files, strict JSON of a type, lines of bounded length."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

import pytest

from gdcli import door
from gdcli.errors import UserError


class Kept(TypedDict):
    """A file of a made-up run."""

    count: int
    engine: Literal["auto", "reference"]
    data: dict[str, str]
    rate: NotRequired[float | None]


GOOD = {"count": 3, "engine": "auto", "data": {"a": "b"}, "rate": 0.5, "more": [1]}


def test_a_value_fits_its_type() -> None:
    assert door.fits(GOOD, Kept)
    assert door.fits({**GOOD, "rate": None}, Kept)
    assert door.fits({k: v for k, v in GOOD.items() if k != "rate"}, Kept)


@pytest.mark.parametrize(
    "change",
    [
        *({"count": True}, {"count": 3.0}, {"count": "3"}, {"engine": "other"}, {"engine": []}),
        *({"data": []}, {"data": {"a": 1}}, {"rate": "0.5"}, {"rate": 10**400}, {"rate": [1]}),
    ],
)
def test_a_value_of_another_type_does_not(change: dict[str, Any]) -> None:
    assert not door.fits({**GOOD, **change}, Kept)


@pytest.mark.parametrize("key", ["count", "engine", "data"])
def test_nor_does_one_that_lacks_a_key(key: str) -> None:
    assert not door.fits({k: v for k, v in GOOD.items() if k != key}, Kept)


@pytest.mark.parametrize(
    "text",
    [
        *("NaN", "[Infinity]", "1e999", "[" * 100_000, '{"a":' * 100_000, '"\\ud800"', "\xff", ""),
        "[" * 60 + "]" * 60,
        "9" * 5000,
        f"[{'[],' * 4_000_001}[]]",
    ],
)
def test_what_is_no_strict_json_is_none(text: str) -> None:
    assert door.strict_json(text.encode("latin-1")) is None


def test_a_link_a_pipe_a_folder_and_a_device_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("{}")
    (tmp_path / "link").symlink_to("mine")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    kinds = {"link": "a link", "zero": "a link", "folder": "a folder", "pipe": "a pipe"}
    for name, kind in kinds.items():
        with pytest.raises(UserError, match=f"{name}: it is {kind}; "):
            door.opened(tmp_path / name)
    with pytest.raises(UserError, match="it is a device"):
        door.opened(Path("/dev/null"))


def test_the_hidden_folder_is_no_link_either(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "spec.json").write_text("{}")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".gdcli").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"\.gdcli: it is a link"):
        door.opened(tmp_path / "run" / ".gdcli" / "spec.json")
    (tmp_path / "linked").symlink_to(tmp_path / "elsewhere")  # as a whole run may be
    with door.opened(tmp_path / "linked" / "spec.json") as file:
        assert json.load(file) == {}


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(UserError, match="more than 64 MiB"):
        door.json_of(tmp_path / "sparse", Kept)
    with pytest.raises(UserError, match="sparse:1: the line is longer"):
        next(door.lines(tmp_path / "sparse"))


@pytest.mark.parametrize("text", [b"", b"a", b"a\n", b"a\n\nb", b"a\r\nb\n", b"x" * 3_000 + b"\n"])
@pytest.mark.parametrize("block", [1, 2, 1000, 2**20])
def test_lines_are_those_of_the_file(
    tmp_path: Path, text: bytes, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "BLOCK", block)
    (tmp_path / "table").write_bytes(text)
    assert list(door.lines(tmp_path / "table")) == text.splitlines(keepends=True)
