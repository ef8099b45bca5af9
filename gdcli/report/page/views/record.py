"""How to run the experiment again, and what the run's manifest says."""

from __future__ import annotations

import json

from gdcli import door
from gdcli.report.page.run_page import Content, PageRun, PageView

FACTS = ("host", "system", "cores", "git", "command", "finished", "spec")  # of the manifest


class ReproduceSection(PageView):
    """The command and the file that run the experiment again."""

    name = "reproduce"
    title = "Reproduce"
    heading = "How to reproduce"
    place = "below"
    order = 10
    template = """{% from "report/page/parts.html" import pre %}
<p>The same experiment from the command line:</p>
{{ pre(command) }}
{% if experiment %}
<p>or as a file, with <code>gdcli sweep experiment.toml</code>:</p>
{{ pre(experiment) }}
{% endif %}
"""

    def content(self, run: PageRun) -> Content:
        """Return the command, and the file where the folder has it: a copy may lack it."""
        file = run.source.folder / "experiment.toml"
        command = str(run.manifest.get("equivalent") or "unknown")
        experiment = door.text(file) if file.exists() else ""
        return Content(fields={"command": command, "experiment": experiment})


class ManifestSection(PageView):
    """Versions, machine and time of the run."""

    name = "manifest"
    title = "Manifest"
    place = "below"
    order = 20
    template = """{% from "report/page/parts.html" import pre %}
<dl>
{% for name, value in facts.items() %}
<dt>{{ name }}</dt><dd>{{ value }}</dd>
{% endfor %}
</dl>
<details><summary>All of it</summary>{{ pre(whole) }}</details>
"""

    def content(self, run: PageRun) -> Content:
        """Return the facts by name, and the whole manifest."""
        manifest, fingerprint = run.manifest, run.manifest.get("fingerprint")
        shown = dict(fingerprint) if isinstance(fingerprint, dict) else {}
        shown |= {key: manifest[key] for key in FACTS if manifest.get(key) is not None}
        facts = {
            name: ", ".join(map(str, value)) if isinstance(value, list) else value
            for name, value in shown.items()
        }
        whole = json.dumps(manifest, indent=2, ensure_ascii=False)
        return Content(fields={"facts": facts, "whole": whole})
