"""What a problem with classes does about rare ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from gdcli.fields import LATER


@dataclass(frozen=True, kw_only=True)
class OfClasses:
    """The options of a problem that predicts a class."""

    class_weights: Annotated[
        Literal["none", "balanced"],
        LATER,
        "weigh each example by n / (classes x examples of its class), of the training part",
    ] = "none"
    balanced_accuracy: Annotated[
        bool,
        LATER,
        "record the mean recall of the classes, too; so do --class-weights and --stratify",
    ] = False

    @property
    def weighs(self) -> bool:
        """Whether the loss weighs the examples by their classes."""
        return self.class_weights == "balanced"

    @property
    def recalls(self) -> bool:
        """Whether the mean recall of the classes is recorded beside the accuracy."""
        return self.weighs or True in (self.balanced_accuracy, getattr(self, "stratify", False))

    @property
    def of_rare_classes(self) -> tuple[str, ...]:
        """The measures that are recorded beside the accuracy."""
        return ("balanced_accuracy",) if self.recalls else ()
