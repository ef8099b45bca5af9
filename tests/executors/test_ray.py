"""`--executor ray`: what is refused before anything is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gdcli.errors import UserError
from gdcli.executors import ray
from gdcli.executors.local import Local
from gdcli.executors.ray import Address, address_of
from gdcli.executors.supervisor import executor_of
from gdcli.runs.options import RunOptions
from tests.runs.command import SMALL, gdcli

if TYPE_CHECKING:
    from pathlib import Path


def test_an_address_is_given_or_in_the_environment_or_to_be_found() -> None:
    assert address_of("head:6379", {"RAY_ADDRESS": "other:1"}) == Address("head:6379")
    assert address_of(None, {"RAY_ADDRESS": "[::1]:6379"}) == Address("[::1]:6379", "RAY_ADDRESS")
    assert address_of(None, {"RAY_ADDRESS": ""}) == address_of(None, {}) == Address("auto")


@pytest.mark.parametrize(
    "text",
    ["local", "head", "head:x", "head:0", "head:99999", ":6379", "http://head:8265", "a/b:1"],
)
def test_another_address_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"^--ray-address: '.*' is not HOST:PORT; give HOST:PORT"):
        address_of(text, {})
    with pytest.raises(UserError, match=r"^RAY_ADDRESS: "):
        address_of(None, {"RAY_ADDRESS": text})


def test_options_that_contradict_each_other_are_refused() -> None:
    line = "--workers: --executor ray does not use it; leave it out, or give --executor local"
    with pytest.raises(UserError, match=line):
        executor_of(RunOptions(executor="ray", workers=2))
    line = "--ray-address: --executor local does not use it; leave it out, or give --executor ray"
    with pytest.raises(UserError, match=line):
        executor_of(RunOptions(ray_address="head:6379"))


def test_without_ray_its_executor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "find_spec", lambda _: None)
    assert isinstance(executor_of(RunOptions()), Local)
    with pytest.raises(UserError, match=r"^--executor: ray is not installed; pip install"):
        executor_of(RunOptions(executor="ray"))


def test_a_refusal_touches_nothing(tmp_path: Path) -> None:
    code, (line,) = gdcli(tmp_path, *SMALL, "--executor", "ray", "--ray-address", "local")
    assert (code, line[:7]) == (2, "error: ")
    assert not list(tmp_path.iterdir())
