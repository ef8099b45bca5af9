"""Names of devices, what is refused, and what arrays become on one."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from gdcli.engine.device import Device, NumPy, Torch, device_for, resolve, torch_facts
from gdcli.errors import UserError

without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch see two CUDA devices."""
    monkeypatch.setattr("gdcli.engine.device._loads", lambda _: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@without_cuda
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:3"])
@pytest.mark.parametrize("networks", [True, False])
def test_a_cuda_device_that_is_not_there_is_refused(name: str, networks: bool) -> None:  # noqa: FBT001
    with pytest.raises(UserError) as caught:
        resolve(name, networks=networks)
    expected = f"--device: {name} is not there: there are 0 CUDA devices; use --device cpu"
    assert str(caught.value) == expected


@without_cuda
def test_auto_is_the_cpu_where_there_is_no_other() -> None:
    assert resolve("auto", networks=True) == resolve("auto", networks=False) == "cpu"


@pytest.mark.usefixtures("two_gpus")
def test_auto_is_the_first_gpu_for_networks_only() -> None:
    assert resolve("auto", networks=True) == "cuda:0"
    assert resolve("auto", networks=False) == "cpu"
    assert resolve("cpu", networks=True) == "cpu"


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_is_named_with_its_number() -> None:
    names = {"cuda": "cuda:0", "cuda:0": "cuda:0", "cuda:1": "cuda:1", "cuda:01": "cuda:1"}
    for name, resolved in names.items():
        assert resolve(name, networks=False) == resolve(name, networks=True) == resolved
    with pytest.raises(UserError, match="cuda:2 is not there: there are 2 CUDA devices"):
        resolve("cuda:2", networks=True)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    "name", ["", "tpu", "xpu", "mps", "cpu:0", "auto:0", "cuda:", "cuda:-1", "cuda:a", "cuda:²"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve(name, networks=True)
    expected = f"--device: '{name}' is not a device; give auto, cpu, cuda or cuda:0"
    assert str(caught.value) == expected


def test_without_a_driver_torch_is_not_asked_for_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gdcli.engine.device._loads", lambda _: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("torch was asked"))
    assert resolve("auto", networks=True) == "cpu"
    with pytest.raises(UserError, match="there are 0 CUDA devices"):
        resolve("cuda", networks=False)


def test_toy_and_convex_problems_never_import_torch() -> None:
    code = """
import sys
from gdcli.engine.device import resolve
from tests.grids import train
assert resolve("auto", networks=False) == "cpu"
assert len(train("rosenbrock", steps="3")) == 1
assert len(train("softmax-regression", {"dataset": "iris"}, method="gd,sgd", steps="3")) == 2
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_cpu_is_numpys_except_for_networks() -> None:
    assert device_for("cpu", "float64", networks=False) == NumPy("float64")
    assert device_for("cpu", "float32", networks=True) == Torch("float32")
    there = device_for("cuda:1", "float64", networks=False)
    assert there == Torch("float64", eager=False, name="cuda:1")


devices = pytest.mark.parametrize("device", [NumPy("float32"), Torch("float32")])


@devices
def test_floats_take_the_devices_precision_and_integers_keep_theirs(device: Device) -> None:
    for values in (np.ones(3), np.ones(3, "float32")):
        assert device.host(device.array(values)).dtype == np.float32
    for kind in ("int64", "bool"):
        held = device.host(device.array(np.array([1, 0], kind)))
        assert held.dtype == kind
        assert held.tolist() == [1, 0]


@devices
def test_arrays_come_back_as_they_went(device: Device) -> None:
    values = np.arange(12.0).reshape(3, 4).T[::2]  # a view that is not contiguous
    held = device.host(device.array(values))
    assert held.tolist() == values.tolist()
    assert held.flags.c_contiguous


def test_a_tensor_is_a_copy() -> None:
    values = np.zeros(3)
    array = Torch("float64").array(values)
    values[0] = 1
    assert array.tolist() == [0, 0, 0]


def test_what_bits_depend_on_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    facts = torch_facts("cpu")
    assert facts == {
        "torch": torch.__version__,
        "torch_simd": torch.backends.cpu.get_cpu_capability(),
        "mkl_cbwr": "AVX2",
    }
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda name: f"card of {name}")
    assert torch_facts("cuda:1")["gpu"] == "card of cuda:1"


@devices
def test_a_number_stays_a_number(device: Device) -> None:
    held = device.host(device.array(np.array(3.5)))
    assert held.shape == ()
    assert held == 3.5
