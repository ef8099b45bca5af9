import csv
import io
import json
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from gdcli.analysis.best import settings_of
from gdcli.errors import UserError
from gdcli.numbers import distinct_labels, factor
from gdcli.report.charts.charts import heatmap, read_source
from gdcli.report.charts.terminal import BEST, MOST_COLUMNS, SHADES, heatmap_lines
from gdcli.report.results import MOST_ROWS, print_results
from gdcli.report.text_tables import texts_of
from gdcli.runs.trials import read_trials
from tests.run_folders import Made, descent, grid, write_run

if TYPE_CHECKING:
    from gdcli.runs.csv_read import Value

HOSTILE = "[bold red]\x1b[31m\x07end"  # markup, an escape sequence and a bell
SPELT = r"[bold red]\x1b[31m\x07end"


def shown(folder: Path, form: str = "table", *, width: int | None = None) -> str:
    """Return what is printed: off a terminal, or on one of some width, with its colours."""
    file = io.StringIO()
    terminal: dict[str, Any] = {"force_terminal": True, "color_system": "truecolor", "width": width}
    plain: dict[str, Any] = {"width": 10_000, "soft_wrap": True}
    settings = plain if width is None else terminal
    console = Console(file=file, markup=False, emoji=False, highlight=False, **settings)
    print_results(folder, form, console)
    return file.getvalue()


def without_colour(text: str) -> str:
    parts = text.split("\x1b[")
    return parts[0] + "".join(part.partition("m")[2] for part in parts[1:])


def cells(text: str, title: str) -> list[list[str]]:
    """Return the words of the table below a title."""
    lines = text.partition(f"{title}")[2].split("\n\n")[0].split("\n")[1:]
    return [line.split() for line in lines if line]


def rates(text: str) -> list[list[str]]:
    return cells(text, "Median final training loss by learning rate")


def test_each_setting_is_shown_at_its_best_learning_rate(tmp_path: Path) -> None:
    text = shown(write_run(tmp_path, grid()))
    header, vanilla, momentum, *_ = cells(text, "Best learning rate of each setting")
    assert header[:4] == ["setting", "best", "lr", "seeds"]
    assert vanilla[:4] == ["gd", "vanilla", "0.1", "3"]
    assert momentum[:4] == ["gd", "momentum", "0.1", "3"]
    (setting, _) = settings_of(read_trials(tmp_path).trials)
    assert setting.best is not None
    assert setting.best.loss is not None
    spread = setting.best.loss
    quartiles = [f"{spread.low:.4g}", "..", f"{spread.high:.4g}"]
    assert vanilla[4:9] == [f"{spread.median:.4g}", *quartiles, f"{setting.best.test_loss():.4g}"]


def test_ends_are_counted_over_all_learning_rates(tmp_path: Path) -> None:
    trials = [Made([1.0, inf], lr=lr, status="diverged") for lr in (1.0, 2.0)]
    trials += [Made([1.0, 0.5]), Made([], status="failed", message="boom")]
    (row,) = json.loads(shown(write_run(tmp_path, trials), "json"))
    assert [row[word] for word in ("trials", "diverged", "failed")] == [4, 2, 1]


@pytest.mark.parametrize(
    ("made", "state", "said"),
    [
        (Made([2.0] * 30), "flat", "= flat"),
        (Made([0.9**k for k in range(30)]), "still falling", "v still falling"),
        (Made([1.0, *[0.2, 0.9] * 15]), "bouncing", "~ bouncing"),
        (Made([1.0, 0.5]), "too few points to tell", "? too few points to tell"),
        (Made([1.05**k for k in range(30)]), "blew up", "x blew up"),
        (
            Made([1.0] * 9, stopped_by="target"),
            "reached its goal",
            "* reached its goal",
        ),
    ],
)
def test_the_state_at_the_best_rate_is_told_in_every_format(
    tmp_path: Path, made: Made, state: str, said: str
) -> None:
    folder = write_run(tmp_path, [made])
    (row,) = json.loads(shown(folder, "json"))
    assert row["state"] == state
    (row,) = csv.DictReader(io.StringIO(shown(folder, "csv")))
    assert row["state"] == state
    header, _, line = shown(folder, "md").splitlines()
    words = [[cell.strip() for cell in text.split("|")] for text in (header, line)]
    assert dict(zip(*words, strict=True))["state"] == state
    below = shown(folder).partition("Best learning rate of each setting")[2]
    assert said in below.partition("Median")[0]


def test_most_seeds_have_the_state_at_the_best_rate(tmp_path: Path) -> None:
    falling = [Made([0.9**k for k in range(30)], seed=seed) for seed in (0, 1)]
    folder = write_run(tmp_path, [Made([2.0] * 30, seed=2), *falling])
    (row,) = json.loads(shown(folder, "json"))
    assert row["state"] == "still falling"


def test_without_a_best_rate_there_is_no_state(tmp_path: Path) -> None:
    (row,) = json.loads(shown(write_run(tmp_path, [descent(lr) for lr in (3.0, 10.0)]), "json"))
    assert (row["lr"], row["state"], row["quality"]) == (None, None, None)


def test_the_result_of_one_setting_is_a_sentence(tmp_path: Path) -> None:
    text = shown(write_run(tmp_path, grid()[:9]))
    loss = rates(text)[1][3].rstrip("*")
    line = f"The best learning rate of gd vanilla is 0.1: training loss {loss}"
    assert text.splitlines()[0] == f"{line} (the median over 3 seeds)."
    text = shown(write_run(tmp_path, [Made([1.0, 0.5])]))
    assert text.splitlines()[0] == "gd vanilla at learning rate 0.1 ends at training loss 0.5."


def test_the_result_of_many_settings_names_the_lowest_and_who_ends_as_low(tmp_path: Path) -> None:
    ends = {"vanilla": 0.5, "adam": 0.500001, "momentum": 0.7}
    trials = [Made([1.0, loss], optimizer=name) for name, loss in ends.items()]
    first = shown(write_run(tmp_path, trials)).splitlines()[0]
    tied = "gd adam at 0.1 ends as low, within 0.01% of the fall"
    assert first == f"gd vanilla at learning rate 0.1 has the lowest loss: 0.5; {tied}."


def test_the_rate_that_falls_soonest_is_not_said_to_have_the_lowest_loss(tmp_path: Path) -> None:
    soon, late = Made([1.0, 1e-6, 1e-6], lr=0.1), Made([1.0, 0.5, 1e-9], lr=0.01)
    other = Made([1.0, 0.9, 0.8], optimizer="adam")
    first = shown(write_run(tmp_path, [soon, late, other])).splitlines()[0]
    said = "ends within 0.01% of the fall of the lowest loss: 1e-06."
    assert first == f"gd vanilla at learning rate 0.1 {said}"


def test_a_run_without_a_result_says_so_first(tmp_path: Path) -> None:
    lost, held = descent(3.0), Made([1.0, 0.5], lr=3.0)
    half = [replace(lost, seed=0), replace(held, seed=1)]
    said = {
        "The trial diverged.": [lost],
        "Every trial diverged.": [lost, descent(10.0)],
        "Every trial diverged or failed.": [lost, Made([], lr=1.0, status="failed")],
        "At every learning rate at least half of the seeds diverged.": half,
    }
    for line, trials in said.items():
        folder = write_run(tmp_path / str(len(line)), trials)
        assert shown(folder).splitlines()[0] == line


def test_there_is_no_why_where_nothing_can_be_said(tmp_path: Path) -> None:
    failed = Made([], status="failed", message="boom")
    assert "Why" not in shown(write_run(tmp_path, [failed])).splitlines()


def test_of_rates_that_end_as_low_the_soonest_is_best_everywhere(tmp_path: Path) -> None:
    slow = [1.0 if k < 30 else 0.0 for k in range(33)]
    soon = [1.0, *[1e-9] * 32]
    folder = write_run(tmp_path, [Made(slow, lr=0.1), Made(soon, lr=1.0), Made([1.0] * 33, lr=3)])
    text = shown(folder)
    assert text.startswith("The best learning rate of gd vanilla is 1: ")
    alike = "lr 0.1 and 1 both end as low, within 0.01% of the fall; 1 gets there 30 times"
    assert f"gd vanilla: {alike} sooner. lr 1 is flat." in text
    assert rates(text)[1] == ["gd", "vanilla", "0", "1e-09*", "1"]
    assert [json.loads(shown(folder, "json"))[0][name] for name in ("lr", "train_loss")] == [
        1,
        1e-9,
    ]


def test_of_rates_that_are_there_as_soon_the_lowest_is_best(tmp_path: Path) -> None:
    trials = [Made([1.0, *[end] * 32], lr=lr) for lr, end in ((0.1, 1e-9), (1.0, 0.0))]
    text = shown(write_run(tmp_path, trials))
    assert "lr 0.1 and 1 both end as low, within 0.01% of the fall. lr 1 is flat." in text


def test_a_best_rate_at_an_end_of_its_row_asks_for_rates_beyond(tmp_path: Path) -> None:
    falling = [Made([q**k for k in range(30)], lr=lr) for lr, q in ((0.1, 0.95), (0.2, 0.9))]
    text = shown(write_run(tmp_path, falling))
    assert "the best lr, 0.2, still falls." in text
    assert "No lr above 0.2 was tried: try larger ones.\n" in text
    bouncing = [Made([1.0, *[0.2, 0.9] * 15], lr=0.1), Made([1.0, *[0.3, 0.95] * 15], lr=0.2)]
    text = shown(write_run(tmp_path, bouncing))
    assert "the best lr, 0.1, bounces" in text
    assert "No lr below 0.1 was tried: try smaller ones, too.\n" in text
    largest = [replace(made, lr=0.3 - made.lr) for made in bouncing]
    assert "was tried" not in shown(write_run(tmp_path, largest))


def test_a_lowest_rate_that_is_too_slow_asks_for_rates_between(tmp_path: Path) -> None:
    slow = Made([0.99**k for k in range(30)], lr=0.1)
    text = shown(write_run(tmp_path, [slow, Made([1.0, 50.0], lr=0.5, status="diverged")]))
    assert "or try a larger learning rate. No lr between 0.1 and 0.5 was tried: try some" in text
    assert "smaller ones" not in text


def test_seeds_with_starts_of_their_own_each_lower_the_loss(tmp_path: Path) -> None:
    trials = [Made([1.0, 0.9], seed=0), Made([5.0, 4.0], seed=1), Made([6.0, 4.5], seed=2)]
    first = shown(write_run(tmp_path, trials)).splitlines()[0]
    assert (
        first
        == "gd vanilla at learning rate 0.1 ends at training loss 4 (the median over 3 seeds)."
    )


def test_a_rate_that_blew_up_is_sent_to_the_best_that_was_tried(tmp_path: Path) -> None:
    slow = Made([0.9**k for k in range(30)], lr=0.3)
    text = shown(write_run(tmp_path, [slow, Made([1.0, 2.0, 4.0, inf], lr=0.5, status="diverged")]))
    assert "Use a smaller learning rate, such as 0.3." in text


def test_a_smaller_rate_that_ended_higher_is_not_advised(tmp_path: Path) -> None:
    bouncing = [Made([1.0, *[0.3, 0.95] * 15], lr=0.1), Made([1.0, *[0.9, 0.2] * 15], lr=0.2)]
    text = shown(write_run(tmp_path, bouncing))
    assert "the best lr, 0.2, bounces" in text
    assert "Use a schedule that lowers the learning rate: a constant lr of 0.1 ends higher." in text


def test_the_heat_map_has_a_row_a_setting_and_a_column_a_learning_rate(tmp_path: Path) -> None:
    text = shown(write_run(tmp_path, grid()))
    header, vanilla, momentum, key = rates(text)
    assert header == ["lr", "0.01", "0.1", "1"]
    assert vanilla[:2] == ["gd", "vanilla"]
    assert [cell.endswith(BEST) for cell in vanilla[2:]] == [False, True, False]
    assert vanilla[-1] == momentum[-1] == "diverged"
    assert " ".join(key) == "* best of its row"


def test_seeds_that_diverged_are_counted_in_the_heat_map(tmp_path: Path) -> None:
    trials = [Made([1.0, 0.5], seed=seed) for seed in range(2)]
    trials += [Made([1.0, inf], seed=2, status="diverged"), Made([1.0, 0.7], lr=0.01)]
    text = shown(write_run(tmp_path, trials))
    assert rates(text)[1] == ["gd", "vanilla", "0.7", "0.5", "1/3x*"]
    assert "1/3x: 1 of 3 seeds diverged" in text


def test_a_learning_rate_without_a_trial_leaves_its_cell_empty(tmp_path: Path) -> None:
    trials = [Made([1.0, 0.5], lr=0.1), Made([1.0, 0.25], lr=0.2, optimizer="adam")]
    _, vanilla, adam, _ = rates(shown(write_run(tmp_path, trials)))
    assert vanilla == ["gd", "vanilla", "0.5*"]
    assert adam == ["gd", "adam", "0.25*"]


def test_one_learning_rate_needs_no_heat_map(tmp_path: Path) -> None:
    text = shown(write_run(tmp_path, [descent(0.1)]))
    assert "by learning rate" not in text
    assert "a gd vanilla lr 0.1" in text


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_narrow_terminal_gets_blocks_and_every_number_whole(tmp_path: Path, width: int) -> None:
    folder = write_run(tmp_path, grid(lrs=[0.001 * 1.5**k for k in range(12)], seeds=2))
    narrow = without_colour(shown(folder, width=width))
    numbers = [word for row in rates(shown(folder)) for word in row]
    assert set(numbers) <= set(narrow.split())
    tables = narrow.partition("Best learning rate of each setting")[2]
    table = [line for line in tables.split("\n") if line.startswith(("setting", "lr", "gd"))]
    assert len(table) > 3
    assert max(map(len, table)) <= width


def test_the_plot_is_as_wide_as_the_terminal_and_80_columns_off_it(tmp_path: Path) -> None:
    folder = write_run(tmp_path, grid())
    for text, width in ((shown(folder), 80), (shown(folder, width=132), 132)):
        axis = next(line for line in without_colour(text).split("\n") if "└" in line)
        assert len(axis) == width


def test_there_is_colour_on_a_terminal_only(tmp_path: Path) -> None:
    folder = write_run(tmp_path, grid())
    assert "\x1b" not in shown(folder)
    assert "\x1b[30;48;2;253;231;37m" in shown(folder, width=100)  # viridis: the lowest loss


def test_losses_are_coloured_by_their_rank(tmp_path: Path) -> None:
    trials = [Made([99.0, float(rank)], lr=rank) for rank in range(1, len(SHADES) + 1)]
    trials.append(Made([1.0, inf], lr=100, status="diverged"))
    picture = heatmap(read_source(write_run(tmp_path, trials), "train_loss"))
    line = heatmap_lines(picture, 200, colored=True)[1]
    assert [str(span.style) for span in line.spans if str(span.style)] == list(SHADES)
    plain = heatmap_lines(picture, 200, colored=False)[1]
    assert (plain.plain, plain.spans) == (line.plain, [])


def test_what_varies_names_the_settings(tmp_path: Path) -> None:
    trials = [
        Made([1.0], method="minibatch", batch_size=32, varied=[10, ""]),
        Made([2.0], schedule="cosine", varied=[10, 0.9]),
    ]
    text = shown(write_run(tmp_path, trials, ["condition", "momentum.beta"]))
    assert "minibatch 32 vanilla constant condition=10 " in text
    assert "gd vanilla cosine condition=10 momentum.beta=0.9" in text


def test_a_users_names_are_shown_literally(tmp_path: Path) -> None:
    trials = [
        Made([1.0, 0.5], optimizer=HOSTILE, metrics=[0.5], varied=[HOSTILE]),
        Made([], status="failed", message=HOSTILE, varied=[HOSTILE]),
    ]
    folder = write_run(tmp_path, trials, varied=[HOSTILE], metrics=[HOSTILE])
    for form in ("table", "csv", "json", "md"):
        text = shown(folder, form)
        assert "\x1b" not in text
        assert "\x07" not in text
    assert SPELT in shown(folder)
    assert SPELT in without_colour(shown(folder, width=400))


def test_failed_trials_are_told_with_their_message(tmp_path: Path) -> None:
    trials = [descent(0.1, seed) for seed in range(2)]
    trials += [
        Made([], seed=seed, status="failed", message="boom", identity=f"{seed}f") for seed in (2, 3)
    ]
    assert shown(write_run(tmp_path, trials)).endswith("\n2 failed: boom (trial 2f)\n")


def test_many_messages_are_counted(tmp_path: Path) -> None:
    trials = [Made([], lr=k, status="failed", message=f"boom {k}") for k in range(1, 9)]
    assert shown(write_run(tmp_path, trials)).endswith("\nand 3 more messages\n")


def test_a_run_of_failed_trials_only_is_shown(tmp_path: Path) -> None:
    trials = [Made([], lr=lr, status="failed", message="boom") for lr in (0.1, 0.2)]
    text = shown(write_run(tmp_path, trials))
    assert rates(text)[1] == ["gd", "vanilla", "failed", "failed"]
    assert "Median training loss over seeds" not in text
    assert "2 failed: boom" in text


def test_a_run_that_diverged_everywhere_is_shown(tmp_path: Path) -> None:
    trials = [descent(lr) for lr in (3.0, 10.0)]
    text = shown(write_run(tmp_path, trials))
    assert cells(text, "Best learning rate")[1][:3] == ["gd", "vanilla", "none"]
    assert "a gd vanilla lr 3, diverged (x)" in text


def test_a_run_without_trials_is_shown(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [])
    assert shown(folder) == "The run has no trials.\n"
    assert json.loads(shown(folder, "json")) == []


def test_of_many_settings_the_best_are_shown_in_their_order(tmp_path: Path) -> None:
    losses = [float(1 + (k * 7) % 100) for k in range(100)]
    trials = [Made([200.0, loss], varied=[k]) for k, loss in enumerate(losses)]
    folder = write_run(tmp_path, trials, ["width"])
    text = shown(folder)
    rows = [row for row in cells(text, "Best learning rate") if row[0] == "gd"]
    expected = [f"width={k}" for k, loss in enumerate(losses) if loss <= MOST_ROWS]
    assert [row[2] for row in rows] == expected
    assert f"60 settings have higher losses and no row here; all: --format csv, or {folder}" in text
    assert "the 6 of 100 settings with the lowest losses" in text
    assert len(shown(folder, "csv").splitlines()) == 101


def test_of_many_learning_rates_some_and_the_best_are_shown(tmp_path: Path) -> None:
    trials = [Made([9.0, abs(k - 501) + 1.0], lr=k / 1000) for k in range(1, 1001)]
    text = shown(write_run(tmp_path, trials))
    header, row, *_ = rates(text)
    assert MOST_COLUMNS <= len(header) <= MOST_COLUMNS + 2
    assert "1*" in row
    assert f"{len(header) - 1} of 1000 columns are shown" in text


def test_learning_rates_have_the_digits_that_tell_them_apart() -> None:
    assert list(distinct_labels([0.1, 1e-4, 1 / 3]).values()) == ["0.0001", "0.1", "0.3333"]
    assert list(distinct_labels([0.1, 0.1000001]).values()) == ["0.1", "0.1000001"]
    assert list(distinct_labels([0.1, 0.1]).values()) == ["0.1"]
    close = [0.1, 0.10000000000000002]
    assert [float(label) for label in distinct_labels(close).values()] == close


def test_json_is_strict_and_has_the_numbers_in_full(tmp_path: Path) -> None:
    losses = [0.1 + 0.2, 0.1 + 0.2, inf]
    trials = [Made([1.0, x], seed=k, metrics=[1 / 3]) for k, x in enumerate(losses)]
    trials.append(Made([1.0, nan], optimizer="adam", status="diverged", metrics=[nan]))
    text = shown(write_run(tmp_path, trials, metrics=["accuracy"]), "json")
    first, second = json.loads(text, parse_constant=pytest.fail)
    assert first["train_loss"] == first["train_loss_q1"] == 0.1 + 0.2
    assert first["train_loss_q3"] == "inf"
    assert (first["lr"], first["seeds"], first["batch_size"]) == (0.1, 3, 100)
    assert first["accuracy"] == 1 / 3
    assert first["test_loss"] is None
    assert (second["lr"], second["train_loss"], second["diverged"]) == (None, None, 1)


def test_csv_has_the_numbers_in_full_and_nothing_for_none(tmp_path: Path) -> None:
    trials = [Made([1.0, 0.1 + 0.2]), Made([1.0, inf], optimizer="adam", status="diverged")]
    first, second = csv.DictReader(io.StringIO(shown(write_run(tmp_path, trials), "csv")))
    assert first["train_loss"] == repr(0.1 + 0.2)
    assert (second["lr"], second["train_loss"]) == ("", "")
    assert list(first)[:6] == ["method", "batch_size", "optimizer", "schedule", "lr", "seeds"]


def test_markdown_is_one_row_a_setting(tmp_path: Path) -> None:
    lines = shown(write_run(tmp_path, grid()), "md").splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1


def test_without_utf_8_the_plot_is_left_out_and_said(tmp_path: Path) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    print_results(write_run(tmp_path, grid()), "table", Console(file=file, markup=False, width=200))
    file.seek(0)
    assert "The plot needs UTF-8, and the output is ascii" in file.read()


@pytest.mark.parametrize("name", ["summary.csv", "curves.csv"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = write_run(tmp_path, grid())
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"{name}: there is no such file"):
        shown(folder)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (0.99, "0.99"),
        (0.99999, "0.99999"),
        (1.00001, "1.00001"),
        (0.99999999976, "1 - 2.4e-10"),
        (1 + 3e-12, "1 + 3e-12"),
        (nan, "nan"),
        (1e-9, "1e-09"),
    ],
)
def test_a_rate_is_1_only_where_it_is(value: float, text: str) -> None:
    assert factor(value) == text
    assert texts_of([{"theory_rate": value}], ["theory_rate"]) == [{"theory_rate": text}]


def test_learning_rates_are_told_apart_from_all_of_the_run() -> None:
    rows: list[dict[str, Value]]
    rows = [{"lr": 0.2000001, "loss": 0.2000001}, {"lr": None, "loss": nan}]
    assert texts_of(rows, ["lr", "loss"]) == [
        {"lr": "0.2", "loss": "0.2"},
        {"lr": "", "loss": "nan"},
    ]
    assert texts_of(rows, ["lr"], [0.2])[0] == {"lr": "0.2000001"}
    assert texts_of([{"lr": nan}], ["lr"]) == [{"lr": "nan"}]
