# SPDX-License-Identifier: MIT
from .base import Family as Family
from .base import Playing as Playing
from .base import Stage as Stage
