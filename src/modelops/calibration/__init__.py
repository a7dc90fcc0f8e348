"""Calibration: target → alignment → evaluation → loss. It knows nothing of infrastructure.

A bundle's code imports `model` and `target` from here to mark its functions, and builds `Target`s
from an alignment and a loss.
"""

from modelops.calibration.alignment import (
    Aligned,
    AlignmentStrategy,
    ExactAlignment,
    MetricAlignment,
)
from modelops.calibration.evaluation import Evaluation, evaluate_targets
from modelops.calibration.frames import Frame
from modelops.calibration.losses import RMSE, AbsoluteError, EvaluationStrategy, SquaredError
from modelops.calibration.marks import model, target
from modelops.calibration.targets import Target

__all__ = [
    "RMSE",
    "AbsoluteError",
    "Aligned",
    "AlignmentStrategy",
    "Evaluation",
    "EvaluationStrategy",
    "ExactAlignment",
    "Frame",
    "MetricAlignment",
    "SquaredError",
    "Target",
    "evaluate_targets",
    "model",
    "target",
]
