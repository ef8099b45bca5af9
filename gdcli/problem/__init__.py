"""What is minimised: the contract of a problem and of its five families.

Problem             any loss in PyTorch: differentiated by autograd under torch.func.vmap
├── Analytic        value and gradient in closed form (quadratic, rosenbrock, ...)
│   └── Surface     a function of two variables, with a starting point
├── LinearModel     predictions X W + b and the cost of one prediction (least squares, ...)
├── Network         a torch.nn.Module and a criterion (mlp, cnn)
└── StatefulNetwork a module with a loss of its own, one trial at a time (yolo26)

A problem is a frozen dataclass whose fields are its options. It is written for one trial; the
engine adds the axis of trials. The more specific the family, the faster it runs.
"""

from gdcli.problem.contract import (
    BITS,
    L2,
    Analytic,
    Array,
    Batch,
    Data,
    Least,
    LinearModel,
    Network,
    OfClasses,
    Params,
    Problem,
    Quantized,
    StartSpread,
    StatefulNetwork,
    Surface,
    of_both_parts,
)

__all__ = [
    "BITS",
    "L2",
    "Analytic",
    "Array",
    "Batch",
    "Data",
    "Least",
    "LinearModel",
    "Network",
    "OfClasses",
    "Params",
    "Problem",
    "Quantized",
    "StartSpread",
    "StatefulNetwork",
    "Surface",
    "of_both_parts",
]
