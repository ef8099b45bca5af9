"""An experiment in Python; its arguments have the names of the command line's options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from keyword import iskeyword
from pathlib import Path
from typing import Any, TypeAlias

from gdcli.experiment import experiment, toml

Numbers: TypeAlias = float | str | Iterable[float]
Integers: TypeAlias = int | str | Iterable[int]
Names: TypeAlias = str | Iterable[str]

# What a call has besides the axes and the budget; __class__ comes with super().
NOT_OF_THE_GRID = ("self", "problem", "vary", "zip", "options", "__class__")


class Experiment(experiment.Experiment):
    """One problem, its grid and its budget."""

    def __init__(  # noqa: PLR0913 -- as many as the options of the command line, each with its type
        self,
        problem: str,
        *,
        method: Names | None = None,
        batch_size: Integers | None = None,
        optimizer: Names | None = None,
        schedule: Names | None = None,
        weight_decay: Numbers | None = None,
        clip_norm: Numbers | None = None,
        lr: Numbers | None = None,
        seed: Integers | None = None,
        epochs: int | None = None,
        steps: int | None = None,
        record: str | int | None = None,
        tol: float | None = None,
        target_loss: float | None = None,
        diverge_at: float | None = None,
        order: str | None = None,
        remainder: str | None = None,
        for_: str | None = None,
        measure: str | None = None,
        schedule_for: str | Mapping[str, str] | None = None,
        data_seed: int | None = None,
        dtype: str | None = None,
        vary: Mapping[str, Any] | None = None,
        zip: Names = (),  # noqa: A002 -- its name everywhere
        **options: object,
    ) -> None:
        """Take a problem's name, the axes of the grid and the budget, and options of the problem.

        An axis is one value, several, a NumPy array, or a text as on the command line, such as
        "log:1e-4:1:5". `vary` has further axes by name, such as {"momentum.beta": [0.5, 0.9]};
        each text of `zip` names axes that go in step: "lr,momentum.beta".

        Raises UserError naming every mistake as the command line does.
        """
        grid = {
            name.rstrip("_"): value
            for name, value in locals().items()
            if value is not None and name not in NOT_OF_THE_GRID
        }
        read = _read(problem, options, grid, vary or {}, zip)
        super().__init__(read.problem, read.grid)

    @classmethod
    def from_file(cls, file: str | Path) -> Experiment:
        """Return the experiment of a TOML file; raises UserError naming the line of a mistake."""
        read = toml.load(Path(file))
        made = cls.__new__(cls)
        experiment.Experiment.__init__(made, read.problem, read.grid)
        return made

    def to_toml(self) -> str:
        """Return the experiment as the text of a file for `gdcli sweep`."""
        return toml.dump(self)

    def __repr__(self) -> str:
        """Return the call that makes this experiment."""
        tables = self.tables()
        name = tables["problem"].pop("name")
        given = {**tables["problem"], **tables["grid"]}
        if tables["vary"]:
            given["vary"] = tables["vary"]
        return f"Experiment({name!r}{''.join(map(_said, given, given.values()))})"


def _read(
    problem: str,
    options: Mapping[str, object],
    grid: Mapping[str, object],
    vary: Mapping[str, object],
    zips: Names,
) -> experiment.Experiment:
    """Return the experiment that was given; raises UserError naming every mistake."""
    if "record" in grid:
        grid = {**grid, "record": str(grid["record"])}
    return experiment.read(
        experiment.Given(
            problem=problem,
            options=_plain(options),
            grid=_plain(grid),
            vary=_plain(vary),
            zip=(zips,) if isinstance(zips, str) else tuple(zips),
            where=_where,
        )
    )


def _said(name: str, value: object) -> str:
    plain = str(value) if isinstance(value, Path) else value
    argument = name.replace("-", "_")
    return f", {argument}_={plain!r}" if iskeyword(argument) else f", {argument}={plain!r}"


def _plain(values: Mapping[str, object]) -> dict[str, object]:
    """Return values as TOML has them: arrays and ranges become lists."""
    return {name: _as_toml(value) for name, value in values.items()}


def _as_toml(value: Any) -> object:
    if hasattr(value, "tolist"):  # an array or a number of NumPy's, or a column of pandas'
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Iterable) and not isinstance(value, str | Mapping):
        return [_as_toml(item) for item in value]
    return value


def _where(name: str) -> str:
    """Return the name of a setting in an error, which is that of its option."""
    if name in ("problem", "grid"):
        return {"problem": "problem", "grid": "the grid"}[name]
    return f"--{name.removeprefix('problem ').replace('_', '-')}"
