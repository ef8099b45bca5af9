"""The folder that `gdcli explore` leaves, and what its figures say: regions, label errors, ranks.

A model contradicts right labels, too: where classes overlap, and where a rare one is hardly learnt.
Each class is therefore its own yardstick. The margins of the examples with its label are taken as
normal on the logit scale, with their median and the wider of their half-spreads, which a few wrong
labels hardly move; the part of that curve below the bound is how many right labels the model would
contradict. Wrong labels are a second hump, far from the class's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from math import exp, inf, lgamma, log
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from gdcli import door
from gdcli.engine.device import resolve
from gdcli.engine.families.family import needs_torch
from gdcli.errors import UserError
from gdcli.experiment.grid import digest
from gdcli.fields import show
from gdcli.numbers import as_given
from gdcli.runs import atomic, manifest
from gdcli.runs.csv_read import Row, Value, read_rows, value_of
from gdcli.runs.fingerprint import data_checksums, fingerprint
from gdcli.runs.spec import code_checksums

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gdcli.experiment.experiment import Experiment
    from gdcli.studies.explore.dynamics import Exploration
    from gdcli.studies.options import Compute, DataMap

    Numbers = NDArray[np.float64]
    Places = NDArray[np.int64]
    Measures = Mapping[str, NDArray[Any]]

FORMAT = 1
FILES = ("examples.csv", "settings.csv", "correlations.csv")
MANIFEST = "manifest.json"
PAGES = (".html", ".htm")  # may lie beside


def identity(experiment: Experiment, options: DataMap) -> str:
    """Return the SHA-256 of all that is explored, and how."""
    return digest(["explore", experiment.hash, asdict(options)])


def folder_for(experiment: Experiment, options: DataMap, given: Path | None) -> Path:
    """Return the folder of an exploration; raises UserError where another thing lies there."""
    own = identity(experiment, options)
    folder = given or Path("results", f"explore-{experiment.name}-{own[:8]}")
    if folder.exists() and not _ours(folder, own):
        what = f"{show(str(folder))} holds something else"
        raise UserError("--folder", what, "give another folder, or remove it")
    return folder


def _ours(folder: Path, own: str) -> bool:
    """Return whether a folder is empty, or holds this exploration or a part of it."""
    if not folder.is_dir():
        return False
    files = (path for path in folder.iterdir() if path.suffix not in PAGES)
    names = {file.name for file in files if not file.name.startswith(atomic.TEMPORARY)}
    if not names <= {*FILES, MANIFEST}:
        return False
    try:
        held = door.json_of(folder / MANIFEST, dict[str, Any])
    except FileNotFoundError:
        held = {"hash": own}
    except UserError:
        return False
    return held is not None and held.get("hash") == own


def write(
    folder: Path, found: Exploration, machine: Compute, tables: Mapping[str, Iterable[str]]
) -> None:
    """Write the tables, by file, and then the manifest, which says that they are whole."""
    atomic.make(folder)
    for name, lines in tables.items():
        atomic.write(folder / name, (line.encode() for line in lines))
    manifest.write(folder, _content(found, machine), tables)


def _content(found: Exploration, machine: Compute) -> dict[str, Any]:
    experiment = found.experiment
    networks = needs_torch(experiment.grid.trials[0].problem)
    device = resolve(machine.device, networks=networks)
    return {
        "format": FORMAT,
        "study": "explore",
        "hash": identity(experiment, found.options),
        "experiment": {
            "problem": experiment.name,
            "hash": experiment.hash,
            "varied": list(experiment.varied),
            "settings": experiment.tables(),
        },
        "data": data_checksums(experiment),
        "options": asdict(found.options),
        "examples": found.examples.data.examples,
        "classes": found.examples.classes,
        "class_names": list(found.examples.described.classes),
        "counted": found.examples.described.counted,
        "trials": {
            "finished": sum(setting.seeds for setting in found.settings),
            "diverged": sum(setting.diverged for setting in found.settings),
        },
        "fingerprint": fingerprint(device, torch=networks or device != "cpu"),
        **manifest.circumstances(),
        **code_checksums(experiment),
    }


REGIONS = ("easy", "ambiguous", "hard")
PERCENT = {*REGIONS, "never_learned", "unforgettable", "precision", "recall"}  # columns
CONFIDENT = 0.5  # mean probability of the label from which an example that is sure is easy


def in_percent(row: Mapping[str, Value]) -> dict[str, Value]:
    """Return a row with its shares as a person reads them: 7.7%."""
    return {
        name: f"{value:.1%}" if name in PERCENT and isinstance(value, float) else value
        for name, value in row.items()
    }


def regions_of(
    confidence: Numbers, variability: Numbers, ambiguous_from: float
) -> NDArray[np.int64]:
    """Return each example's place in REGIONS, (examples,).

    The regions are those of Swayamdipta et al. 2020, with fixed bounds in the place of their
    thirds, so that their shares can be compared: ambiguous is what varies so much or more; the
    rest is easy where the label is as likely as not or likelier in the mean, and hard elsewhere.
    """
    sure = np.where(confidence >= CONFIDENT, REGIONS.index("easy"), REGIONS.index("hard"))
    return np.where(variability >= ambiguous_from, REGIONS.index("ambiguous"), sure)


def margins_of(likely: Numbers, labels: Places) -> Numbers:
    """Return how much likelier the label is than the likeliest other class, (examples,).

    `likely` holds mean probabilities over the epochs, (classes, examples): this is the area under
    the margin of Pleiss et al. 2020, with probabilities in the place of outputs.
    """
    places = labels[None]
    others = likely.copy()
    np.put_along_axis(others, places, -np.inf, axis=0)
    margins: Numbers = np.take_along_axis(likely, places, axis=0)[0] - others.max(0)
    return margins


def precision_and_recall(
    found: NDArray[np.bool_], wanted: NDArray[np.bool_]
) -> tuple[float | None, float | None]:
    """Return the precision and the recall; None where they have no denominator."""
    both = int((found & wanted).sum())
    precision = both / int(found.sum()) if found.any() else None
    return precision, both / int(wanted.sum()) if wanted.any() else None


def rank_correlation(one: Numbers, other: Numbers) -> float | None:
    """Return Spearman's rank correlation; None where all of one's values are the same."""
    a, b = (ranks - ranks.mean() for ranks in map(_ranks, (one, other)))
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else None


def _ranks(values: Numbers) -> Numbers:
    """Return ranks from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Numbers = (np.cumsum(counts) - 0.5 * (counts - 1))[inverse]
    return ranks


NAME = "explore"
CLASSIFIED = ("variability", "confidence", "margin")
REGRESSED = ("loss_deviation", "loss", "final_loss")
COUNTED = ("line", "row_from_0", "sheet_row")  # places in the user's file


class Study(TypedDict):
    """What the manifest of an exploration says, of which little is read."""

    study: Literal["explore"]


@dataclass(frozen=True)
class ExploredSetting:
    """What one setting makes of the examples: a list a column."""

    values: tuple[str, ...]  # of the setting, as the file has them
    examples: Sequence[int]
    measures: Mapping[str, Sequence[float]]  # those of CLASSIFIED, or of REGRESSED
    words: Mapping[str, Sequence[str]]  # label, predicted, region, likely_error, maybe row


@dataclass(frozen=True)
class ExploredRun:
    """All settings, the lowest training loss first, and the table of their shares."""

    names: Sequence[str]  # of a setting's values
    settings: Sequence[ExploredSetting]
    table: Sequence[Mapping[str, Value]]
    classified: bool
    counted: str  # what a "row" counts: "line" and the like, "" where there is none
    study: Mapping[str, Any]  # its manifest


def read_explored(folder: Path) -> ExploredRun | None:
    """Return the exploration in a run's folder; None where there is none that is whole.

    Raises UserError naming the line of examples.csv or settings.csv that is wrong.
    """
    place = folder / NAME
    if place.is_symlink():  # out of the run's folder, perhaps
        return None
    study = _study(place / "manifest.json")
    if study is None:
        return None
    table, losses = _table(place / "settings.csv")
    rows = read_rows(place / "examples.csv")
    header = next(rows)
    count = header.place("example")
    classified = "region" in header.cells
    found = list(_settings(rows, header, count, classified=classified))
    order = sorted(found, key=lambda setting: losses.get(setting.values, inf))
    counted = next((name for name in header.cells[count:] if name in COUNTED), "")
    return ExploredRun(header.cells[:count], order, table, classified, counted, study)


def same_examples(study: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    """Return whether two manifests are of one problem, on the same data."""
    ours, theirs = (_data(each) for each in (study, manifest))
    if ours is None or ours != theirs:
        return False
    held, trained = (_checksums(each) for each in (study, manifest))
    return not held or not trained or bool(held & trained)  # else the file was changed


def _checksums(manifest: Mapping[str, Any]) -> set[str]:
    data = manifest.get("data")
    return set(map(str, data.values())) if isinstance(data, Mapping) else set()


def _data(manifest: Mapping[str, Any]) -> tuple[Any, ...] | None:
    try:
        settings = manifest["experiment"]["settings"]
        return settings["problem"], settings["grid"].get("data-seed", 0)
    except (KeyError, TypeError, AttributeError):
        return None


def _study(file: Path) -> Mapping[str, Any] | None:
    """Return a manifest, which is written last; None where there is none."""
    try:
        found: Mapping[str, Any] | None = door.json_of(file, Study)
    except (UserError, OSError):
        return None
    return found


def _table(file: Path) -> tuple[list[dict[str, Value]], dict[tuple[str, ...], float]]:
    """Return a row for each setting, and the training losses by the values of a setting."""
    header, *rows = read_rows(file)
    if not rows:
        header.refuse("it has no settings")
    count = header.place("seeds")
    # Where no setting was trained to the end there is none.
    loss = header.cells.index("train_loss") if "train_loss" in header.cells else count
    losses = {tuple(row.cells[:count]): row.number(loss, "train_loss") for row in rows}
    table = [dict(zip(header.cells, map(value_of, row.cells), strict=True)) for row in rows]
    return table, {values: loss for values, loss in losses.items() if loss is not None}


def _settings(
    rows: Iterator[Row], header: Row, count: int, *, classified: bool
) -> Iterator[ExploredSetting]:
    measures = {name: header.place(name) for name in (CLASSIFIED if classified else REGRESSED)}
    named = ("label", "predicted", "region", "likely_error") if classified else ("target",)
    words = {name: header.place(name) for name in named}
    # By the names of the classes, and the rows of the file, where there are such columns.
    known = {"class": "label", "predicted_class": "predicted", **dict.fromkeys(COUNTED, "row")}
    words |= {
        known[name]: at for at, name in enumerate(header.cells) if at > count and name in known
    }
    for values, group in groupby(rows, key=lambda row: tuple(row.cells[:count])):
        held = list(group)
        for row in held if classified else ():
            if row.cells[words["region"]] not in REGIONS:
                row.refuse(f"region is none of {', '.join(REGIONS)}")
        yield ExploredSetting(
            values,
            [_whole(row, count) for row in held],
            {name: [row.number_or_nan(at, name) for row in held] for name, at in measures.items()},
            {name: [as_given(row.cells[at]) for row in held] for name, at in words.items()},
        )


def _whole(row: Row, place: int) -> int:
    found = value_of(row.cells[place])
    if not isinstance(found, int):
        row.refuse(f"example is {show(row.cells[place])}, not a whole number")
    return found


def counts_of(
    measures: Measures, flipped: NDArray[np.bool_] | None, expected_false: float | None = None
) -> dict[str, Value]:
    """Return shares and means over the examples, by column; those of a regression are fewer.

    never_learned and unforgettable are shares: of the examples that no seed got right after an
    epoch, and of those that every seed which got them right kept so. forgetting is the mean number
    of times that an example ceased to be right; expected_false is how many of the likely errors
    are right labels, as far as the spread of their classes tells.
    """
    if "region" not in measures:
        return {name: float(values.mean()) for name, values in measures.items()}
    shares = {
        name: float((measures["region"] == place).mean()) for place, name in enumerate(REGIONS)
    }
    never = np.isnan(measures["first_learned"])
    errors = measures["likely_error"]
    counts: dict[str, Value] = {
        **shares,
        "never_learned": float(never.mean()),
        "unforgettable": float(((measures["forgetting"] == 0) & ~never).mean()),
        "forgetting": float(measures["forgetting"].mean()),
        "el2n": float(measures["el2n"].mean()),
        "likely_errors": int(errors.sum()),
        "expected_false": expected_false,
    }
    if flipped is not None and flipped.any():
        counts["precision"], counts["recall"] = precision_and_recall(errors, flipped)
    return counts


FEWEST = 8  # examples of a class whose spread can be told
LEAST = 0.5  # expected of every class: no spread is known so well that none would be
CHANCE = 0.01  # that some class is accused of which every label is right
QUARTER = NormalDist().inv_cdf(0.75)  # half the distance of a normal curve's quartiles
NEAREST = 1e-9  # to a margin of 1 or -1, which has no logit


@dataclass(frozen=True)
class LabelNoise:
    """What a setting's margins say of the labels."""

    accused: NDArray[np.bool_]  # (examples,): those that are likely wrong
    contradicted: int  # examples of which another label is likelier by the bound
    expected: float  # right labels among the accused; where none is, among the contradicted
    untold: tuple[int, ...]  # classes of most of whose examples the model expects another label

    @property
    def expected_false(self) -> float | None:
        """How many of the accused have the right label, None where none is accused."""
        return self.expected if self.accused.any() else None


def label_noise(
    margins: NDArray[np.float64], labels: NDArray[np.int64], bound: float
) -> LabelNoise:
    """Return what the margins of all examples, (examples,), say of their labels.

    Labels with margins of -`bound` or less are accused where in some class there are significantly
    more of these than expected, by Poisson's distribution and Bonferroni's correction; those of
    classes that the model does not tell from the others never are.
    """
    contradicted = margins <= -bound
    accused = np.zeros(len(labels), bool)
    classes = np.unique(labels)
    # With a class's own spread, and with that of its examples that are not contradicted: wrong
    # labels widen the one, and without them the other is too narrow where there are none.
    by_chance, false, untold, significant = 0.0, 0.0, [], False
    for place in classes.tolist():
        own = labels == place
        found = int((contradicted & own).sum())
        if own.sum() < FEWEST or np.median(margins[own]) <= 0:
            by_chance += found
            untold += [place] if own.sum() >= FEWEST else []
            continue
        explained = max(LEAST, _explained(margins[own], bound))
        significant |= _at_least(found, explained) < CHANCE / len(classes)
        by_chance += min(found, explained)
        false += min(found, max(LEAST, _explained(margins[own & ~contradicted], bound)))
        accused |= contradicted & own
    count = int(contradicted.sum())
    if significant:
        return LabelNoise(accused, count, false, tuple(untold))
    return LabelNoise(np.zeros_like(accused), count, by_chance, tuple(untold))


def _explained(margins: NDArray[np.float64], bound: float) -> float:
    """Return how many of a class's examples its spread puts at or below the bound."""
    inner = np.clip(margins, NEAREST - 1, 1 - NEAREST)
    low, middle, high = np.quantile(2 * np.arctanh(inner), [0.25, 0.5, 0.75]).tolist()
    spread = max(middle - low, (high - low) / 2) / QUARTER
    if spread == 0:
        return 0.0
    return len(margins) * NormalDist(middle, spread).cdf(
        2 * float(np.arctanh(max(-bound, NEAREST - 1)))
    )


def _at_least(count: int, mean: float) -> float:
    """Return the chance of so many or more by Poisson's distribution."""
    return 1.0 - sum(exp(k * log(mean) - mean - lgamma(k + 1)) for k in range(count))
