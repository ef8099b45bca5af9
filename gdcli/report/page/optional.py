"""The sections of the page that only some runs have: theory, rounding, a landscape, examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import Template
from typing import Any

from gdcli.analysis.best import quantization_rows
from gdcli.analysis.diagnoses import RateDiagnosis
from gdcli.analysis.landscape import NAME, read_landscape
from gdcli.analysis.theory import RunConstants
from gdcli.report.charts.charts import Source
from gdcli.report.page import parts
from gdcli.report.page.explored import explored_content, flips_note, table_columns
from gdcli.report.page.landscape import landscape_content
from gdcli.report.page.own import own
from gdcli.report.page.quantization import quantization_content
from gdcli.report.page.theory import problem_rows, theory_content, theory_curves
from gdcli.studies.explore.files import read_explored, same_examples
from gdcli.studies.explore.show import in_percent

MOST_PROBLEMS = 200


@dataclass
class Sections:
    """What these sections add to the page: their HTML, their links, and their data."""

    sections: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        source: Source,
        manifest: Mapping[str, Any],
        theory: RunConstants | None,
        told: Sequence[RateDiagnosis],
    ) -> Sections:
        """Return what there is of a run; raises UserError where a file of it is damaged.

        `told` is what theory says something of.
        """
        found = cls()
        if theory:
            found._add_theory(source, theory, told)
            found._add_quantization(source, theory)
        found._add_landscape(source)
        found._add_explored(source, manifest)
        return found

    def _add_theory(
        self, source: Source, theory: RunConstants, told: Sequence[RateDiagnosis]
    ) -> None:
        if not told:
            return
        content = theory_content(source, told)
        self.data["theory_curves"] = theory_curves(source, theory)
        rows = problem_rows(theory)[:MOST_PROBLEMS]
        self._add("theory", "Theory", content, problems=parts.table(list(rows[0]), rows))

    def _add_quantization(self, source: Source, theory: RunConstants) -> None:
        rows = quantization_rows(source.run, source.settings, theory)
        if rows:
            table = parts.table(list(rows[0]), rows)
            self._add("quantization", "Quantization", quantization_content(rows), rows=table)

    def _add_landscape(self, source: Source) -> None:
        scene = read_landscape(source.folder)
        if scene is None:
            return
        content = landscape_content(scene, [trial.id for trial in source.run.trials])
        if content is None:
            note = f"{NAME} beside this run has none of its trials, and is not shown."
            self.sections.append(f"<p class='note' id='landscape'>{note}</p>")
            return
        self._add("landscape", "Landscape", content)

    def _add_explored(self, source: Source, manifest: Mapping[str, Any]) -> None:
        found = read_explored(source.folder)
        if found is None:
            return
        if not same_examples(found.study, manifest):
            note = "explore beside this run is of another problem, or other data: not shown."
            self.sections.append(f"<p class='note' id='explored'>{note}</p>")
            return
        table = parts.table(table_columns(found), map(in_percent, found.table))
        wrong = flips_note(found)
        self._add("explored", "Examples", explored_content(found), table=table, wrong=wrong)

    def _add(self, name: str, title: str, content: dict[str, Any], **fields: str) -> None:
        self.sections.append(Template(own(f"{name}.html")).substitute(fields))
        self.links.append(f'<a href="#{name}">{title}</a>')
        self.data[name] = content
