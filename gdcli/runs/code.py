"""Which code of the user's own, and of plugins, a run's numbers come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gdcli.catalog.user_code import Source, source_of

if TYPE_CHECKING:
    from gdcli.experiment.experiment import Experiment


def sources_of(experiment: Experiment) -> dict[str, Source]:
    """Return where the classes of an experiment come from that are not gdcli's.

    By what each is: "problem my-bowl", "optimizer my-rule".
    """
    kinds = [("problem", experiment.grid.problem)]
    kinds += [(word, rule) for (word, _), rule in experiment.grid.rules.items()]
    found = ((word, source_of(kind)) for word, kind in kinds)
    return {f"{word} {source.name}": source for word, source in found if source}


def code_checksums(experiment: Experiment) -> dict[str, dict[str, str]]:
    """Return {"code": the SHA-256 of each such file}, nothing at all where there is none.

    As a part of a run's spec, it tells runs of different versions of a file apart.
    """
    checksums = {what: source.sha256 for what, source in sources_of(experiment).items()}
    return {"code": checksums} if checksums else {}


def changed_code(experiment: Experiment, held: Mapping[str, Any]) -> str:
    """Return what is no longer as a spec or a manifest has it, in words, "" if nothing is."""
    then, now = held.get("code", {}), code_checksums(experiment).get("code", {})
    changed = [what for what in now if now[what] != then.get(what)]
    return f"the code of {changed[0]} is not what it was made with" if changed else ""
