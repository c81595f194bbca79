# SPDX-License-Identifier: MIT
from .base import Family as Family
from .base import Playing as Playing
from .base import Stage as Stage
from .base import families as families
from .base import register_family as register_family
