# SPDX-License-Identifier: MIT
"""tf_diet: physical structured pruning of Keras 3 models.

```python
small = tf_diet.prune(model, (x, y), rate=0.5)
```

Conversion and boards live in `tf_diet.convert` and `tf_diet.boards`, the
audio side in `tf_diet.audio` and `tf_diet.models`; they are imported when
asked for, as they need extras.
"""

from tf_diet import rules as _rules  # noqa: F401  (files the shipped rules)
from tf_diet.criteria.criterion import Criterion, register_criterion
from tf_diet.criteria.estimators import (
    mutual_information,
    register_estimator,
)
from tf_diet.errors import DietError
from tf_diet.graph.picture import picture
from tf_diet.graph.rule import Rule, Signature, register_rule
from tf_diet.graph.show import describe, inspect
from tf_diet.lottery.diet import LotteryDiet
from tf_diet.lottery.distillation import Distillation
from tf_diet.lottery.masking import Mask
from tf_diet.lottery.methods import Method, Trim, register_method
from tf_diet.lottery.resets import (
    LrRewind,
    NoReset,
    Reinit,
    Reset,
    Rewind,
    register_reset,
)
from tf_diet.lottery.run import Run
from tf_diet.lottery.schedules import (
    ConstantRate,
    Listed,
    Polynomial,
    UntilBudget,
    UntilError,
    register_schedule,
)
from tf_diet.lottery.sweep import Sweep, Trial, grid, sweep
from tf_diet.pruning.budget import Budget
from tf_diet.pruning.limits import Limits
from tf_diet.pruning.plan import PruningPlan
from tf_diet.pruning.prune import plan, prune
from tf_diet.pruning.repair.linear import register_consumer
from tf_diet.pruning.repair.methods import Repair, register_repair
from tf_diet.pruning.repair.repair import repair
from tf_diet.pruning.scaling import PerSaving, each_group, register_scaling
from tf_diet.pruning.selection import GlobalThenLocal, register_scope
from tf_diet.pruning.verify import verify

__version__ = "0.1.0"

__all__ = [
    "Budget",
    "ConstantRate",
    "Criterion",
    "DietError",
    "Distillation",
    "GlobalThenLocal",
    "Limits",
    "Listed",
    "LotteryDiet",
    "LrRewind",
    "Mask",
    "Method",
    "NoReset",
    "PerSaving",
    "Polynomial",
    "PruningPlan",
    "Reinit",
    "Repair",
    "Reset",
    "Rewind",
    "Rule",
    "Run",
    "Signature",
    "Sweep",
    "Trial",
    "Trim",
    "UntilBudget",
    "UntilError",
    "describe",
    "each_group",
    "grid",
    "inspect",
    "mutual_information",
    "picture",
    "plan",
    "prune",
    "register_consumer",
    "register_criterion",
    "register_estimator",
    "register_method",
    "register_repair",
    "register_reset",
    "register_rule",
    "register_scaling",
    "register_schedule",
    "register_scope",
    "repair",
    "sweep",
    "verify",
]
