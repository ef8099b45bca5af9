"""What is true of a trial, from what becomes of it in ten times as many steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

FALLS = {True: 2e-3, False: 1e-2}  # of the fall so far: a loss that falls so much further falls on
FLAT = {True: 5e-4, False: 3e-3}  # a loss that falls by less does not
MATTERS = 1e-2  # a further fall that makes a claim of an end false
SWINGS = 1e-2
SURE = 4.0  # standard errors
SMALL = 1e-2  # a gradient norm, over the largest, that is small

Row = dict[str, Any]


def states(row: Row) -> frozenset[str]:
    """Return the states that are right: two where a loss falls on by a little, or bounces, too."""
    seen, truth, known = row["observed"], row["truth"], row["known"]
    if seen["status"] == "diverged":
        return frozenset({"blew up"})
    if seen["stopped_by"]:
        return frozenset({"reached its goal"})
    ratio = _over_limit(row)
    if _up_for_good(row):
        return frozenset({"blew up"})
    if ratio is not None and ratio > 1 - 1e-9 and not (ratio < 1 + 1e-9 and _still(truth)):
        return frozenset({"bouncing"})
    if seen["watched"] < 7:
        return frozenset({"too few points to tell"})
    if truth.get("later") is None:  # it diverges later
        return frozenset({"bouncing", "still falling" if truth["now"] < _start(row) else "blew up"})
    share, full = further(row), row["descent"]["method"] == "gd"
    found = set()
    if share > FLAT[full] and _significant(row):
        found.add("still falling")
    if share <= FALLS[full] or not _significant(row):
        found |= {"bouncing"} if _bounces(row) else {"flat"}
    if _bounces(row) and found == {"still falling"} and _swing(row) > share:
        found.add("bouncing")
    return frozenset(found)


def further(row: Row) -> float:
    """Return how far the loss falls on in ten times as many steps, as a share of its fall."""
    truth = row["truth"]
    calm = row["descent"]["method"] == "gd" and not _bounces(row)
    now, later = (truth["last"], truth["end"]) if calm else (truth["now"], truth["later"])
    fall = _start(row) - now
    drop = now - (min(later, truth["lowest"]) if calm else later)
    tiny = 1e-12 * max(abs(now), abs(_start(row)))
    if drop <= tiny:
        return 0.0
    return float("inf") if fall <= 0 else drop / fall


def falls_on(row: Row, share: float) -> bool:
    """Whether the loss falls on by more than noise and by more than a share of its fall."""
    known = row["truth"].get("later") is not None
    return known and _significant(row) and further(row) > share


def _significant(row: Row) -> bool:
    """Whether a fall is more than noise."""
    truth = row["truth"]
    if row["descent"]["method"] == "gd":
        return True
    error = (truth["now_error"] ** 2 + truth["later_error"] ** 2) ** 0.5
    return bool(truth["now"] - truth["later"] > SURE * error)


def _start(row: Row) -> float:
    return float(row["observed"]["initial_train_loss"])


def _over_limit(row: Row) -> float | None:
    known, descent = row["known"], row["descent"]
    if not known.get("limit_exact") or descent["schedule"] != "constant":
        return None
    return float(descent["lr"] / known["limit"])


def _still(truth: Row) -> bool:
    """Whether the gradient vanished, as of a start that has no share in the largest curvature."""
    return bool(truth["norm"] <= 1e-6 * truth["norm_largest"])


def _up_for_good(row: Row) -> bool:
    """Whether the loss ends at more than twice its start's height, and stays above the start."""
    truth, start = row["truth"], _start(row)
    least = row["known"].get("minimum", row["known"].get("bound"))
    height = abs(start) if least is None else start - least
    high = truth["now"] > start + height
    return high and truth["last"] > start and truth.get("later", float("inf")) > start


def _swing(row: Row) -> float:
    fall = _start(row) - row["truth"]["now"]
    return float(row["truth"]["swing"] / fall) if fall > 0 else float("inf")


def _bounces(row: Row) -> bool:
    """Whether full-batch descent swings at its end, and as much ten times later.

    It does, too, where its gradient stays large and the loss does not fall.
    """
    truth, descent = row["truth"], row["descent"]
    if descent["method"] != "gd" or truth.get("later") is None or row["observed"]["steps"] < 16:
        return False
    if descent["end_multiplier"] < 0.05:
        return False
    swings = truth["rises"] > 0 and truth["swing"] > 0
    if swings and _swing(row) > SWINGS and truth["later_swing"] > truth["swing"] / 2:
        return True
    norms = truth["norm"], truth["norm_end"]
    turn = row["observed"].get("gradient_turn")
    back = turn is not None and turn < -0.9
    large = min(norms) > SMALL * truth["norm_largest"] > 0
    moved = descent["lr"] * norms[0] ** 2 * 9 * descent["horizon"]
    still = abs(truth["now"] - truth["later"]) <= 1e-3 * abs(_start(row) - truth["now"])
    plain = descent["optimizer"] == "vanilla" and descent["clip_norm"] is None
    plain = plain and not descent["weight_decay"]
    return large and still and (back or plain) and moved > 10 * abs(_start(row) - truth["now"])


def qualities(row: Row) -> frozenset[str]:
    """Return the qualities that are right, of those that a longer run or a known least loss tell."""
    return frozenset(_qualities(row))


def _qualities(row: Row) -> Iterator[str]:
    seen, truth, known, descent = (row[n] for n in ("observed", "truth", "known", "descent"))
    if seen["status"] == "diverged":
        if seen["final_train_loss"] < min(0.0, _start(row)):
            yield "unbounded below"
        return
    if "now" not in truth:
        return
    fall = _start(row) - truth["last" if descent["method"] == "gd" else "now"]
    least = known.get("minimum", known.get("bound"))
    near = least is not None and truth["now"] - least <= 1e-3 * fall
    calm = truth.get("later") is not None and further(row) <= MATTERS and not _bounces(row)
    vanished = truth["norm"] <= 1e-3 * truth["norm_largest"]
    lowest, highest = truth.get("curvature_lowest"), truth.get("curvature_highest")
    if lowest != lowest:
        lowest, highest = seen.get("lowest_curvature"), 1.0
    down = lowest is not None and highest is not None and lowest < -1e-4 * abs(highest)
    if near:
        yield "at the minimum"
    elif known.get("minimum") is None and calm and vanished and not down and fall > 0:
        yield "at the minimum"
    if vanished and down:
        yield "at a saddle"
    if truth["norm_largest"] == 0 and not near:
        yield "never moved"
    if known["network"] and vanished and not near and _chance(row):
        yield "dead"
    if _chance(row):
        yield "chance level"
    noisy = descent["method"] != "gd" and descent["schedule"] == "constant"
    flat = not _significant(row) or (truth.get("later") is not None and further(row) <= MATTERS)
    least = known.get("minimum", -float("inf"))
    there = truth.get("later") is not None and truth["now"] - least <= 2 * (truth["later"] - least)
    enough = seen["watched"] >= 7
    if noisy and flat and there and enough and not near and known.get("attained", True):
        yield "at its noise floor"
    right = seen.get("final_train_accuracy") == 1
    if right:
        yield "all examples right"
    target = descent["target_loss"]
    if target is not None and target < known.get("minimum", target):
        yield "target below the minimum"
    if descent["end_multiplier"] <= 0.05:
        yield "ended by its schedule"
    if descent["weight_decay"] and calm:
        yield "held by weight decay"
    if known.get("condition", 0) >= 1e3 and not near:
        yield "ill-conditioned"
    if descent["clip_norm"] and seen["final_grad_norm"] > descent["clip_norm"]:
        yield "clipped"
    if truth["now"] > _start(row):
        yield "above its start"
    if truth.get("test_low") is not None and truth["test_late"] > 1.05 * truth["test_low"]:
        yield "past its best test loss"


def _chance(row: Row) -> bool:
    """Whether a constant prediction is as good."""
    seen, known = row["observed"], row["known"]
    right, most = seen.get("final_train_accuracy"), known.get("majority_train")
    base = known.get("baseline_loss")
    as_base = base is not None and row["truth"]["now"] >= 0.99 * base
    if right is None or most is None:
        return as_base
    return bool(right <= most or (as_base and right <= most + 0.01))
