"""A page put together: template, style and scripts, and a policy that allows no others."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template

from gdcli import __version__
from gdcli.report.page.own import own


def document(body: str, scripts: Sequence[str], fields: Mapping[str, str]) -> bytes:
    """Return a page that needs nothing else; of the scripts each may use those before it.

    `body` is the file of what is visible, whose placeholders `fields` fills.
    """
    held = [_plotly(), "".join(own(f"{name}.js") for name in scripts)]
    filled = {
        "version": __version__,
        "style": own("style.css"),
        "hashes": " ".join(map(_hash, held)),
        "scripts": "\n".join(f"<script>{script}</script>" for script in held),
    }
    filled["body"] = Template(own(body)).substitute(fields)
    return Template(own("document.html")).substitute({**fields, **filled}).encode()


def _plotly() -> str:
    """Return plotly.js as the installed package has it."""
    script = files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")
    # It would end the script that holds it.
    return script.replace("</script", r"<\/script").replace("\r\n", "\n")


def _hash(script: str) -> str:
    """Return what allows a script, and no other, in a content security policy."""
    return f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
