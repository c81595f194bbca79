#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# TFLite Micro dequantizes weights of many scales with the first scale alone.
#
# Guess from memory: a weight-only int8 model, as litert-quantizer makes it (one
# scale for each output channel, a DEQUANTIZE in front of each layer), gives the
# same in both interpreters, or TFLite Micro refuses what it cannot do.
# Seen: LiteRT is as near to the float model as 8 bits are. TFLite Micro
# prepares and runs the same file without a word and is far off: every channel
# is scaled as the first one. With one scale for the whole tensor both agree.
#
# Versions: litert-quantizer 0.11.0, ai-edge-litert 2.3.0, tflite-micro
# 0.dev20261023182759, tensorflow 2.21.0 (which only makes the float model),
# Python 3.11. Seen on 2026-11-28, largest difference from the float model over
# its largest output:
#   one scale a channel: LiteRT 0.004, TFLite Micro 0.955
#   one scale a tensor:  LiteRT 0.008, TFLite Micro 0.008
#
# What it means: for a microcontroller, set the granularity of weight-only
# recipes to TENSORWISE, and compare both interpreters before shipping.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TF_CPP_MIN_LOG_LEVEL=3
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet litert-quantizer==0.11.0 \
  ai-edge-litert==2.3.0 tflite-micro==0.dev20261023182759 tensorflow==2.21.0 2>/dev/null

cat >"$work/look.py" <<'PY'
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from litert_quantizer import qtyping, quantizer, recipe
from tflite_micro import runtime

rng = np.random.default_rng(0)
# Columns of very different sizes, the first a small one.
weights = rng.normal(size=(16, 8)) * np.geomspace(0.05, 1.0, 8)
weights = tf.constant(weights, tf.float32)


@tf.function(input_signature=[tf.TensorSpec((1, 16), tf.float32)])
def layer(x):
    return x @ weights


made = tf.lite.TFLiteConverter.from_concrete_functions(
    [layer.get_concrete_function()]
).convert()
x = rng.normal(size=(1, 16)).astype("float32")
exact = layer(x).numpy()


def litert(data):
    run = Interpreter(model_content=data)
    run.allocate_tensors()
    run.set_tensor(run.get_input_details()[0]["index"], x)
    run.invoke()
    return run.get_tensor(run.get_output_details()[0]["index"])


def micro(data):
    run = runtime.Interpreter.from_bytes(data)
    run.set_input(x, 0)
    run.invoke()
    return run.get_output(0)


def error(found):
    return float(np.abs(found - exact).max() / np.abs(exact).max())


errors = {}
for name in ("CHANNELWISE", "TENSORWISE"):
    wanted = recipe.weight_only_wi8_afp32()
    for entry in wanted:
        entry["op_config"]["weight_tensor_config"]["granularity"] = getattr(
            qtyping.QuantGranularity, name
        )
    work = quantizer.Quantizer(bytearray(made), wanted)
    small = work.quantize(enable_progress_report=False).quantized_model
    small = bytes(small)
    errors[name] = error(litert(small)), error(micro(small))
    print(f"{name}: LiteRT {errors[name][0]:.3f}, TFLM {errors[name][1]:.3f}")
assert errors["CHANNELWISE"][0] < 0.02 < 0.3 < errors["CHANNELWISE"][1]
assert max(errors["TENSORWISE"]) < 0.02
PY
"$work/env/bin/python" "$work/look.py"
