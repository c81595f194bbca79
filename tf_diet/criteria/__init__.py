# SPDX-License-Identifier: MIT
"""How much a unit matters: criteria, and the data that they look at."""

from tf_diet.criteria.activations import Activation
from tf_diet.criteria.criterion import (
    Criterion,
    criteria,
    get,
    register_criterion,
)
from tf_diet.criteria.estimators import (
    mutual_information,
    register_estimator,
)
from tf_diet.criteria.gradients import Gradient, GradientMin, Obd, Taylor
from tf_diet.criteria.information import (
    InformationGain,
    InputInformation,
    MutualInformation,
)
from tf_diet.criteria.rank import rank
from tf_diet.criteria.scores import Scores
from tf_diet.criteria.weights import (
    L2,
    GeometricMedian,
    Lamp,
    Magnitude,
    Normalisation,
    Random,
)

__all__ = [
    "L2",
    "Activation",
    "Criterion",
    "GeometricMedian",
    "Gradient",
    "GradientMin",
    "InformationGain",
    "InputInformation",
    "Lamp",
    "Magnitude",
    "MutualInformation",
    "Normalisation",
    "Obd",
    "Random",
    "Scores",
    "Taylor",
    "criteria",
    "get",
    "mutual_information",
    "rank",
    "register_criterion",
    "register_estimator",
]
