"""Every stacked layer computes what its nn layer computes, trial by trial, forward and back."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gdcli.engine.layers.stacked import KNOWN, StackedLayer, stacked

TRIALS = 3
Size = tuple[int, int]


def kind_of(layer: nn.Module) -> type[StackedLayer] | None:
    """Return the stacked form of a layer, None if there is none."""
    return next((kind for kind in KNOWN if kind.fits(layer)), None)


def one_by_one(layer: nn.Module, x: Tensor, seed: int) -> tuple[list[Tensor], list[list[Tensor]]]:
    """Return each trial's parameters, and its output and gradients by autograd, given its slope.

    x: (trials, ..., batch). The slope is a fixed function of the output, drawn from the seed.
    """
    params, results = [], []
    rng = torch.Generator().manual_seed(seed)
    for trial in x.movedim(-1, 1):
        for param in layer.parameters():
            param.data = torch.randn(param.shape, generator=rng, dtype=torch.float64)
            param.grad = None
        alone = trial.clone().requires_grad_()
        y = layer(alone * 1)  # an inplace layer takes no leaf
        slope = torch.randn(y.shape, generator=rng, dtype=torch.float64)
        y.backward(slope)
        grads = [p.grad for p in layer.parameters() if p.grad is not None]
        assert alone.grad is not None
        params.append([p.detach().clone() for p in layer.parameters()])
        results.append([y.detach(), slope, alone.grad, *grads])
    return [torch.stack(ps) for ps in zip(*params, strict=True)], results


def check(layer: nn.Module, shape: tuple[int, ...], batch: int, seed: int = 0) -> None:
    """Compare a stacked layer with its nn layer, on inputs of a shape without the batch."""
    layer = layer.double()
    kind = kind_of(layer)
    assert kind is not None
    # Distinct values: with ties, which maximum gets the slope would be torch's secret.
    count = TRIALS * batch * torch.Size(shape).numel()
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    x = (order.double() / count * 6 - 3.02).reshape(TRIALS, *shape, batch)
    params, results = one_by_one(layer, x, seed + 1)
    form = kind(layer)
    assert form.parameters == tuple(name for name, _ in layer.named_parameters())
    y, kept = form.forward(params, x)
    slope = torch.stack([slope for _, slope, *_ in results]).movedim(1, -1)
    back, grads = form.backward(params, kept, slope, first=False)
    _, grads_of_first = form.backward(params, kept, slope, first=True)
    assert back is not None
    assert [g.shape for g in grads] == [p.shape for p in params]
    for i, (y_alone, _, back_alone, *grads_alone) in enumerate(results):
        torch.testing.assert_close(y[i].movedim(-1, 0), y_alone, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(back[i].movedim(-1, 0), back_alone, rtol=1e-12, atol=1e-12)
        for ours in (grads, grads_of_first):
            for grad, alone in zip(ours, grads_alone, strict=True):
                torch.testing.assert_close(grad[i], alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(5, 3), (5,)),
        (nn.Linear(1, 1), (1,)),
        (nn.ReLU(), (6,)),
        (nn.ReLU(inplace=True), (2, 3, 4)),
        (nn.Tanh(), (6,)),
        (nn.Sigmoid(), (2, 3, 4)),
        (nn.GELU(), (6,)),
        (nn.Flatten(), (2, 3, 4)),
        (nn.Flatten(), (5,)),
        (nn.Conv2d(1, 2, 3), (1, 3, 3)),
        (nn.Conv2d(2, 3, 3, padding="same"), (2, 7, 5)),
        (nn.Conv2d(2, 3, (3, 1), padding="same"), (2, 5, 4)),
        (nn.Conv2d(2, 3, (1, 5), padding="same"), (2, 3, 2)),
        (nn.Conv2d(3, 2, (2, 4), padding="valid"), (3, 5, 7)),
        (nn.Conv2d(2, 2, 3, padding=2), (2, 4, 5)),
        (nn.Conv2d(2, 2, (3, 2), padding=(0, 3)), (2, 5, 4)),
        (nn.MaxPool2d(2), (3, 7, 5)),
        (nn.MaxPool2d((3, 2)), (2, 7, 7)),
        (nn.MaxPool2d(3, stride=1), (2, 5, 6)),
        (nn.MaxPool2d(3, stride=(2, 1)), (1, 8, 5)),
        (nn.MaxPool2d(2, stride=3), (2, 8, 8)),
        (nn.AvgPool2d(2), (3, 7, 5)),
        (nn.AvgPool2d((1, 3)), (2, 4, 7)),
        (nn.AvgPool2d(3, stride=2), (2, 8, 7)),
    ],
    ids=str,
)
def test_a_stacked_layer_is_its_nn_layer(
    layer: nn.Module, shape: tuple[int, ...], batch: int
) -> None:
    check(layer, shape, batch)


sides = st.integers(1, 4)
pairs = st.tuples(sides, sides)
convolutions = st.builds(
    nn.Conv2d,
    in_channels=sides,
    out_channels=sides,
    kernel_size=pairs,
    padding=st.sampled_from(["same", "valid", 0, 1, (2, 0), (1, 3)]),
)
poolings = st.builds(nn.MaxPool2d, pairs, pairs) | st.builds(nn.AvgPool2d, pairs, pairs)


def image(kernel: Size, larger: Size) -> Size:
    """Return the size of an image that a window fits into so many times."""
    return kernel[0] + larger[0] - 1, kernel[1] + larger[1] - 1


@settings(max_examples=40)
@given(layer=convolutions, larger=pairs, batch=sides, seed=st.integers(0, 99))
def test_any_convolution_that_fits_is_torchs(
    layer: nn.Conv2d, larger: Size, batch: int, seed: int
) -> None:
    kernel = (layer.kernel_size[0], layer.kernel_size[1])
    if layer.padding == "same" and any(side % 2 == 0 for side in kernel):
        assert kind_of(layer) is None
    else:
        check(layer, (layer.in_channels, *image(kernel, larger)), batch, seed)


@settings(max_examples=40)
@given(layer=poolings, larger=pairs, batch=sides, seed=st.integers(0, 99))
def test_any_pooling_is_torchs(
    layer: nn.MaxPool2d | nn.AvgPool2d, larger: Size, batch: int, seed: int
) -> None:
    assert isinstance(layer.kernel_size, tuple)
    kernel = (layer.kernel_size[0], layer.kernel_size[1])
    check(layer, (2, *image(kernel, larger)), batch, seed)


class Clipped(nn.ReLU):
    """A user's own layer: an nn.ReLU by name only."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x, between 0 and 1."""
        return x.clamp(0, 1)


REFUSED = {
    "linear without bias": nn.Linear(3, 2, bias=False),
    "convolution without bias": nn.Conv2d(2, 2, 3, bias=False),
    "stride": nn.Conv2d(2, 2, 3, stride=2),
    "dilation": nn.Conv2d(2, 2, 3, dilation=2),
    "groups": nn.Conv2d(2, 2, 3, groups=2),
    "reflection": nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"),
    "even kernel, same size": nn.Conv2d(2, 2, 2, padding="same"),
    "one dimension": nn.Conv1d(2, 2, 3),
    "transposed": nn.ConvTranspose2d(2, 2, 3),
    "padded maximum": nn.MaxPool2d(2, padding=1),
    "dilated maximum": nn.MaxPool2d(2, dilation=2),
    "maximum, sizes rounded up": nn.MaxPool2d(2, ceil_mode=True),
    "maximum and its place": nn.MaxPool2d(2, return_indices=True),
    "padded mean": nn.AvgPool2d(2, padding=1),
    "mean, sizes rounded up": nn.AvgPool2d(2, ceil_mode=True),
    "mean by another divisor": nn.AvgPool2d(2, divisor_override=3),
    "flattened batch": nn.Flatten(0),
    "flattened in part": nn.Flatten(1, 2),
    "approximate gelu": nn.GELU(approximate="tanh"),
    "relu6": nn.ReLU6(),
    "leaky relu": nn.LeakyReLU(),
    "layer norm": nn.LayerNorm(3),
    "batch norm": nn.BatchNorm2d(2),
    "dropout": nn.Dropout(),
    "a relu of the user's own": Clipped(),
}


@pytest.mark.parametrize("layer", REFUSED.values(), ids=REFUSED)
def test_a_layer_that_would_be_computed_otherwise_is_refused(layer: nn.Module) -> None:
    assert kind_of(layer) is None
    assert stacked(nn.Sequential(nn.Linear(3, 2), layer)) is None


def test_a_sequence_of_known_layers_is_stacked_by_name_in_order() -> None:
    layers = stacked(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)))
    assert layers is not None
    assert list(layers) == ["0", "1", "2", "3"]
    assert [kind.__name__ for kind in map(type, layers.values())] == [
        "Conv2d",
        "Activation",
        "Flatten",
        "StackedLinear",
    ]


class Skip(nn.Sequential):
    """A sequence that adds its input again."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x and what the layers make of it."""
        y = x
        for layer in self:
            y = layer(y)
        return x + y


@pytest.mark.parametrize(
    "module",
    [nn.Linear(2, 2), Skip(nn.Linear(2, 2)), nn.Sequential(nn.Sequential(nn.Linear(2, 2)))],
    ids=["no sequence", "a sequence of its own", "a sequence in a sequence"],
)
def test_what_is_no_plain_sequence_is_not_stacked(module: nn.Module) -> None:
    assert stacked(module) is None


def test_a_layer_that_stands_twice_is_stacked_twice_or_not_at_all() -> None:
    again = nn.ReLU()
    module = nn.Sequential(nn.Linear(3, 4), again, nn.Linear(4, 4), again, nn.Linear(4, 2))
    layers = stacked(module)
    assert layers is None or len(layers) == 5


def test_layers_that_share_a_parameter_are_not_stacked() -> None:
    layer, twin = nn.Linear(3, 3), nn.Linear(3, 3)  # the gradient is the sum over both places
    assert stacked(nn.Sequential(layer, nn.Tanh(), layer)) is None
    twin.weight = layer.weight
    assert stacked(nn.Sequential(layer, nn.Tanh(), twin)) is None
