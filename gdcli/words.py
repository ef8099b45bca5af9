"""The words that people use for what is called something else here.

Likeness of letters does not know that `--learning-rate` is `--lr`, or that torch's SGD is the plain
rule: these tables do. Words are compared without case and hyphens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdcli.fields import squashed, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OPTIONS = {  # of what people write, by what it is called
    "lr": (
        "learning-rate learning-rates learnrate step-size eta alpha rate lrs lr0 lrate "
        "base-lr initial-lr"
    ),
    "epochs": "epoch n-epochs num-epochs max-epochs num-train-epochs nb-epoch passes",
    "steps": (
        "step iteration iterations iters iter n-iter max-iter n-iterations num-iterations "
        "n-steps num-steps max-steps updates"
    ),
    "batch-size": (
        "batch batches batch-sizes bs minibatch mini-batch-size "
        "train-batch-size per-device-train-batch-size"
    ),
    "optimizer": "optim opt optimiser optimisers optimizers solver update-rule rule algorithm algo",
    "schedule": (
        "schedules scheduler schedulers lr-schedule lr-scheduler lr-decay decay annealing "
        "lr-schedule-type learning-rate-schedule"
    ),
    "schedule-for": (
        "schedules-for weight-decay-schedule wd-schedule momentum-schedule batch-size-schedule "
        "batch-schedule beta-schedule"
    ),
    "weight-decay": "wd decoupled-weight-decay",
    "clip-norm": "clip grad-clip clip-grad gradient-clipping clip-grad-norm max-norm max-grad-norm",
    "seed": "seeds random-state random-seed rng manual-seed",
    "method": "descent mode",
    "tol": "tolerance gtol",
    "target-loss": "target-train-loss stop-at loss-target",
    "diverge-at": "divergence blow-up",
    "record": "log-every record-every log-interval eval-every",
    "dtype": "precision float-type data-type",
    "device": "gpu gpus cuda accelerator devices",
    "order": "shuffle sampling replacement",
    "remainder": "drop-last",
    "workers": "jobs n-jobs num-workers processes parallel n-workers",
    "hidden": "hidden-layers hidden-sizes hidden-units layers units width widths",
    "activation": "act nonlinearity",
    "initial": "init initialization initializer weight-init",
    "start": "x0 start-point starting-point initial-point w0",
    "formula": "function func expr expression equation",
    "data": "file csv input train-data training-data data-file data-path dataset-path train",
    "dataset": "data-set dataset-name datasets",
    "target": "label labels y target-column target-col label-column y-column",
    "scale": (
        "standardize standardise normalize normalise scaler scaling normalization standardization"
    ),
    "stratify": "stratified stratify-split keep-shares",
    "class-weights": "class-weight weight weights pos-weight balanced sample-weight",
    "balanced-accuracy": "balanced-accuracy-score bacc recall mean-recall macro-recall",
    "task": "regression classification objective-type problem-type",
    "test-fraction": (
        "test-size test-split test-share test-part validation-split val-split test-ratio test val"
    ),
    "l2": "ridge regularization regularisation penalty reg l2-reg l2-regularization",
    "condition": "kappa condition-number cond",
    "dim": "dimension dimensions n-dim",
    "examples": "n-samples num-samples samples n-examples",
    "output": (
        "out out-dir output-dir output-folder output-path output-directory save-dir "
        "results-dir results dir folder output-file outfile"
    ),
    "name": "run-name experiment-name",
    "format": "fmt output-format output-type",
    "dry-run": "plan dry simulate",
    "fail-on": "fail",
    "no-color": "no-colour colorless nocolor",
    "overwrite": "force clobber replace",
    "resume": "continue",
    "verbose": "debug traceback",
    "quiet": "silent",
    "memory": "max-memory memory-limit mem ram",
    "shard": "part share",
    "measure": "sharpness",
    "separator": "sep delimiter delim",
    "drop": "drop-columns exclude ignore-columns ignore",
    "categorical": "categories one-hot cat-columns",
    "missing": "na nan impute fill-na dropna",
    "skip-rows": "skiprows skip-lines",
    "save": "save-experiment write-experiment",
    "lr-from": "start-lr min-lr lr-min",
    "lr-to": "end-lr max-lr lr-max",
}
SAID = {  # of options: what is one only in other words
    "momentum": "momentum is an optimizer: --optimizer momentum --vary momentum.beta=0.9",
    "nesterov": "nesterov is an optimizer: --optimizer nesterov --vary nesterov.beta=0.9",
    "beta": "it is an option of an optimizer: --optimizer momentum --vary momentum.beta=0.9",
    "beta1": "it is an option of an optimizer: --optimizer adam --vary adam.beta1=0.9",
    "beta2": "it is an option of an optimizer: --optimizer adam --vary adam.beta2=0.999",
    "betas": "they are options of an optimizer: --optimizer adam --vary adam.beta1=0.9",
    "eps": "it is an option of an optimizer: --optimizer adam --vary adam.eps=1e-8",
    "rho": "it is an option of an optimizer: --optimizer adadelta --vary adadelta.rho=0.9",
    "loss": "every problem has its own loss; see: gdcli problems",
    "lossfunction": "every problem has its own loss; see: gdcli problems",
    "criterion": "every problem has its own loss; see: gdcli problems",
    "objective": "every problem has its own loss; see: gdcli problems",
    "model": "the problem is the word after the command; see: gdcli problems",
    "problem": "the problem is the word after the command; see: gdcli problems",
    **dict.fromkeys(
        ("stratify", "stratified", "classweight", "classweights", "balancedaccuracy"),
        "it is an option of problems with classes: logistic-regression, softmax-regression, svm, "
        "mlp, cnn",
    ),
    "task": "to predict a number, run linear-regression, or mlp with --task regression",
    "warmup": "it is a schedule: --schedule warmup-cosine",
    "warmupsteps": "it is a schedule: --schedule warmup-cosine",
    "gamma": "the schedules have options of their own; see: gdcli schedules exponential",
    "warmupepochs": "it is a schedule: --schedule warmup-cosine",
    "warmupratio": "it is a schedule: --schedule warmup-cosine",
    "adam": "it is an optimizer: --optimizer adam",
    "sgd": "write --method sgd",
    "gd": "write --method gd",
    "config": "give the experiment file in the place of the problem: gdcli sweep FILE.toml",
    "json": "write --format json",
    "csvformat": "write --format csv",
    "fp16": "write --dtype float32 or float64",
    "half": "write --dtype float32 or float64",
    "float64": "write --dtype float64",
    "double": "write --dtype float64",
    "verbosity": "write --verbose, or --quiet",
    "grid": "write --vary NAME=VALUES",
    "param": "write --vary NAME=VALUES",
}
VARIED = {  # by --vary, beside the options
    "momentum.beta": "momentum mu heavy-ball-beta",
}
VALUES = {  # by option
    "method": {
        "gd": "batch full full-batch batch-gd full-gradient gradient-descent deterministic",
        "sgd": "stochastic online single",
        "minibatch": "mini minibatches minibatch-sgd mbgd",
    },
    "dtype": {
        "float32": "single fp32 f32 float 32 float32",
        "float64": "double fp64 f64 64",
    },
    "order": {
        "shuffle": "random shuffled reshuffle random-reshuffling permutation",
        "fixed": "none sequential cyclic",
        "replacement": "with-replacement iid uniform",
    },
    "scale": {
        "standard": "standardize standardise z-score normalize normalise standard-scaler",
        "minmax": "min-max-scaler unit 01",
        "none": "no off false raw",
    },
    "remainder": {"drop": "drop-last", "keep": "keep-last"},
    "initial": {"glorot": "xavier xavier-uniform glorot-uniform", "torch": "default pytorch"},
    "dataset": {
        "breast-cancer": "cancer wdbc breast bcw",
        "fashion-mnist": "fashion fmnist fashionmnist",
        "digits": "digit optdigits",
        "cifar10": "cifar cifar-10",
    },
    "format": {"md": "markdown", "table": "text plain txt"},
}
NAMES = {  # by the catalogue's folder
    "optimizers": {
        "vanilla": "plain gradient-descent steepest-descent none",
        "momentum": "heavy-ball sgd-momentum sgdm momentum-sgd",
        "nesterov": "nag accelerated nesterov-momentum accelerated-gradient agd fista",
        "rmsprop": "rms",
        "sign-sgd": "sign sign-gd sign-descent",
        "alig": "ali-g",
        "armijo": "sls line-search backtracking sgd-line-search",
        "asgd": "averaged-sgd polyak-ruppert",
        "barzilai-borwein": "bb",
        "dadapt-adam": "d-adaptation d-adapt d-adapt-adam",
        "gauss-newton": "ggn generalized-gauss-newton",
        "lbfgs": "bfgs l-bfgs-b",
        "levenberg-marquardt": "lm",
        "newton-cg": "newton truncated-newton hessian-free trust-ncg",
        "nonlinear-cg": "cg conjugate-gradient conjugate-gradients fletcher-reeves",
        "polyak": "sps polyak-step polyak-sgd",
        "psgd-kron": "psgd kron",
        "qhm": "quasi-hyperbolic-momentum",
        "schedule-free-adamw": "schedule-free",
        "signum": "sign-momentum signsgd-momentum",
        "torch:SparseAdam": "sparse-adam",
    },
    "schedules": {
        "constant": "none fixed no const flat",
        "cosine": "cosine-annealing cosine-annealing-lr cos cosine-decay",
        "exponential": "exp exponential-lr exponential-decay",
        "inverse-time": "inverse inv time-based time-decay inv-scaling 1/t inverse-time-decay",
        "linear": "linear-lr linear-decay",
        "one-cycle": "one-cycle-lr 1cycle cycle",
        "step": "step-lr step-decay multi-step multi-step-lr piecewise drop steps",
        "step-up": "doubling growing stages rising-step",
        "warmup-cosine": "cosine-warmup cosine-with-warmup",
        "warmup-constant": "warmup linear-warmup constant-with-warmup warmup-linear",
        "wsd": "warmup-stable-decay trapezoid trapezoidal cooldown linear-cooldown 1-sqrt",
        "inverse-sqrt": "inverse-square-root noam rsqrt inv-sqrt isqrt transformer",
        "polynomial": "poly polynomial-lr polynomial-decay power",
        "cosine-restarts": (
            "sgdr cosine-annealing-warm-restarts cosine-with-restarts warm-restarts restarts "
            "cosine-with-hard-restarts"
        ),
        "reduce-on-plateau": "plateau reduce-lr-on-plateau rlrop adaptive",
        "triangular": "cyclic cyclic-lr clr triangle triangular2",
    },
    "problems": {
        "linear-regression": (
            "linear linear-model linear-reg ols least-squares lstsq regression linreg ridge mse"
        ),
        "logistic-regression": "logistic logit logistic-reg logreg binary-classification",
        "softmax-regression": (
            "softmax softmx softmax-classifier multiclass multinomial classification "
            "multinomial-logistic-regression"
        ),
        "poisson-regression": "poisson",
        "huber": "huber-regression robust-regression",
        "svm": "linear-svm svc hinge support-vector-machine",
        "mlp": (
            "perceptron multilayer-perceptron ffn network nn neural-network neural-net dense "
            "fully-connected feed-forward dnn"
        ),
        "cnn": "convnet conv convolutional lenet convolutional-neural-network",
        "char-lm": "charlm lm rnn lstm language-model char-rnn text",
        "matrix-factorization": "mf matrix-factorisation recommender factorization",
        "quadratic": "sphere quadratics bowl parabola quad quadratic-bowl",
        "expression": "formula function expr",
        "rosenbrock": "banana",
        "yolo26": "yolo detector detection",
        "autoencoder": "ae auto-encoder",
    },
}
DATASETS = {"digits", "iris", "wine", "breastcancer", "mnist", "fashionmnist", "cifar10"}
METHODS = {  # as people look for them among the optimizers
    "sgd": "did you mean 'vanilla', with --method sgd or minibatch?",
    "stochasticgradientdescent": "did you mean 'vanilla', with --method sgd or minibatch?",
    "minibatch": "did you mean 'vanilla', with --method minibatch?",
    "batch": "did you mean 'vanilla', with --method gd?",
    "gd": "did you mean 'vanilla', with --method gd?",
    "fullbatch": "did you mean 'vanilla', with --method gd?",
}
COMMANDS_SAID = {
    "version": "write gdcli --version",
    "help": "write gdcli --help, or gdcli COMMAND --help",
    "datasets": "they are the choices of --dataset; see: gdcli run softmax-regression --help",
    "dataset": "they are the choices of --dataset; see: gdcli run softmax-regression --help",
}
COMMANDS = {
    "run": "train trian fit start optimize minimise minimize descend",
    "runs": "ls list history",
    "lr-range": "lr-find lr-finder find-lr range-test lr-test lr-range-test",
    "gradcheck": "gradients gradient-check check-gradient check-grad grad-check",
    "compare": "diff vs",
    "show": "table view cat print results summary",
    "plot": "draw chart graph curves",
    "report": "html page dashboard reports",
    "new": "init create template scaffold",
    "sweep": "grid search grid-search",
    "problems": "problem models losses",
    "optimizers": "optimizer optimisers solvers",
    "schedules": "schedule schedulers",
    "verify": "reproduce rerun validate reverify",
    "doctor": "info env diagnose environment system",
    "explore": "data-map label-errors",
    "landscape": "surface contour",
}


def option_meant(word: str, typed: Mapping[str, str]) -> str:
    """Return a hint at the option that a word means, "" where none is meant.

    `typed` says how each option that there is, by its name, is written.
    """
    key = squashed(word)
    named = _named(key, OPTIONS)
    if named is None or named not in typed:
        named = next((name for name in typed if squashed(name) == key), None)
    if named is not None:
        return f"did you mean '{typed[named]}'?"
    # What is said of words holds of grids.
    said = SAID.get(key, "") if "optimizer" in typed else ""
    return said or suggestion(word, typed, typed)


def option_named(word: str) -> str:
    """Return what an option is called for which people use a word; the word itself for others."""
    return _named(squashed(word), OPTIONS) or word


def axis_meant(word: str, known: Iterable[str]) -> str:
    """Return the same of what --vary is given."""
    typed = {name: name for name in known}
    named = _named(squashed(word), VARIED)
    return f"did you mean '{named}'?" if named in typed else option_meant(word, typed)


def value_meant(option: str, word: str, choices: Iterable[str]) -> str:
    """Return a hint at the choice of an option that a word means, or "" where none is."""
    known = list(choices)
    named = _named(squashed(word), VALUES.get(option, {}))
    return f"did you mean '{named}'?" if named in known else suggestion(word, known)


def entry_meant(folder: str, word: str, names: Iterable[str]) -> str:
    """Return a hint at the problem, optimizer or schedule that a word means, or ""."""
    known = list(names)
    if same := _same(word, known):
        return same
    if folder == "optimizers" and (said := METHODS.get(squashed(word))):
        return said
    if folder == "problems" and squashed(word) in DATASETS:
        return "it is a data set: gdcli run softmax-regression --dataset NAME, or another problem"
    named = _named(squashed(word), NAMES.get(folder, {}))
    return f"did you mean '{named}'?" if named else suggestion(word, known)


def command_meant(word: str, names: Iterable[str]) -> str:
    """Return a hint at the command that a word means, or ""."""
    known = list(names)
    if said := COMMANDS_SAID.get(squashed(word)):
        return said
    named = _named(squashed(word), COMMANDS)
    return f"did you mean '{named}'?" if named in known else suggestion(word, known)


def _same(word: str, names: Iterable[str]) -> str:
    """Return the hint where a name differs by case and hyphens alone."""
    found = next((name for name in names if squashed(name) == squashed(word)), None)
    return f"did you mean '{found}'?" if found else ""


def _named(key: str, table: Mapping[str, str]) -> str | None:
    """Return under which name a table has a word."""
    return next(
        (name for name, words in table.items() if key in map(squashed, words.split())), None
    )
