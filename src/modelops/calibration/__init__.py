"""Calibration: target → alignment → evaluation → loss. It knows nothing of infrastructure.

A bundle's code imports `model` and `target` from here to mark its functions, and builds `Target`s
from an alignment and a loss.
"""

from modelops.calibration.alignment import (
    Aligned,
    AlignmentStrategy,
    PreparedAlignment,
    PreparingAlignment,
    ReplicateAlignment,
)
from modelops.calibration.discovery import create_alignment, create_loss
from modelops.calibration.evaluation import (
    AlignedReplicate,
    Evaluation,
    align_replicate,
    evaluate_targets,
)
from modelops.calibration.frames import Frame
from modelops.calibration.key_alignment import ExactAlignment
from modelops.calibration.likelihoods import (
    BetaBinomialNLL,
    GaussianNLL,
    NegativeBinomialNLL,
    PoissonNLL,
)
from modelops.calibration.losses import RMSE, AbsoluteError, EvaluationStrategy, SquaredError
from modelops.calibration.marks import model, target
from modelops.calibration.metric_alignment import MetricAlignment
from modelops.calibration.ordered_alignment import AsOfAlignment, InterpolationAlignment
from modelops.calibration.targets import Target

__all__ = [
    "RMSE",
    "AbsoluteError",
    "Aligned",
    "AlignedReplicate",
    "AlignmentStrategy",
    "AsOfAlignment",
    "BetaBinomialNLL",
    "Evaluation",
    "EvaluationStrategy",
    "ExactAlignment",
    "Frame",
    "GaussianNLL",
    "InterpolationAlignment",
    "MetricAlignment",
    "NegativeBinomialNLL",
    "PoissonNLL",
    "PreparedAlignment",
    "PreparingAlignment",
    "ReplicateAlignment",
    "SquaredError",
    "Target",
    "align_replicate",
    "create_alignment",
    "create_loss",
    "evaluate_targets",
    "model",
    "target",
]
