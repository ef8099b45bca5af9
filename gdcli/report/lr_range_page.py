"""A search for learning rates as one small page: the sentences, the picture and the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from gdcli.report.figures.figure import figure_bytes
from gdcli.report.lr_range import held, key, labels_of, limits, picture_of, said

if TYPE_CHECKING:
    from gdcli.experiment import Experiment
    from gdcli.studies.lr_range import SettingRange
    from gdcli.studies.options import RangeTest

WIDE = 10_000  # columns: a page scrolls
STYLE = """\
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
figure { background: #fff; margin: 1rem 0; overflow-x: auto; }
svg { height: auto; max-width: 100%; }
pre { overflow-x: auto; }
"""


def page(experiment: Experiment, ranges: Sequence[SettingRange], test: RangeTest) -> bytes:
    """Return the page: one file that needs no other and no network."""
    labels = labels_of(ranges, experiment.varied)
    return "".join(f"{line}\n" for line in _lines(experiment.name, ranges, labels, test)).encode()


def _lines(
    name: str, ranges: Sequence[SettingRange], labels: Sequence[str], test: RangeTest
) -> Iterator[str]:
    title = f"Learning rates of {name}"
    yield '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(title)}</title>\n<style>\n{STYLE}</style>\n<h1>{escape(title)}</h1>"
    for line in said(ranges, labels, test):
        yield f"<p>{escape(line)}</p>"
    drawing = figure_bytes(picture_of(labels, ranges), "svg").decode()
    alt = escape("; ".join(said(ranges, labels, test)))
    yield f'<figure role="img" aria-label="{alt}">{drawing[drawing.index("<svg") :]}</figure>'
    table = "\n".join(line.plain for line in held(ranges, labels, WIDE))
    yield f"<pre>{escape(table)}</pre>"
    for line in [*key(ranges, test), *limits(ranges, labels)]:
        yield f"<p>{escape(line)}</p>"
    yield "</html>"
