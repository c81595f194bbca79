#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A sum over time in int16x8 is converted and wrong, where the mean is right.
#
# Guess from memory: an operator that the int16x8 converter accepts computes
# what the float one does, but for rounding.
# Seen: a model that adds 12 steps up converts without a word and is off by more
# than a half of its largest output in LiteRT; the same sum written as 12 times
# the mean is off by half a hundredth.
#
# Versions: tensorflow 2.21.0, ai-edge-litert 2.3.0, Python 3.11. Seen on
# 2026-11-28, largest difference over the largest output:
#   reduce_sum: 0.616, 12 * reduce_mean: 0.005
#
# What it means: write sums as means before converting to int16x8, and compare
# every converted file with the float model.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TF_CPP_MIN_LOG_LEVEL=3
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet tensorflow==2.21.0 \
  ai-edge-litert==2.3.0 2>/dev/null

cat >"$work/look.py" <<'PY'
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

rng = np.random.default_rng(0)
weights = tf.constant(rng.normal(size=(8, 8)) / 3, tf.float32)
data = rng.normal(size=(60, 1, 12, 8)).astype("float32")
ways = {
    "reduce_sum": lambda x: tf.reduce_sum(x @ weights, 1),
    "12 * reduce_mean": lambda x: 12.0 * tf.reduce_mean(x @ weights, 1),
}
errors = {}
for name, way in ways.items():
    function = tf.function(way).get_concrete_function(
        tf.TensorSpec((1, 12, 8), tf.float32)
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x] for x in data)
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    ]
    run = Interpreter(model_content=converter.convert())
    run.allocate_tensors()
    source, target = run.get_input_details()[0], run.get_output_details()[0]
    exact, found = [], []
    for x in data:
        run.set_tensor(source["index"], x)
        run.invoke()
        found.append(run.get_tensor(target["index"]))
        exact.append(way(x).numpy())
    apart = np.abs(np.array(found) - np.array(exact)).max()
    errors[name] = float(apart / np.abs(exact).max())
    print(f"{name}: {errors[name]:.4f}")
assert errors["reduce_sum"] > 0.3
assert errors["12 * reduce_mean"] < 0.02
PY
"$work/env/bin/python" "$work/look.py"
