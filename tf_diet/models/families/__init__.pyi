# SPDX-License-Identifier: MIT
from .base import Family as Family
from .base import Instrument as Instrument
from .base import Stage as Stage
from .base import families as families
from .base import register_family as register_family
