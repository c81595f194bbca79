# SPDX-License-Identifier: MIT
from .estimate import Estimator as Estimator
from .estimate import chosen as chosen
from .estimate import mutual_information as mutual_information
from .greedy_gain import gain as gain
