"""The table of a run's settings, each at its best learning rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import isfinite

from gdcli.analysis.results import Setting
from gdcli.analysis.trials import Trials
from gdcli.analysis.verdict import WORDS
from gdcli.report.labels import apart, number, word

NO_BEST = "all diverged"


def best_rows(run: Trials, settings: Sequence[Setting]) -> list[dict[str, object]]:
    """Return one row a setting, for programs: numbers in full, None where there is none.

    lr is the best learning rate, by median final training loss over the seeds; seeds are those
    with a result there; train_loss is that median, with its quartiles q1 and q3; test_loss and
    the metrics are medians there. The verdicts are counted over all learning rates.
    """
    return [
        {
            **dict(zip(run.names, setting.values, strict=True)),
            **_best(run, setting),
            **{name: verdicts[name] for name in (*WORDS, "failed")},
        }
        for setting in settings
        for verdicts in [verdicts_of(setting)]
    ]


def _best(run: Trials, setting: Setting) -> dict[str, object]:
    best = setting.best
    loss = best.loss if best else None
    return {
        "lr": best.lr if best else None,
        "seeds": loss.count if loss else None,
        "train_loss": loss.median if loss else None,
        "train_loss_q1": loss.low if loss else None,
        "train_loss_q3": loss.high if loss else None,
        "test_loss": best.test_loss() if best else None,
        **{name: best.metric(name) if best else None for name in run.metrics},
    }


def verdicts_of(setting: Setting) -> Counter[str]:
    """Count the trials of a setting by verdict; those that failed have none."""
    return Counter(t.verdict if t.status != "failed" else "failed" for t in setting.trials)


def in_full(value: object) -> object:
    """Return a value as strict JSON can hold it: nan and inf become "nan" and "inf"."""
    return str(value) if isinstance(value, float) and not isfinite(value) else value


def best_lines(run: Trials, settings: Sequence[Setting]) -> list[dict[str, str]]:
    """Return one row a setting, for people: rounded, without columns that say nothing."""
    rows = best_rows(run, settings)
    rates = apart(setting.best.lr for setting in settings if setting.best)
    lines = []
    for row, setting in zip(rows, settings, strict=True):
        best = setting.best
        loss = best.loss if best else None
        lines.append(
            {
                **{name: word(value) for name, value in zip(run.names, setting.values, strict=True)},
                "best lr": rates[best.lr] if best else "",
                "seeds": str(loss.count) if loss else "",
                "train loss": number(loss.median) if loss else "",
                "quartiles": f"{number(loss.low)} to {number(loss.high)}" if loss else "",
                "test loss": number(best.test_loss()) if best else "",
                **{name: number(best.metric(name)) if best else "" for name in run.metrics},
                "verdicts": ", ".join(f"{n} {v}" for v, n in verdicts_of(setting).items()),
            }
        )
    return lines
