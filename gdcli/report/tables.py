"""The table of a run's settings, each at its best learning rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from gdcli.analysis.results import Setting
from gdcli.analysis.rows import Value
from gdcli.analysis.trials import Trials
from gdcli.analysis.verdict import WORDS
from gdcli.report.labels import apart, short

COUNTED = (*WORDS, "failed")

Row: TypeAlias = Mapping[str, Value]


def best_rows(run: Trials, settings: Sequence[Setting]) -> list[Row]:
    """Return one row a setting, for programs: numbers in full, None where there is none.

    lr is the best learning rate, by median final training loss over the seeds; seeds are those
    with a result there; train_loss is that median, q1 and q3 its quartiles; test_loss and the
    metrics are medians there. Verdicts are counted over the trials at all learning rates.
    """
    return [
        {
            **dict(zip(run.names, setting.values, strict=True)),
            **_best(run, setting),
            **_verdicts(setting),
        }
        for setting in settings
    ]


def _best(run: Trials, setting: Setting) -> dict[str, Value]:
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


def _verdicts(setting: Setting) -> dict[str, int]:
    """Count the trials of a setting by verdict; those that failed have none."""
    counts = Counter(t.verdict if t.status != "failed" else "failed" for t in setting.trials)
    return {word: counts[word] for word in COUNTED}


def best_lines(run: Trials, settings: Sequence[Setting]) -> list[dict[str, str]]:
    """Return the same for people: rounded, without the columns that say nothing."""
    rows = best_rows(run, settings)
    rates = apart(setting.best.lr for setting in settings if setting.best)
    hidden = _hidden(run, rows)
    return [
        {
            **{name: short(row[name]) for name in run.names if name not in hidden},
            "best lr": rates[setting.best.lr] if setting.best else "none",
            "seeds": short(row["seeds"]),
            "train loss": short(row["train_loss"]),
            "quartiles": " .. ".join(short(row[f"train_loss_{q}"]) for q in ("q1", "q3")).strip(
                " ."
            ),
            **{
                name: short(row[name]) for name in ("test_loss", *run.metrics) if name not in hidden
            },
            "verdicts": ", ".join(f"{row[word]} {word}" for word in COUNTED if row[word]),
        }
        for row, setting in zip(rows, settings, strict=True)
    ]


def _hidden(run: Trials, rows: Sequence[Row]) -> set[str]:
    """Return the columns in which there is no choice and no result."""
    hidden = {name for name in ("test_loss", *run.metrics) if all(r[name] is None for r in rows)}
    if all(row["method"] != "minibatch" for row in rows):
        hidden.add("batch_size")
    if len({row["schedule"] for row in rows}) == 1:
        hidden.add("schedule")
    return hidden
