"""A page put together: template, style and scripts, and a policy that allows no others."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from string import Template

from gdcli import __version__
from gdcli.report.page.own import own

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
