# SPDX-License-Identifier: MIT
from .estimate import Estimator as Estimator
from .estimate import chosen as chosen
from .estimate import estimators as estimators
from .estimate import mutual_information as mutual_information
from .estimate import register_estimator as register_estimator
from .greedy_gain import gain as gain
