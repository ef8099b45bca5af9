"""HTML from templates (Jinja2), with a policy that allows no script but the page's own.

Every value is escaped by Jinja and its control characters are spelt out; only markup that gdcli
itself has made is printed as it is. Templates and scripts are named by their path in the package.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from gdcli import __version__
from gdcli.report.console import literal
from gdcli.report.text_tables import texts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGE = Path(__file__).parents[2]
# What charts are drawn with; every page has these scripts first, and each may use those before it.
DRAWING = tuple(f"report/page/{name}.js" for name in ("chart", "scale", "marks", "plot", "pointer"))


def document(template: str, script: str, fields: Mapping[str, object]) -> bytes:
    """Return a page that needs no other file.

    `template` extends report/page/document.html, and `fields` are what it prints: among them are
    the page's "name" and its "data", as `embedded` returns them.
    """
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    own: dict[str, object] = {
        "version": __version__,
        "style": own_markup(asset("report/page/style.css")),
        "hash": own_markup(f"'sha256-{digest}'"),
        "script": own_markup(script),
    }
    return _environment().get_template(template).render({**fields, **own}).encode()


def rendered(template: str, fields: Mapping[str, object]) -> Markup:
    """Return a piece of a page from the text of its template."""
    return own_markup(_compiled(template).render(fields))


@cache  # many views share one
def _compiled(template: str) -> Template:
    return _environment().from_string(template)


def scripts_of(*paths: str) -> str:
    """Return scripts of the package, one after another."""
    return "".join(map(asset, paths))


def asset(path: str) -> str:
    """Return the text of a file of the package."""
    return (PACKAGE / path).read_text(encoding="utf-8")


def own_markup(text: str) -> Markup:
    """Return markup of gdcli's own, in which every value is escaped already."""
    return Markup(text)  # noqa: S704 -- the only place where a text becomes markup


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_literal,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"texts_of": texts_of, "newline": own_markup("\n")}
    return environment


def _literal(value: object) -> object:
    """Return a value as it is read: the control characters of a text are spelt out."""
    return value if isinstance(value, Markup) else literal(str(value))
