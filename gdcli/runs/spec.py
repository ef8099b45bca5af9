"""What a run's numbers depend on, as strict JSON, and in what two of them differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

NEEDED = {"batches", "data", "engine", "fingerprint", "format"}
LONGEST = 60  # characters of a value in a difference


def identity(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tells runs apart; `settings` only says it in words.

    The same trials can be said in several ways.
    """
    return {key: value for key, value in spec.items() if key != "settings"}


def spec_id(spec: Mapping[str, Any]) -> str:
    """Return 16 hex digits that stand for what tells a run apart."""
    return hashlib.sha256(line(identity(spec))).hexdigest()[:16]


def line(value: Mapping[str, Any]) -> bytes:
    """Return one line of canonical, strict JSON."""
    return json.dumps(value, sort_keys=True, allow_nan=False, default=str).encode() + b"\n"


def read_json(text: bytes) -> Any:
    """Return the value of strict JSON, None where it is none."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def read_spec(folder: Path) -> dict[str, Any] | None:
    """Return the spec of a run's folder, None where it is damaged; raises OSError."""
    spec = read_json((folder / ".gdcli" / "spec.json").read_bytes())
    return spec if isinstance(spec, dict) and set(spec) >= NEEDED else None


def differing(a: Mapping[str, Any], b: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the keys at which two nested mappings differ, in order, as "grid.lr"."""
    for key in sorted({*a, *b}):
        left, right = a.get(key), b.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            yield from differing(left, right, f"{prefix}{key}.")
        elif json.dumps(left, default=str) != json.dumps(right, default=str):
            yield prefix + key


def differences(held: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    """Return the settings that differ, if none does whatever else does: "numpy 2.3 -> 2.4".

    Another engine has other batches and may need other libraries: it alone is said.
    """
    keys = list(differing(held, spec))
    keys = [key for key in keys if key.startswith("settings.")] or keys
    keys = ["engine"] if "engine" in keys else keys
    return ", ".join(_said(key, held, spec) for key in keys)


def _said(key: str, held: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    if key.startswith(("data", "experiment")):  # checksums say nothing to anyone
        return key
    if key.startswith("code."):
        return f"the code of {key.removeprefix('code.')}"
    return f"{key} {_value(held, key)} -> {_value(spec, key)}"


def _value(spec: Mapping[str, Any], key: str) -> str:
    found: Any = spec
    rest = key
    while rest and isinstance(found, Mapping):
        # The name of a setting may have dots itself: vary."momentum.beta".
        name = rest if rest in found else rest.partition(".")[0]
        found, rest = found.get(name), rest[len(name) + 1 :]
    text = found if isinstance(found, str) else json.dumps(found, default=str)
    text = "none" if found is None else text
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
