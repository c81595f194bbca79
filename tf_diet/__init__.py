# SPDX-License-Identifier: MIT
"""tf_diet: physical structured pruning of Keras 3 models.

```python
small = tf_diet.prune(model, (x, y), rate=0.5)
```

Names are imported when they are first used, so that `import tf_diet` is fast
and brings no TensorFlow. What there is stands in `__init__.pyi`; conversion
and boards are in `tf_diet.convert` and `tf_diet.boards`, the audio side in
`tf_diet.audio` and `tf_diet.models`.
"""

from tf_diet import backend as _backend
from tf_diet.lazy_exports import attach as _attach

__version__ = "0.1.0"

_backend.choose()
__getattr__, __dir__, __all__ = _attach(__name__, __file__)
