"""What is true of a trial, from what becomes of it in ten times as many steps."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

Row: TypeAlias = dict[str, Any]

NEAR = 1e-3  # of the fall so far: a gap that counts as none
# Further falls, as shares of the fall so far, of full-batch and of other descent. A loss that
# falls further by more falls on, one that falls by less is flat; in between either is right.
FALLS = {True: 2e-3, False: 1e-2}
FLAT = {True: 5e-4, False: 3e-3}
MATTERS = 1e-2  # a further fall that makes the claim of an end false
SWINGS = 1e-2  # of the fall so far: swings that are large
SURE = 4.0  # standard errors
SMALL = 1e-2  # a gradient norm, over the largest, that is small
VANISHED = 1e-3
OVER = 0.05  # a multiplier, over the schedule's largest, that has run out
FEWEST = 7  # points that anything is told from


def states(row: Row) -> frozenset[str]:
    """Return the states that are right: two where a loss falls on by a little, or bounces, too."""
    seen, truth = row["observed"], row["truth"]
    if seen["status"] == "diverged" or _up_for_good(row):
        return frozenset({"blew up"})
    ratio = _over_limit(row)
    if ratio is not None and ratio > 1 - 1e-9 and not (ratio < 1 + 1e-9 and _still(truth)):
        return frozenset({"bouncing"})
    if seen["watched"] < FEWEST:
        return frozenset({"too few points to tell"})
    if truth.get("later") is None:  # it diverges later
        return frozenset({"bouncing", "still falling" if truth["now"] < _start(row) else "blew up"})
    return _later(row)


def _later(row: Row) -> frozenset[str]:
    """Return the states of a trial that goes on for ten times as many steps."""
    share, full = further(row), row["descent"]["method"] == "gd"
    bounces, sure = _bounces(row), _significant(row)
    found = set()
    part = _of_the_gap(row) if full else 0.0
    if (share > FLAT[full] or part > 0.05) and sure:
        found.add("still falling")
    if (share <= FALLS[full] and part < 0.2) or not sure:
        found.add("bouncing" if bounces else "flat")
    elif bounces and _swing(row) > share:
        found.add("bouncing")
    return frozenset(found)


def further(row: Row) -> float:
    """Return how far the loss falls on in ten times as many steps, as a share of its fall."""
    truth = row["truth"]
    calm = _calm_at_the_end(row)
    # What is noisy may end at a burst: it falls on if it comes to be lower than it was.
    now = truth["last"] if calm else min(truth["now"], truth["now_lowest"])
    then = min(truth["end"], truth["lowest"]) if calm else truth["later"]
    if now - then <= 1e-12 * max(abs(now), abs(_start(row))):
        return 0.0
    fall = _start(row) - now
    return inf if fall <= 0 else float((now - then) / fall)


def _of_the_gap(row: Row) -> float:
    """Return how far the loss falls on, as a share of its gap to a known minimum."""
    least, fall = row["known"].get("minimum"), _fall(row)
    if least is None or fall <= 0 or _near(row):
        return 0.0
    level = row["truth"]["last" if _calm_at_the_end(row) else "now"]
    return float(further(row) * fall / (level - least))


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
    return bool(min(truth["now"], truth["now_lowest"]) - truth["later"] > SURE * error)


def _start(row: Row) -> float:
    return float(row["observed"]["initial_train_loss"])


def _fall(row: Row) -> float:
    """Return the fall so far: of what is noisy or swings, that of its level."""
    return _start(row) - float(row["truth"]["last" if _calm_at_the_end(row) else "now"])


def _calm_at_the_end(row: Row) -> bool:
    """Whether the last loss stands for those around it."""
    return row["descent"]["method"] == "gd" and not row["truth"]["now_rises"]


def _over_limit(row: Row) -> float | None:
    known, descent = row["known"], row["descent"]
    if not known["limit_exact"] or descent["schedule"] != "constant":
        return None
    return float(descent["lr"] / known["limit"])


def _still(truth: Row) -> bool:
    """Whether the gradient vanished, as of a start that has no share in the largest curvature."""
    return bool(truth["norm"] <= 1e-6 * truth["norm_largest"])


def _up_for_good(row: Row) -> bool:
    """Whether the loss ends at more than twice its start's height, and stays above the start."""
    truth, start = row["truth"], _start(row)
    if "now" not in truth:
        return False
    least = row["known"].get("minimum", row["known"].get("bound"))
    height = abs(start) if least is None else start - least
    high = truth["now"] > start + height and truth["last"] > start
    return bool(high and truth.get("later", inf) > start)


def _swing(row: Row) -> float:
    fall = _start(row) - row["truth"]["now"]
    return float(row["truth"]["now_swing"] / fall) if fall > 0 else inf


def _bounces(row: Row) -> bool:
    """Whether full-batch descent swings at its end, and about as much ten times later.

    It does, too, where its gradient stays large and the loss does not fall.
    """
    truth, descent = row["truth"], row["descent"]
    goes_on = truth.get("later") is not None and row["observed"]["steps"] >= 16
    if descent["method"] != "gd" or not goes_on or descent["end_multiplier"] < OVER:
        return False
    swings = truth["now_rises"] > 0 and truth["now_swing"] > 0
    if swings and _swing(row) > SWINGS and truth["later_swing"] > truth["now_swing"] / 2:
        return True
    norms = truth["norm"], truth["norm_end"]
    fall = abs(_start(row) - truth["now"])
    large = min(norms) > SMALL * truth["norm_largest"] > 0
    still = abs(truth["now"] - truth["later"]) <= NEAR * fall
    back = row["observed"].get("gradient_turn", 1.0) < -0.9
    plain = descent["optimizer"] == "vanilla" and "clip_norm" not in descent
    moves = descent["lr"] * norms[0] ** 2 * 9 * descent["horizon"] > 10 * fall
    return large and still and (back or (plain and not descent["weight_decay"])) and moves


def qualities(row: Row) -> frozenset[str]:
    """Return the qualities that are right."""
    if row["observed"]["status"] == "diverged":
        down = row["observed"].get("final_train_loss", inf) < min(0.0, _start(row))
        return frozenset({"unbounded below"} if down else ())
    if "now" not in row["truth"] or states(row) == {"blew up"}:
        return frozenset()
    return frozenset(word for word, holds in QUALITIES.items() if holds(row))


def near_gap(least: float, fall: float) -> float:
    """Return the gap to the least loss that counts as none: small beside the fall and the loss."""
    return max(0.01 * NEAR * fall, min(NEAR * fall, 0.01 * abs(least)))


def _near(row: Row) -> bool:
    """Whether the loss is at its least, or at what no loss is below."""
    least = row["known"].get("minimum", row["known"].get("bound"))
    level = row["truth"]["last" if _calm_at_the_end(row) else "now"]
    return least is not None and level - least <= near_gap(least, _fall(row))


def _vanished(row: Row) -> bool:
    return bool(row["truth"]["norm"] <= VANISHED * row["truth"]["norm_largest"])


def _down(row: Row) -> bool:
    """Whether the loss curves down, by its whole Hessian where that was computed."""
    truth = row["truth"]
    if "curvature_lowest" in truth:
        return bool(truth["curvature_lowest"] < -1e-4 * abs(truth["curvature_highest"]))
    return bool(row["observed"].get("lowest_curvature", 0.0) < -1e-4)


def _calm(row: Row) -> bool:
    """Whether the loss neither falls on nor bounces."""
    known = row["truth"].get("later") is not None
    return known and further(row) <= MATTERS and not _bounces(row)


def _at_minimum(row: Row) -> bool:
    if _near(row):
        return True
    unknown = "minimum" not in row["known"]
    return unknown and _calm(row) and _vanished(row) and not _down(row) and _fall(row) > 0


def _at_floor(row: Row) -> bool:
    """Whether noise holds the loss: it is flat, and as high ten times later."""
    truth, known, descent = row["truth"], row["known"], row["descent"]
    if descent["method"] == "gd" or descent["schedule"] != "constant" or _near(row):
        return False
    least = known.get("minimum", -inf)
    there = truth.get("later") is not None and truth["now"] - least <= 2 * (truth["later"] - least)
    flat = not falls_on(row, MATTERS)
    return bool(there and flat and known["attained"])


def _at_chance(row: Row) -> bool:
    """Whether a constant prediction is as good."""
    seen, known = row["observed"], row["known"]
    right, most = seen.get("final_train_accuracy"), known.get("majority_train")
    base = known.get("baseline_loss")
    as_base = base is not None and row["truth"]["now"] >= 0.99 * base
    if right is None or most is None:
        return as_base
    return bool(right <= most + 2e-7 or (as_base and right <= most + 0.01))  # in float32


def _clipped(row: Row) -> bool:
    clip = row["descent"].get("clip_norm")
    return clip is not None and row["observed"]["final_grad_norm"] > clip


def _overfits(row: Row, factor: float = 1.05) -> bool:
    low, late = row["truth"].get("test_low"), row["truth"].get("test_late")
    return low is not None and late is not None and late > factor * low


def needed(row: Row) -> bool:
    """Whether one of the qualities that are right is to be told: they are sure, and tellable."""
    few = row["observed"].get("watched", 0) < FEWEST
    return any(
        not few and (word != "past its best test loss" or _overfits(row, 1.2))
        for word in qualities(row)
    )


def _unreachable(row: Row) -> bool:
    target, least = row["descent"].get("target_loss"), row["known"].get("minimum")
    return target is not None and least is not None and target < least


QUALITIES: dict[str, Callable[[Row], bool]] = {
    "at the minimum": _at_minimum,
    "at a saddle": lambda row: _vanished(row) and _down(row),
    "never moved": lambda row: row["truth"]["norm_largest"] == 0 and not _near(row),
    "dead": lambda row: (
        row["known"]["network"] and _vanished(row) and not _near(row) and _no_better(row)
    ),
    "chance level": _at_chance,
    "at its noise floor": _at_floor,
    "all examples right": lambda row: row["observed"].get("final_train_accuracy") == 1,
    "ended by its schedule": lambda row: row["descent"]["end_multiplier"] <= OVER,
    "with weight decay": lambda row: row["descent"]["weight_decay"] > 0 and _calm(row),
    "ill-conditioned": lambda row: row["known"].get("condition", 0) >= 1e3 and not _near(row),
    "too much momentum": lambda row: "best_beta" in row["known"] and not _near(row),
    "clipped": _clipped,
    "above its start": lambda row: row["truth"]["now"] > _start(row),
    "past its best test loss": _overfits,
    "target below the minimum": _unreachable,
}


def _no_better(row: Row) -> bool:
    """Whether a network learned nothing."""
    return _at_chance(row) or abs(_fall(row)) <= 0.01 * abs(_start(row))
