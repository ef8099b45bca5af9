"""Composed names: which class they mean, how their fields are named, and what is refused."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from gdcli.assembly import Elementwise, Passing, same
from gdcli.catalog.catalog import OPTIMIZERS, WRAPPERS, name_of, owned
from gdcli.catalog.user_code import Stranger, Untrusted, absolute, name_in, parts_of, relative
from gdcli.errors import UserError
from gdcli.experiment.experiment import read
from gdcli.experiment.grid import setting
from gdcli.experiment.toml import dump, loads
from gdcli.optimizers.adam import Adam
from gdcli.optimizers.adamw import AdamW
from gdcli.report.dry_run import trial_rows
from gdcli.runs.spec import code_checksums
from tests.experiments import given
from tests.optimizers.oracle import ask_of, furthest, ours, start
from tests.optimizers.stacked import stacked
from tests.own_code import RULE, write
from tests.rules import LINEAR, METHODS, whole

if TYPE_CHECKING:
    from pathlib import Path

MATRICES = '''"""Descent of matrices alone, with steps of norm 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from gdcli.method import Method


@dataclass(frozen=True)
class Matrices(Method):
    """param -= lr * scale * grad / norm."""

    scale: Annotated[float, "length of a step"] = 1.0

    kinds = frozenset({"matrix", "convolution"})
    default_lr = 0.02

    def direction(self, params, state, ask, lr, step):
        _, grad = self.gradient(params, ask)
        return {n: self.scale * g / g.square().sum().sqrt() for n, g in grad.items()}, state
'''
JUMPS = '''"""Steps that are no direction times a learning rate."""

from __future__ import annotations

from dataclasses import dataclass

from gdcli.method import Method


@dataclass(frozen=True)
class Jumps(Method):
    """param *= 1 - lr."""

    def step(self, params, state, ask, lr, step):
        return {n: (1 - lr) * p for n, p in params.items()}, state
'''
HALVES = '''"""Steps of half the length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from gdcli.method import Wrapper


@dataclass(frozen=True)
class Halves(Wrapper):
    """direction * share."""

    share: Annotated[float, "share of the step that is taken"] = 0.5

    def direction(self, inner, params, state, ask, lr, step):
        direction, after = inner.direction(params, state["inner"], ask, lr, step)
        return {n: self.share * d for n, d in direction.items()}, {"inner": after}
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with code of one's own, which is the working directory."""
    for file, text in (
        ("my_rule.py", RULE),
        ("matrices.py", MATRICES),
        ("jumps.py", JUMPS),
        ("halves.py", HALVES),
    ):
        write(tmp_path, file, text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(reference: str, **values: Any) -> Any:
    return OPTIMIZERS.find(absolute(reference), "--optimizer")(**values)


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("adamw", ("adamw",)),
        ("adamw+cautious+ema", ("adamw", "cautious", "ema")),
        ("./my_rule.py+ema", ("./my_rule.py", "ema")),
        ("my_rule.py+ema", ("my_rule.py", "ema")),
        ("adamw+./c++/halves.py", ("adamw", "./c++/halves.py")),
        ("./c++/my_rule.py+ema", ("./c++/my_rule.py", "ema")),
        ("c++/my_rule.py", ("c++/my_rule.py",)),
        ("/a+b/my_rule.py", ("/a+b/my_rule.py",)),
        ("rules.mine:Steep+ema", ("rules.mine:Steep", "ema")),
        ("torch:Adamax+ema", ("torch:Adamax", "ema")),
        ("./data+more.txt", ("./data+more.txt",)),
        ("adamw+", ("adamw", "")),
    ],
)
def test_a_plus_ends_a_part_where_a_part_is_complete(
    reference: str, parts: tuple[str, ...]
) -> None:
    assert parts_of(reference) == parts


def test_a_file_in_a_folder_with_a_plus_is_a_file(folder: Path) -> None:
    (folder / "a+b").mkdir()
    write(folder / "a+b", "my_rule.py", RULE)
    assert parts_of("a+b/my_rule.py") == ("a+b/my_rule.py",)
    assert name_of(made("./a+b/my_rule.py+ema")) == "my-rule+ema"


@pytest.mark.usefixtures("folder")
def test_the_fields_are_those_of_the_parts() -> None:
    cls = OPTIMIZERS.find("adamw+cautious+ema", "--optimizer")
    assert [f.name for f in fields(cls)] == [
        *("weight_decay", "clip_norm", "groups"),
        *("adamw__beta1", "adamw__beta2", "adamw__eps", "ema__decay"),
    ]
    assert set(cls.stacked_fields()) == {f.name for f in fields(cls)} - {"clip_norm", "groups"}
    assert cls().weight_decay == AdamW().weight_decay
    assert made("adam+ema").weight_decay == Adam().weight_decay
    assert name_of(cls()) == "adamw+cautious+ema"
    assert cls is OPTIMIZERS.find("adamw+cautious+ema", "--optimizer")
    assert "ema.decay" in owned("adamw+cautious+ema", cls)
    whole = OPTIMIZERS.find(absolute("matrices.py+adamw"), "--optimizer")
    assert whole.default_lr == 0.02
    assert whole.kinds is None  # type: ignore[attr-defined]
    assert made("matrices.py+ema").kinds == {"matrix", "convolution"}


def test_settings_of_parts_are_axes() -> None:
    experiment = read(
        given(
            grid={"optimizer": "adamw,adamw+ema", "weight-decay": "0,0.1"},
            vary={"ema.decay": "0.9,0.99", "adamw.beta2": "0.9,0.95"},
        )
    )
    plain = [t for t in experiment.grid.trials if name_of(t.optimizer) == "adamw"]
    averaged = [t for t in experiment.grid.trials if name_of(t.optimizer) == "adamw+ema"]
    assert (len(plain), len(averaged)) == (4, 8)
    assert {setting(t, "ema.decay") for t in plain} == {None}
    assert {setting(t, "ema.decay") for t in averaged} == {0.9, 0.99}
    assert {setting(t, "adamw.beta2") for t in (*plain, *averaged)} == {0.9, 0.95}
    assert {setting(t, "weight_decay") for t in averaged} == {0.0, 0.1}
    alone = read(
        given(
            grid={"optimizer": "adamw", "weight-decay": "0,0.1"}, vary={"adamw.beta2": "0.9,0.95"}
        )
    )
    assert {t.id for t in plain} == {t.id for t in alone.grid.trials}
    rows = trial_rows(experiment.grid.trials)
    assert {row["ema.decay"] for row in rows} == {None, 0.9, 0.99}


def test_a_file_says_the_same(folder: Path) -> None:
    experiment = read(
        given(
            grid={"optimizer": "adamw,my_rule.py+halves.py+ema"},
            vary={"ema.decay": "0.9,0.99", "halves.share": "0.5,0.7", "my-rule.share": "1,2"},
        )
    )
    again = loads(dump(experiment), folder / "e.toml")
    assert again.hash == experiment.hash
    local = dump(experiment, local=True)
    assert '"./my_rule.py+./halves.py+ema"' in local
    assert loads(local, folder / "e.toml").hash == experiment.hash
    assert set(code_checksums(experiment)["code"]) == {"optimizer my-rule", "wrapper halves"}
    assert name_in("./my_rule.py+./halves.py+ema") == "my-rule+halves+ema"
    assert relative(absolute("my_rule.py+ema")) == "./my_rule.py+ema"


def test_code_in_a_composed_name_is_run_where_it_may_be(folder: Path) -> None:
    reference = absolute("my_rule.py+halves.py+ema")
    sums = {
        f"{word} {name}": hashlib.sha256((folder / file).read_bytes()).hexdigest()
        for word, name, file in (
            ("optimizer", "my-rule", "my_rule.py"),
            ("wrapper", "halves", "halves.py"),
        )
    }
    with pytest.raises(Untrusted):
        Stranger("run", sums, trust=False).admit("optimizer", reference)
    Stranger("run", sums, trust=True).admit("optimizer", reference)
    sums["wrapper halves"] = "of another file"
    with pytest.raises(UserError, match="the code of wrapper halves is not what it was made with"):
        Stranger("run", sums, trust=True).admit("optimizer", reference)


REFUSED = {
    "ema": "ema is a wrapper, which goes around a rule; write it after one: adamw+ema",
    "./halves.py": "halves is a wrapper, which goes around a rule; write it after one: adamw+./",
    "ema+momentum": "ema is a wrapper, which goes around a rule; write momentum+ema",
    "adamw+ema+ema": "ema is named twice in adamw+ema+ema; write adamw+ema",
    "adamw+emma": "there is no optimizer or wrapper 'emma'; did you mean 'ema'?",
    "adamm+ema": "there is no optimizer or wrapper 'adamm'; did you mean 'adam'?",
    "adamw+": "'adamw+' has a + with nothing beside it; write a rule, then what goes around it",
    "adamw+lion": "adamw moves all parameters, so that lion has none to move; to compare them, "
    "write adamw,lion",
    "adamw+./matrices.py": "adamw moves all parameters, so that matrices has none to move; write "
    "matrices+adamw",
    "adamw+ema+cautious": "cautious changes steps that ema, which is before it, takes; write "
    "adamw+cautious+ema",
    "./jumps.py+cautious": "cautious changes the direction of a step, and jumps has none; leave "
    "cautious out, or put it around another optimizer",
    "torch:Adam+ema": "torch moves the parameters of torch:Adam itself: it cannot be a part; write "
    "adam+ema",
    "momentum+sam+ema+accumulate": "sam asks at another point for batches that accumulate has left "
    "behind; write momentum+ema+accumulate+sam",
    "lbfgs+accumulate": "lbfgs asks at another point for batches that accumulate has left behind; "
    "give a larger --batch-size instead",
    "extragradient+clip-value+accumulate": "extragradient asks at another point for batches that",
    "adamw+ema+lookahead": "ema hands out an average that lookahead around it passes over; write "
    "adamw+lookahead+ema",
    "schedule-free-sgd+lookahead": "schedule-free-sgd hands out an average that lookahead around "
    "it passes over; leave lookahead out",
    "torch:SparseAdam+ema": "torch moves the parameters of torch:SparseAdam itself: it "
    "cannot be a part; take one of gdcli's",
}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("reference", REFUSED)
def test_what_does_not_fit_is_one_line(reference: str) -> None:
    with pytest.raises(UserError) as caught:
        made(reference)
    (line,) = caught.value.lines
    assert line.startswith(f"--optimizer: {REFUSED[reference]}")


@pytest.mark.parametrize(
    ("optimizer", "setting", "line"),
    [
        ("adamw", "ema.decay", "no optimizer of the grid has the wrapper ema; write --optimizer"),
        ("adamw+ema", "ema.deacy", "there is no setting 'ema.deacy' to vary; did you mean 'ema.de"),
        ("adamw+ema", "ema.weight-decay", "there is no setting 'ema.weight-decay' to vary; "),
        ("adamw+ema", "adamw+ema.decay", "each part of adamw+ema has its own; write ema.decay"),
        ("adamw+ema", "adamw+ema.adamw.eps", "each part of adamw+ema has its own; write adamw.eps"),
        ("adamw+ema", "adamw+ema.deacy", "each part of adamw+ema has its own; did you mean 'ema.d"),
        ("vanilla", "adam+ema.rho", "its own; vary one of an optimizer of the grid"),
        ("adamw+ema", "adamw+ema.rho", "each part of adamw+ema has its own; there is adamw.beta1,"),
    ],
)
def test_settings_that_no_part_has_are_refused(optimizer: str, setting: str, line: str) -> None:
    with pytest.raises(UserError) as caught:
        read(given(grid={"optimizer": optimizer}, vary={setting: "0.5"}))
    assert line in str(caught.value)


@pytest.mark.parametrize("rule", [AdamW(), Adam(weight_decay=0.1), AdamW(weight_decay=0.0)])
def test_a_rule_of_coordinates_is_the_same_as_a_method(rule: Adam) -> None:
    plain, method = ours(rule, 0.01), ours(Elementwise(rule=rule), 0.01)
    assert all(torch.equal(plain[name], method[name]) for name in plain)


@pytest.mark.usefixtures("folder")
def test_each_rule_moves_its_kinds_of_parameters() -> None:
    rule = made("matrices.py+adamw", weight_decay=0.1, matrices__scale=0.5)
    found, whole = start(), start()
    state = rule.init(whole, ask_of(0))
    states = {name: AdamW().init(found[name]) for name in ("b1", "b2")}
    lr = torch.tensor(0.01, dtype=torch.float64)
    for step in range(10):
        ask = ask_of(step)
        whole, state = rule.step(whole, state, ask, lr, step + 1)
        assert ask.seen == ask.size  # both rules share one gradient
        _, grad = ask_of(step)(found)
        for name in ("w1", "w2"):
            slope = grad[name] + 0.1 * found[name]
            found[name] = found[name] - lr * 0.5 * slope / slope.square().sum().sqrt()
        for name, held in states.items():
            direction, states[name] = AdamW().update(grad[name], held, found[name], step + 1)
            found[name] = found[name] - lr * (direction + 0.1 * found[name])
    assert furthest(whole, found) < 1e-14


@pytest.mark.usefixtures("folder")
def test_wrappers_go_around_what_is_before_them() -> None:
    """halves is around both rules, and the average around all."""
    rule = made("matrices.py+adamw+halves.py+ema", ema__decay=0.5, weight_decay=0.01)
    whole, point = start(), start()
    bare = made("matrices.py+adamw", weight_decay=0.01)
    state, inner = rule.init(whole, ask_of(0)), bare.init(point, ask_of(0))
    lr = torch.tensor(0.02, dtype=torch.float64)
    average = point
    for step in range(5):
        whole, state = rule.step(whole, state, ask_of(step), lr, step + 1)
        direction, inner = bare.direction(point, inner, ask_of(step), lr, step + 1)
        for name in point:
            # adamw decays its own; that of matrices is in its direction.
            decay = 0.01 * point[name] if name in ("b1", "b2") else 0.0
            point[name] = point[name] - lr * (0.5 * direction[name] + decay)
        average = point if step == 0 else {n: 0.5 * average[n] + 0.5 * point[n] for n in point}
        average, point = dict(average), dict(point)
    assert furthest(whole, point) < 1e-14
    assert furthest(rule.at(whole, state), average) < 1e-14


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["adamw+cautious+ema", "matrices.py+adamw+halves.py+ema"])
def test_a_trial_mapped_beside_others_is_the_trial_alone(name: str) -> None:
    rules = [
        made(name, weight_decay=0.1),
        made(name, ema__decay=0.9, adamw__beta2=0.9, weight_decay=0.3),
    ]
    found = stacked(rules, (0.01, 0.02), steps=20)
    for rule, lr, mapped in zip(rules, (0.01, 0.02), found, strict=True):
        assert furthest(mapped, ours(rule, lr, 20)) < 1e-12


def test_values_that_a_part_refuses_are_refused(folder: Path) -> None:
    strict = (
        MATRICES
        + """
    def __post_init__(self):
        from gdcli.errors import UserError

        if self.scale > 1:
            raise UserError("--vary strict.scale", "it is too large", "give less")
"""
    )
    write(folder, "strict.py", strict.replace("Matrices", "Strict"))
    rule = made("strict.py+adamw")
    with pytest.raises(UserError, match="it is too large"):
        replace(rule, strict__scale=2.0)


class Asked(Passing):
    """Knows whether a rule has asked at another point than that of the step."""

    def __init__(self, ask: Any, params: Any) -> None:
        super().__init__(ask)
        self.params, self.elsewhere = params, False

    def __call__(self, params: Any) -> Any:
        self.elsewhere |= not same(params, self.params)
        return super().__call__(params)

    def loss(self, params: Any) -> Any:
        self.elsewhere |= not same(params, self.params)
        return super().loss(params)


@pytest.mark.parametrize("name", sorted({*METHODS} - {*LINEAR}))
def test_a_rule_says_whether_it_asks_elsewhere(name: str) -> None:
    rule = made(whole(name))
    params, found = start(), False
    state = rule.init(params, ask_of(0))
    for step in range(4):
        asked = Asked(ask_of(step), params)
        lr = torch.tensor(0.01, dtype=torch.float64)
        params, state = rule.step(params, state, asked, lr, step + 1)
        found |= asked.elsewhere
    own: Any = OPTIMIZERS.find(name, "")
    assert found == own.asks_elsewhere


class UsedError(Exception):
    """The horizon was used."""


class Unknown:
    """A horizon that may be passed on, and not computed with."""

    def used(self, *_: object) -> Any:
        raise UsedError

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = used
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = used
    __lt__ = __le__ = __gt__ = __ge__ = __int__ = __float__ = __index__ = used


def blind(step: int) -> Any:
    """Return what a rule may ask at a step, but for how many steps there are."""
    ask: Any = Passing(ask_of(step))
    ask.horizon = Unknown()
    return ask


ADAM_WITH = [f"adam+{name}" for name in WRAPPERS.built_in()]


@pytest.mark.parametrize("name", sorted({*METHODS, *ADAM_WITH} - {*LINEAR, "adam+accumulate"}))
def test_a_rule_says_whether_it_uses_the_horizon(name: str) -> None:
    """`accumulate` passes on a part of it, and does not use it."""
    rule: Any = made(name if "+" in name else whole(name))
    params = start()
    lr = torch.tensor(0.01, dtype=torch.float64)

    def train(params: Any) -> None:
        state = rule.init(params, blind(0))
        for step in range(3):
            params, state = rule.step(params, state, blind(step), lr, step + 1)

    if any(getattr(part.kind, "uses_horizon", False) for part in getattr(rule, "parts", ())):
        with pytest.raises(UsedError):
            train(params)
    else:
        train(params)


def test_a_rule_with_steps_of_its_own_is_no_second_rule() -> None:
    with pytest.raises(UserError, match="lbfgs takes steps of its own, and muon moves some of"):
        OPTIMIZERS.find("muon+lbfgs", "--optimizer")
    with pytest.raises(UserError, match=r"write muon\+adamw,muon\+lion"):
        OPTIMIZERS.find("muon+adamw+lion", "--optimizer")
