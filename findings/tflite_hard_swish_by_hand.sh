#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Hard swish written out as products is fused into an operator without int16.
#
# Guess from memory: HARD_SWISH has no 16-bit kernel, so whoever needs int16x8
# writes x * relu6(x + 3) / 6 out of MUL, ADD and RELU6, which all have one.
# Seen: TensorFlow's converter recognises the product, makes the operator of it
# and then refuses the model because of that operator, which the user never
# called. With two ramps, x * (relu(x + 3) - relu(x - 3)) / 6, it converts.
#
# Versions: tensorflow 2.21.0, Python 3.11. Seen on 2026-11-28:
#   by relu6: refused, the message names HARD_SWISH: True
#   by two ramps: converted
#
# What it means: an activation can come back in the converter; look at the
# operators of the float model where an integer one is refused.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TF_CPP_MIN_LOG_LEVEL=3
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet tensorflow==2.21.0 2>/dev/null

cat >"$work/look.py" <<'PY'
import numpy as np
import tensorflow as tf

ways = {
    "by relu6": lambda x: x * tf.nn.relu6(x + 3.0) * (1.0 / 6.0),
    "by two ramps": lambda x: x
    * ((tf.nn.relu(x + 3.0) - tf.nn.relu(x - 3.0)) * (1.0 / 6.0)),
}
rng = np.random.default_rng(0)
said = {}
for name, way in ways.items():
    function = tf.function(way).get_concrete_function(
        tf.TensorSpec((1, 8), tf.float32)
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [rng.normal(size=(1, 8)).astype("float32")] for _ in range(100)
    )
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    ]
    try:
        converter.convert()
        said[name] = "converted"
    except Exception as error:
        said[name] = f"refused, names it: {'HARD_SWISH' in str(error)}"
    print(f"{name}: {said[name]}")
assert said["by relu6"] == "refused, names it: True"
assert said["by two ramps"] == "converted"
PY
"$work/env/bin/python" "$work/look.py"
