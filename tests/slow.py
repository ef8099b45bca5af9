"""What `make test` leaves to `make test-all`: long tests, and most cases of the large products.

`make test` tries the engine's laws on one problem of each program, for the program decides how a
trial is computed; tests/laws holds every problem to its own laws.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

import pytest

# One problem of each program of gdcli/engine/programs; tests/test_groups.py says so.
PROGRAMS = (
    "char-lm",
    "linear-regression",
    "matrix-factorization",
    "mlp",
    "quadratic",
    "softmax-regression",
)
PLAIN = ("vanilla", "momentum", "adam")  # optimizers that every problem meets: no state, one, two

# The first edition's: tried on every problem, the others on some of each family.
FIRST = (
    *("adadelta", "adagrad", "adam", "adamw", "amsgrad", "lion", "momentum", "nadam", "nesterov"),
    *("radam", "rmsprop", "sign-sgd", "vanilla"),
)

# Layers of each kind: random, with running statistics, and two that are trained one by one.
LAYERS = ("dropout", "batch norm", "choosing", "drawing")

Case: TypeAlias = Callable[[Mapping[str, Any]], bool]  # of the values that a case has


def of_a_program(case: Mapping[str, Any]) -> bool:
    """Return whether a case is of a problem that stands for its program."""
    return case["problem"] in PROGRAMS


def of_a_program_or_plain(case: Mapping[str, Any]) -> bool:
    """Return whether a case is of a program with many optimizers, or any problem with a few.

    tests/laws has the laws of all optimizers.
    """
    own = of_a_program(case) and case["optimizer"] in (*PLAIN, "adamw", "lion", "rmsprop")
    return own or case["optimizer"] == "adam"


@dataclass(frozen=True)
class Slow:
    """Tests by patterns of their file, or of file::name; cases that are `kept` are not slow."""

    reason: str
    tests: tuple[str, ...]
    kept: Case | None = None

    def keeps(self, item: pytest.Item) -> bool | None:
        """Return whether a test is a case that is not slow; None if it has other values."""
        if self.kept is None:
            return False
        callspec = getattr(item, "callspec", None)
        try:
            return self.kept(callspec.params if callspec else {})
        except KeyError:
            return None


SLOW = (
    Slow(
        "they train trials for ten times their budget",
        ("tests/analysis/test_words.py::test_the_stored_trials_are_what_training_gives",),
    ),
    Slow(
        "products of problems with optimizers, settings and measures",
        (
            "tests/engine/test_contract.py::test_a_trial_in_a_grid_equals_the_trial_alone",
            "tests/engine/test_engines.py::test_every_problem_with_every_optimizer",
        ),
        of_a_program_or_plain,
    ),
    Slow(
        "every rule in stacks and beside references: tests/laws has their laws on a small network",
        ("tests/optimizers/test_*.py",),
    ),
    Slow(
        "the state of every rule, kept at every step",
        ("tests/engine/test_recorder_checkpoint.py::test_every_optimizer_keeps_all_of_its_state",),
        lambda case: case["optimizer"] in (*FIRST, "lbfgs", "muon+adam", "soap", "adam+ema"),
    ),
    Slow(
        "products of problems with orders, precisions and subsets of a grid",
        (
            "tests/cli/test_round_trip.py::*",
            "tests/engine/test_engines.py::test_every_problem_in_every_order",
            "tests/engine/test_engines.py::test_single_precision",
        ),
        of_a_program,
    ),
    Slow(
        "one case of char-lm takes seconds",
        (
            "tests/engine/test_contract.py::test_no_subset_of_a_grid_changes_a_trials_bits",
            "tests/engine/test_hessian.py::test_sharpness_in_a_grid_is_that_of_the_trial_alone",
        ),
        lambda case: of_a_program(case) and case["problem"] != "char-lm",
    ),
    Slow(
        "every law of a network that reads text, and its gradient",
        ("tests/laws/test_laws.py::test_every_problem_keeps_every_law",),
        lambda case: case["name"] != "char-lm",
    ),
    Slow(
        "gradients of networks by differences: the smallest network is enough",
        ("tests/cli/studies/test_gradcheck.py::test_the_defaults_pass",),
        lambda case: case["name"] == "mlp",
    ),
    Slow(
        "steps on the memory of a graph: one update rule is enough",
        (
            "tests/engine/programs/test_fused.py::test_steps_on_the_memory_of_a_graph_are_the_plain_steps",
        ),
        lambda case: case["rule"] == {},
    ),
    Slow(
        "a table of 20,000 columns, every command on a file, processes that import torch",
        (
            "tests/datasets/test_reading.py::test_a_table_of_very_many_columns",
            "tests/cli/test_own.py::test_only_commands_that_need_a_file_run_it",
            "tests/cli/test_own.py::test_what_cannot_be_stacked_is_said_in_one_line",
            "tests/cli/test_step.py::test_the_script_runs_and_says_the_same",
            "tests/engine/programs/test_vmap.py::test_what_torch_checks_is_checked_without_*",
            "tests/engine/programs/test_vmap.py::test_the_compiler_is_imported_for_those_*",
        ),
    ),
    Slow(
        "every setting of a plain loop in PyTorch",
        ("tests/engine/reference/test_textbook.py::test_a_grid_is_its_trials_trained_one_by_one",),
        lambda case: case["name"] == "linear-regression" or case["how"] == "sgd",
    ),
    Slow(
        "products of problems with every method: one of each kind, and the laws of all, are enough",
        (
            "tests/engine/test_methods.py::test_a_trial_beside_one_that_diverges_is_*",
            "tests/engine/test_methods.py::test_it_goes_on_from_every_state_with_the_same_bits",
        ),
        lambda case: case["optimizer"] in ("soap", "lbfgs", "momentum+sam", "momentum+ema"),
    ),
    Slow(
        "products of modules, precisions and batches: those that differ most are enough",
        ("tests/engine/programs/test_bits.py::test_bits_do_not_depend_on_place_and_number",),
        lambda case: (case["dtype"], case["batch"]) == ("float32", 61) or case["which"] == "Odd",
    ),
    Slow(
        "labels drawn by networks: those with batch statistics and dropout are enough",
        (
            "tests/engine/test_drawn_labels.py::test_networks_agree_with_the_reference_and_alone",
            "tests/engine/test_drawn_labels.py::test_the_mean_estimate_is_the_diagonal",
        ),
        lambda case: case.get("problem", int).__name__ == "Noisy",
    ),
    Slow(
        "every law of every method: one method of each kind is enough",
        ("tests/laws/test_of_methods.py::test_methods_keep_the_laws",),
        lambda case: (
            case["name"]
            in ("lars", "soap", "lbfgs", "prodigy", "gauss-newton", "momentum+sam", "momentum+ema")
        ),
    ),
    Slow(
        "products of layers with precisions and methods",
        ("tests/engine/layers/test_modules.py::test_a_trial_in_a_grid_equals_the_trial_alone",),
        lambda case: (
            (case["dtype"], case["method"]) == ("float64", "minibatch") and case["kind"] in LAYERS
        ),
    ),
    Slow(
        "every layer in both engines: each is compared with a tutorial's loop",
        ("tests/engine/layers/test_modules.py::test_the_engines_agree",),
        lambda case: case["kind"] in LAYERS,
    ),
    Slow(
        "every class of torch.optim on every family",
        ("tests/cli/run/test_torch_optimizers.py::test_it_trains_or_is_refused_before_*",),
        lambda case: case["problem"] == "mlp",
    ),
    Slow(
        "processes whose exports end too early, in every form",
        ("tests/cli/keep/test_export.py::test_an_export_that_does_not_end_changes_nothing",),
        lambda case: case["target"] in ("json", "parquet"),
    ),
    Slow(
        "every linear model in widths that differ, with every optimizer",
        ("tests/engine/test_layout_width.py::test_a_wide_product_changes_no_bit",),
        lambda case: case["optimizer"] == "vanilla" and case["problem"] != "softmax-regression",
    ),
    Slow(
        "long trainings: tests/laws has the same law, or one of the cases is enough",
        (
            "tests/problems/test_char_lm.py::test_a_code_of_one_number_does_about_as_well_*",
            "tests/problems/test_char_lm.py::test_a_text_that_repeats_is_learnt",
            "tests/engine/test_contract.py::test_gradient_descent_lowers_the_loss_by_default",
            "tests/engine/test_published.py",
            "tests/engine/layers/test_quantized.py::test_rounding_costs_what_is_published*",
            "tests/engine/test_hessian.py::test_full_batch_descent_trains_a_network_at_the_edge*",
            "tests/analysis/test_diagnoses_edge.py::test_larger_rates_train_at_the_edge_and_small_ones_below",
        ),
    ),
    Slow(
        "twenty gradients a step",
        ("tests/engine/reference/test_textbook_torch_optimizers.py::test_it_is_the_torch_loop",),
        lambda case: case["name"] != "LBFGS",
    ),
    Slow(
        "seconds each, of processes: the same laws are tried in this process, or on one case",
        (
            "tests/api/test_frames_run.py::test_a_process_that_is_killed_is_a_run_error",
            "tests/api/test_frames_run.py::test_nothing_goes_on_when_the_program_is_killed",
            "tests/cli/keep/test_export_weights.py::test_a_users_module_takes_the_state_dict_and_*",
            "tests/cli/listing/test_doctor.py::test_it_prints_what_there_is",
            "tests/cli/look/test_report.py::test_the_landscape_of_the_same_grid_is_shown",
            "tests/cli/test_own.py::test_a_class_of_torch_is_compared_in_one_grid",
            "tests/cli/test_own.py::test_however_a_file_prints_it_is_not_among_the_results",
            "tests/cli/test_plugins.py::test_plugins_run_and_are_described",
            "tests/engine/test_peak.py::test_a_network_takes_a_part_of_its_examples_at_a_time",
            "tests/executors/test_local_worker.py::test_a_worker_that_is_killed_costs_its_batch_a_retry",
            "tests/executors/test_local_worker.py::test_what_a_worker_raises_is_the_runs_error",
            "tests/executors/test_local_worker.py::test_workers_end_with_a_parent_that_is_killed",
            "tests/problems/test_yolo26.py::test_its_gradient_is_not_compared_with_*",
            "tests/problems/test_yolo26.py::test_without_ultralytics_it_says_what_to_install_*",
            "tests/runs/test_hardening.py::test_a_folder_in_the_place_of_a_file_is_named",
            "tests/runs/test_hardening.py::test_a_limit_of_a_files_size_is_one_line",
            "tests/runs/test_installation.py::test_it_says_what_the_fingerprint_says",
        ),
    ),
    Slow(
        "every format of a folder, every norm that swings: one is enough",
        (
            "tests/cli/test_trust.py::test_another_format_is_refused",
            "tests/cli/test_show.py::test_the_rate_of_a_norm_that_swings_agrees_too",
        ),
        lambda case: case.get("number", 99) == 99 and case.get("condition", 100) == 100,
    ),
    Slow(
        "one case of each is enough: a problem, an activation, a format, a stream",
        (
            "tests/engine/test_engines.py::test_every_schedule",
            "tests/engine/test_hessian.py::test_no_activation_lets_neighbours_change_the_sharpness",
            "tests/engine/test_streaming.py::test_what_is_learnt_from_disk_is_what_is_learnt_in_*",
            "tests/runs/test_hardening.py::test_streams_that_are_closed_or_full_lose_nothing",
            "tests/api/test_frames_run.py::test_a_program_from_stdin_or_without_a_guard_is_run",
        ),
        lambda case: (
            case.get("problem", "mlp") in ("mlp", "linear-regression")
            and case.get("activation", "relu") == "relu"
            and case.get("command", "gdcli >").startswith("gdcli >")
            and case.get("workers", 1) == 1
        ),
    ),
    Slow(
        "processes that a user's file ends, in every way",
        ("tests/cli/test_trust.py::test_a_file_that_ends_the_process_is_no_success",),
        lambda case: (case["workers"] == "2") == ("exec" in case["ending"]),
    ),
    Slow(
        "every command on a folder that names code: those that read, merge and verify are enough",
        ("tests/cli/test_trust.py::test_no_command_runs_what_a_folder_names",),
        lambda case: case["command"][0] in ("show", "merge"),
    ),
    Slow(
        "every layer with rules that ask: tests/engine/layers has the losses and gradients of each",
        ("tests/engine/layers/test_modules.py::test_the_engines_answer_alike",),
        lambda case: case["kind"] in LAYERS,
    ),
    Slow(
        "a hundred workbooks",
        ("tests/datasets/test_round_trips.py::test_what_pandas_writes_for_excel",),
    ),
    Slow(
        "files of hundreds of megabytes, pages of thousands of trials",
        (
            "tests/engine/test_streaming.py::test_a_file_of_400_megabytes_in_100",
            "tests/report/page/test_run_page.py::test_a_page_of_ten_thousand_trials_is_small",
        ),
    ),
    Slow(
        "processes that are killed, and faults",
        (
            "tests/api/test_frames_run.py::test_a*interrupt*",
            "tests/runs/test_store_checkpoint.py::test_a_killed_batch_goes_on_from_its_checkpoint",
            "tests/runs/test_store_checkpoint.py::test_the_next_worker_goes_on_from_a_killed_ones_*",
            "tests/runs/test_faults.py",
            "tests/runs/test_work.py::test_a_retry_that_is_killed_leaves_an_unfinished_run",
        ),
    ),
    Slow(
        "processes that end by every signal and every death",
        (
            "tests/executors/test_local_worker.py::test_the_first_signal_lets_every_worker_*",
            "tests/test_process.py::test_a_signal_ends_the_run_after_the_batch_in_hand",
        ),
        lambda case: case["number"] == signal.SIGTERM,
    ),
    Slow(
        "batches that end their workers in every way",
        ("tests/executors/test_local_worker.py::test_a_batch_that_kills_two_workers_is_named_*",),
        lambda case: case["cause"] == "SIGKILL",
    ),
    Slow(
        "many processes that compute a run together",
        (
            "tests/api/test_frames_run.py::test_a_network_has_the_bytes_of_the_command_line",
            "tests/cli/test_quantization.py::test_workers_shards_and_a_rerun_agree",
            "tests/cli/test_seams.py::test_the_reference_engines_runs_are_shared_merged_*",
            "tests/engine/test_streaming.py::test_a_run_from_disk_is_resumed_shared_and_verified",
            "tests/runs/test_methods.py",
            "tests/runs/test_measuring.py::test_workers_and_shards_write_the_same_bytes_and_*",
            "tests/runs/test_work.py::test_a_retry_runs_the_failed_trials_alone",
            "tests/executors/test_local_worker.py::test_a_network_has_the_same_bytes_too",
            "tests/executors/test_supervisor.py::test_eight_processes_compute_every_batch_once",
            "tests/executors/test_supervisor.py::test_a_new_executor_is_*",
            "tests/test_examples.py",
        ),
    ),
    Slow(
        "processes that are allowed little memory",
        ("tests/engine/test_peak.py::test_a_network_takes_a_part_of_its_examples_at_a_time",),
        lambda case: case["name"] == "run",
    ),
    Slow(
        "networks, in one piece and in many",
        (
            "tests/engine/families/test_footprint.py::test_pieces_change_nothing_but_the_last_digits",
        ),
        lambda case: case["problem"].__name__ == "Line",
    ),
    Slow(
        "hundreds of damaged files and folders",
        ("tests/test_mutated_files.py", "tests/test_hostile_folders.py"),
    ),
    Slow(
        "a copy of gdcli and its tests",
        ("tests/test_one_file.py", "tests/report/test_one_view.py", "tests/test_contributing.py"),
    ),
    Slow(
        "copies of gdcli with one more file",
        (
            "tests/analysis/diagnosis/test_verdict.py::test_one_more_file_*",
            "tests/exports/test_exporter.py::test_one_more_file_*",
        ),
    ),
    Slow(
        "starters, whose own tests are run",
        ("tests/cli/extend/test_check.py::test_a_starter_and_its_test_work_as_they_are",),
        lambda case: case["kind"] == "schedule",
    ),
    Slow(
        "figures as files of every format",
        ("tests/report/charts/test_figure_files.py::test_the_same_run_gives_the_same_bytes",),
        lambda case: case["form"] == "svg",
    ),
    Slow(
        "figures of any values",
        ("tests/report/charts/test_figure_files.py::test_any_values_can_be_drawn",),
    ),
    Slow(
        "documentation: every command is typed in",
        (
            "tests/test_docs.py::test_the_commands_of_a_page_run_in_their_order",
            "tests/test_docs.py::test_the_reference_is_built",
            "tests/test_python_docs.py",
            "tests/test_readme.py::test_the_commands_of_a_block_do_what_it_shows",
        ),
    ),
    Slow("browsers", ("tests/*_in_a_browser.py",)),
    Slow(
        "a batch of every reference run: make verify runs all of them",
        ("tests/test_reference.py::test_a_reference_is_what_its_experiment_gives",),
    ),
)
# What is not slow, whatever a pattern above says of it: one page of everything, in a browser.
KEPT = (
    "tests/report/page/test_run_page_in_a_browser.py::test_boxes_choose_what_all_parts_show",
    "tests/report/page/test_run_page_in_a_browser.py::test_it_draws_without_a_network",
)


def mark(items: Sequence[pytest.Item]) -> list[str]:
    """Mark the slow ones of some tests `slow`; return the patterns that fit none of them.

    A pattern whose cases lack a value that its group asks for does not fit.
    """
    groups = [(group, pattern) for group in SLOW for pattern in group.tests]
    fitting: set[str] = set()
    for item in items:
        name = item.nodeid.partition("[")[0]
        always = [pattern for pattern in KEPT if fits(name, pattern)]
        slow = False
        for group, pattern in groups:
            if fits(name, pattern):
                kept = group.keeps(item)
                slow |= not kept
                fitting |= {pattern} if kept is not None else set()
        if slow and not always:
            item.add_marker(pytest.mark.slow)
        fitting.update(always)
    patterns = [*KEPT, *(pattern for _, pattern in groups)]
    return [pattern for pattern in patterns if pattern not in fitting]


def fits(name: str, pattern: str) -> bool:
    """Return whether a pattern is of a test's file, or of its file::name."""
    return fnmatchcase(name, pattern if "::" in pattern else f"{pattern}::*")
