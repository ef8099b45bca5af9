"""What a few bits cost a network: accuracy against bytes, in floats, after and while training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gdcli.analysis.results import Setting

if TYPE_CHECKING:
    from gdcli.analysis.facts import Theory
    from gdcli.analysis.rows import Value
    from gdcli.analysis.trials import Trials
    from gdcli.engine.quantized_size import Quantized

OPTIONS = ("quantize", "weight_bits", "activation_bits", "float_epochs")


def quantization_rows(
    run: Trials, settings: Sequence[Setting], theory: Theory
) -> list[Mapping[str, Value]]:
    """Return one row a setting: what the network scores in floats, rounded, and its bytes.

    Scores are medians over the seeds at the best learning rate, of the test examples where there
    are some: accuracies, or losses. A network that is rounded while it trains has no floats of its
    own: theirs are those of the setting that is the same but for the rounding. The drop is
    positive where rounding costs something.
    """
    held = [(setting, theory.of(run.names, setting.values)) for setting in settings]
    rounded = [(setting, facts.quantized) for setting, facts in held if facts and facts.quantized]
    score = _score(run)
    floats = {
        _rest(run, setting): value
        for setting, found in reversed(rounded)
        if found.how != "qat" and (value := _measured(setting, score)) is not None
    }
    return [_row(run, setting, found, score, floats) for setting, found in rounded]


def _score(run: Trials) -> str:
    """Return the measure that networks are judged by: "test_accuracy", or what there is of it."""
    names = ("test_accuracy", "train_accuracy")
    tests = any(trial.final["test_loss"] is not None for trial in run.trials)
    known = (name for name in names if name in run.metrics and (tests or name[:4] != "test"))
    return next(known, "test_loss" if tests else "train_loss")


def _rest(run: Trials, setting: Setting) -> tuple[Value, ...]:
    """Return the values of a setting that have nothing to do with rounding."""
    pairs = zip(run.names, setting.values, strict=True)
    return tuple(value for name, value in pairs if name not in OPTIONS)


def _measured(setting: Setting, name: str) -> float | None:
    if setting.best is None:
        return None
    if name == "test_loss":
        return setting.best.test_loss()
    return setting.median if name == "train_loss" else setting.best.metric(name)


def _row(
    run: Trials,
    setting: Setting,
    found: Quantized,
    score: str,
    floats: Mapping[tuple[Value, ...], float],
) -> Mapping[str, Value]:
    part, _, measure = score.partition("_")
    value = None
    if found.how != "none" and f"{part}_quantized_{measure}" in run.metrics:
        value = setting.best.metric(f"{part}_quantized_{measure}") if setting.best else None
    whole = floats.get(_rest(run, setting))
    worse = 1 if measure == "loss" else -1
    drop = None
    if value is not None and whole is not None:
        drop = worse * (value - whole) + 0.0  # 0 instead of -0
    names = zip(run.names, setting.values, strict=True)
    return {
        **{name: value for name, value in names if name not in OPTIONS[:3]},
        "quantize": found.how,
        "weight_bits": found.weight_bits,
        "activation_bits": found.activation_bits,
        "lr": setting.best.lr if setting.best else None,
        f"float_{score}": whole,
        f"quantized_{score}": value,
        "drop": drop,
        "float_bytes": found.float_bytes,
        "bytes": found.bytes,
    }
