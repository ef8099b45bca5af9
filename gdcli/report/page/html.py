"""A page put together: template, style and scripts, and a policy that allows no others.

The files of this folder that the page is made of.

The parts of the page that are read without its script; every text from a file is escaped.

A small picture as PNG (ISO/IEC 15948), 8 bits a channel, without a library.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli import __version__
from gdcli.analysis.diagnoses import Diagnoses
from gdcli.fields import counted
from gdcli.report.charts.charts import Source
from gdcli.report.console import literal
from gdcli.report.headline import baseline_lines, headline
from gdcli.report.labels import texts_of
from gdcli.report.page.content import Thinned
from gdcli.report.results import best_rows
from gdcli.runs.csv_read import Value
from gdcli.runs.trials import STATUSES

if TYPE_CHECKING:
    from numpy.typing import NDArray


def own(name: str) -> str:
    """Return a file's text."""
    return files("gdcli.report.page").joinpath(name).read_text(encoding="utf-8")


# What charts are drawn with, in this order; every page has these first.
DRAWING = ("chart", "scale", "marks", "plot", "pointer")


def document(body: str, scripts: Sequence[str], fields: Mapping[str, str]) -> bytes:
    """Return a page that needs nothing else; of the scripts each may use those before it.

    `body` is the file of what is visible, whose placeholders `fields` fills.
    """
    script = "".join(own(f"{name}.js") for name in scripts)
    filled = {
        "version": __version__,
        "style": own("style.css"),
        "hash": _hash(script),
        "script": script,
    }
    filled["body"] = Template(own(body)).substitute(fields)
    return Template(own("document.html")).substitute({**fields, **filled}).encode()


def _hash(script: str) -> str:
    """Return what allows a script, and no other, in a content security policy."""
    return f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


MOST_ROWS = 200  # of the best settings
MOST_MESSAGES = 20


def text(value: object) -> str:
    """Return a text as HTML shows it literally."""
    return escape(literal(str(value)))


def summary(source: Source, manifest: Mapping[str, Any]) -> str:
    """Return the sentence under the title."""
    counts = Counter(trial.status for trial in source.run.trials)
    ends = ", ".join(f"{counts[status]} {status}" for status in STATUSES)
    problem = text(_mapping(manifest, "experiment").get("problem", "a problem"))
    return f"{problem}: {counted(len(source.run.trials), 'trial', 'trials')}, {ends}."


def result(source: Source, diagnoses: Diagnoses) -> str:
    """Return what came of the run, in a sentence."""
    said = headline(diagnoses, source.settings, list(map(source.name, source.settings)))
    return "".join(f"<p>{text(sentence)}</p>" for sentence in said)


def listed(lines: Iterable[str]) -> str:
    """Return lines as a list."""
    return f"<ul>{''.join(f'<li>{text(line)}</li>' for line in lines)}</ul>"


def best(source: Source, diagnoses: Diagnoses) -> str:
    """Return the table of the settings, each at its best learning rate."""
    settings = sorted(source.settings, key=lambda setting: setting.median)[:MOST_ROWS]
    found = best_rows(diagnoses, settings)
    rows = [
        {"setting": source.name(setting), **_rest(row, source.run.names)}
        for setting, row in zip(settings, found, strict=True)
    ]
    more = len(source.settings) - len(rows)
    note = f"<p class='note'>{more} settings with higher losses are not shown.</p>" if more else ""
    for line in baseline_lines(diagnoses, settings, list(map(source.name, settings))):
        note += f"<p class='note'>{text(line)}</p>"
    return (
        table([name for name in rows[0] if any(row[name] is not None for row in rows)], rows) + note
    )


def _rest(row: Mapping[str, Value], names: Sequence[str]) -> dict[str, Value]:
    return {name: value for name, value in row.items() if name not in names}


def table(names: Sequence[str], rows: Iterable[Mapping[str, Value]]) -> str:
    """Return rows as a table with the columns of these names."""
    head = "".join(f"<th scope='col'>{text(name).replace('_', ' ')}</th>" for name in names)
    lines = (
        "<tr>" + "".join(f"<td>{text(row[name])}</td>" for name in names) + "</tr>"
        for row in texts_of(list(rows), names)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def failures(source: Source) -> str:
    """Return the messages that trials failed with, the most frequent first."""
    messages = Counter(t.message for t in source.run.trials if t.status == "failed")
    lines = [f"{n} failed: {message}" for message, n in messages.most_common(MOST_MESSAGES)]
    return listed(lines) if lines else ""


def thinned(curves: Thinned) -> str:
    """Return what is said where not every recorded point is on the page."""
    if curves.step == 1:
        return ""
    return (
        "<p class='note' id='thinned'>To keep this page small, curves show every "
        f"{_ordinal(curves.step)} of up to {curves.longest} recorded points, the first and the "
        "last; all are in curves.csv.</p>"
    )


def _ordinal(step: int) -> str:
    """Return 2nd, 4th, 8th, ..., 32nd, ... of a power of 2."""
    return f"{step}{'nd' if step % 10 == 2 and step % 100 != 12 else 'th'}"


def reproduce(manifest: Mapping[str, Any], experiment: str) -> str:
    """Return the command that runs the experiment again, and the file that says the same."""
    parts = ["<p>The same experiment from the command line:</p>", pre(manifest.get("equivalent"))]
    if experiment:
        parts += [
            "<p>or as a file, with <code>gdcli sweep experiment.toml</code>:</p>",
            pre(experiment),
        ]
    return "\n".join(parts)


def facts(manifest: Mapping[str, Any]) -> str:
    """Return what the manifest says of versions, machine and time, and the whole of it."""
    shown = {**_mapping(manifest, "fingerprint"), **_chosen(manifest)}
    items = "".join(f"<dt>{text(key)}</dt><dd>{text(_said(v))}</dd>" for key, v in shown.items())
    return f"<dl>{items}</dl>"


def _chosen(manifest: Mapping[str, Any]) -> dict[str, Any]:
    known = ("host", "system", "cores", "git", "command", "finished", "spec")
    return {key: manifest[key] for key in known if manifest.get(key) is not None}


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _mapping(manifest: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = manifest.get(key)
    return found if isinstance(found, dict) else {}


def pre(content: object) -> str:
    """Return a text as it is laid out."""
    # Lines stay lines here: only what is not printable in them is spelt out.
    lines = "\n".join(map(text, str(content or "unknown").splitlines()))
    return f"<pre tabindex='0'><code>{lines}</code></pre>"


SIGNATURE = b"\x89PNG\r\n\x1a\n"
KINDS = {1: 0, 3: 2}  # channels -> colour type: greyscale, red green blue


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels, (height, width, 1 or 3 channels), as a PNG file."""
    height, width, channels = pixels.shape
    head = struct.pack(">IIBBBBB", width, height, 8, KINDS[channels], 0, 0, 0)
    # Every row begins with the number of its filter: 0, none.
    rows = np.pad(pixels.reshape(height, width * channels), ((0, 0), (1, 0)))
    body = zlib.compress(rows.tobytes(), 9)
    return SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
