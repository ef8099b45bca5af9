"""In which settings and surroundings several runs differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

DEFAULT = "default"
MOST_PAIRS = 3  # of runs that are named


def differing_settings(manifests: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Return the settings in which runs differ, by name, and the text of each run's value.

    A setting that one run leaves at its default is said so. `manifests` is by the runs' names.
    """
    said = {name: dict(_said(manifest)) for name, manifest in manifests.items()}
    keys = dict.fromkeys(key for texts in said.values() for key in texts)
    rows = {key: {name: t.get(key, _absent(key)) for name, t in said.items()} for key in keys}
    return {key: row for key, row in rows.items() if len(set(row.values())) > 1}


def unlike_problems(manifests: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line where runs share neither problem nor data: their losses are not comparable."""
    problems = {n: str(m["experiment"]["problem"]) for n, m in manifests.items()}
    if len(set(problems.values())) > 1:
        named = ", ".join(f"{name}: {problem}" for name, problem in problems.items())
        yield f"The runs are of different problems ({named}): their losses do not compare."
        return
    held = {name: _problems(manifest) for name, manifest in manifests.items()}
    apart = [
        f"{a} and {b}" for (a, of_a), (b, of_b) in combinations(held.items(), 2) if not of_a & of_b
    ]
    if apart:
        yield f"The data or functions of {_pairs(apart)} differ: their losses do not compare."
    measured = {name: _losses(manifest) for name, manifest in manifests.items()}
    weights = {name: _weights(manifest) for name, manifest in manifests.items()}
    otherwise = [
        f"{a} and {b}"
        for (a, of_a), (b, of_b) in combinations(measured.items(), 2)
        if held[a] & held[b] and (_apart(of_a, of_b) or _apart(weights[a], weights[b]))
    ]
    if otherwise:
        what = f"The loss functions of {_pairs(otherwise)} differ, as by weights of the classes"
        yield f"{what}: their losses do not compare."


def _pairs(pairs: Sequence[str]) -> str:
    more = f", and {len(pairs) - MOST_PAIRS} more pairs" if len(pairs) > MOST_PAIRS else ""
    return "; ".join(pairs[:MOST_PAIRS]) + more


def _apart(one: set[str], other: set[str]) -> bool:
    return bool(one and other and not one & other)


def _weights(manifest: Mapping[str, Any]) -> set[str]:
    """Return how the classes are weighed, where no constant prediction tells: of a hinge."""
    settings = manifest["experiment"].get("settings", {})
    varied = settings.get("vary", {}).get("class-weights")
    return set(varied or [settings.get("problem", {}).get("class-weights", "none")])


def _losses(manifest: Mapping[str, Any]) -> set[str]:
    """Return what tells the loss functions of a run: what the best constant prediction has.

    To six digits: that in float32 is the same.
    """
    data = manifest.get("data") or {}
    known = [(entry["problem"], entry.get("baseline") or {}) for entry in manifest["theory"]]
    return {
        f"{data.get(problem)} {base['train_loss']:.6g}"
        for problem, base in known
        if base.get("train_loss") is not None
    }


def _problems(manifest: Mapping[str, Any]) -> set[str]:
    """Return what tells the problems of a run: their data; of a pure function its options, too.

    Networks of different sizes on the same data are of one problem.
    """
    data = manifest.get("data") or {}
    pure = {entry["problem"] for entry in manifest["theory"] if entry["examples"] == 1}
    return {f"{key if key in pure else ''} {checksum}" for key, checksum in data.items()}


def _said(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a manifest says of its experiment, and where it ran."""
    yield from _flat(manifest["experiment"].get("settings", {}), "")
    if (engine := manifest.get("engine", {}).get("asked")) is not None:
        yield "engine", str(engine)
    # Of checksums, those that begin alike are alike.
    data = manifest.get("data") or {}
    yield "data", ",".join(sorted({str(checksum)[:8] for checksum in data.values()}))
    yield from _flat(manifest["fingerprint"], "fingerprint.")


def _flat(value: object, prefix: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Mapping):
        yield prefix.removesuffix("."), _text(value)
        return
    for key, part in value.items():
        yield from _flat(part, f"{prefix}{key}.")


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return value if isinstance(value, str) else json.dumps(value)


def _absent(key: str) -> str:
    return "" if key.startswith("fingerprint.") else DEFAULT
