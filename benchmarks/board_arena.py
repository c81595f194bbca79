# SPDX-License-Identifier: MIT
"""Whether the arena of a board is enough, held against the libraries.

Build `board_arena.cpp` for 32 bits against the library of each board, as its
head says, and run

    python benchmarks/board_arena.py --library Arduino_TensorFlowLite=PROGRAM \
        --library esp-tflite-micro=PROGRAM

It writes docs/results/board_arena.md: for each model the smallest arena that
each library runs it in, the bound that `to_micro` writes, and the smallest
arena on this machine.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
from stamp import stamp

from tf_diet.convert.arena import smallest_arena
from tf_diet.convert.board_arena import board_arena
from tf_diet.convert.streaming import to_streaming
from tf_diet.convert.tflite import to_tflite
from tf_diet.errors import DietError

PAGE = Path(__file__).resolve().parents[1] / "docs/results/board_arena.md"
layers = keras.layers


def _separable(x, channels, strides=1):
    x = layers.DepthwiseConv2D(3, strides=strides, padding="same")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2D(channels, 1)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def keyword_spotter():
    x = keras.Input((49, 10, 1), name="x")
    y = layers.Conv2D(32, (10, 4), strides=2, padding="same")(x)
    y = layers.ReLU()(y)
    for _ in range(4):
        y = _separable(y, 32)
    y = layers.Flatten()(layers.AveragePooling2D((25, 5))(y))
    return keras.Model(x, layers.Dense(12, "softmax")(y))


def visual_wake_word():
    x = keras.Input((48, 48, 3), name="x")
    y = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    for channels, strides in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1)):
        y = _separable(y, channels, strides)
    y = layers.GlobalAveragePooling2D()(y)
    return keras.Model(x, layers.Dense(2, "softmax")(y))


def residual():
    x = keras.Input((32, 32, 3), name="x")
    y = layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    for channels, strides in ((16, 1), (32, 2), (64, 2)):
        z = layers.Conv2D(channels, 3, strides=strides, padding="same")(y)
        z = layers.Conv2D(channels, 3, padding="same")(layers.ReLU()(z))
        if strides > 1:
            y = layers.Conv2D(channels, 1, strides=strides)(y)
        y = layers.ReLU()(layers.Add()([y, z]))
    y = layers.Flatten()(layers.AveragePooling2D(8)(y))
    return keras.Model(x, layers.Dense(10, "softmax")(y))


def autoencoder():
    x = y = keras.Input((640,), name="x")
    for width in (128, 128, 128, 8, 128, 128):
        y = layers.Dense(width, "relu")(y)
    return keras.Model(x, layers.Dense(640)(y))


def accelerometer():
    x = y = keras.Input((64, 3), name="x")
    for channels in (16, 24, 32):
        y = layers.Conv1D(channels, 5, padding="same", activation="relu")(y)
        y = layers.MaxPooling1D(2)(y)
    return keras.Model(x, layers.Dense(6, "softmax")(layers.Flatten()(y)))


def gru():
    x = keras.Input((None, 2), name="x")
    y = layers.GRU(32, return_sequences=True)(x)
    return keras.Model(x, layers.Dense(4)(y))


def lstm():
    x = keras.Input((None, 2), name="x")
    y = layers.LSTM(20, return_sequences=True)(x)
    return keras.Model(x, layers.Dense(1)(y))


def wavenet():
    x = keras.Input((None, 2), name="x")
    y = layers.Conv1D(8, 1)(x)
    for dilation in (1, 2, 4, 8):
        z = layers.Conv1D(16, 3, padding="causal", dilation_rate=dilation)(y)
        signal, gate = keras.ops.split(z, 2, axis=-1)
        z = keras.ops.tanh(signal) * keras.ops.sigmoid(gate)
        y = layers.Add()([y, layers.Conv1D(8, 1)(z)])
    return keras.Model(x, layers.Conv1D(1, 1)(y))


def tcn():
    x = y = keras.Input((None, 2), name="x")
    for dilation in (1, 2, 4):
        y = layers.Conv1D(16, 3, padding="causal", dilation_rate=dilation)(y)
        y = layers.ReLU()(layers.BatchNormalization()(y))
    return keras.Model(x, layers.Dense(1)(y))


MODELS = (
    *(keyword_spotter, visual_wake_word, residual, autoencoder),
    *(accelerometer, gru, lstm, wavenet, tcn),
)


def converted(build, quantize):
    """Returns the bytes that go to a board, or None."""
    keras.utils.set_random_seed(0)
    model = build()
    rng = np.random.default_rng(0)
    shape = (100 if n is None else n for n in model.inputs[0].shape[1:])
    data = rng.normal(size=(30, *shape)).astype("float32")
    step = model
    if None in model.inputs[0].shape[1:]:
        step = to_streaming(model, sample_rate=16000)
    try:
        return to_tflite(step, quantize, data).for_board()
    except DietError as error:
        print(f"{build.__name__} {quantize}: {error}", file=sys.stderr)
        return None


def measured(program, data):
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(data)
        file.flush()
        done = subprocess.run(
            [program, file.name], capture_output=True, text=True, check=True
        )
    return int(done.stdout.split()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", action="append", required=True)
    programs = dict(word.split("=", 1) for word in parser.parse_args().library)
    rows, short = [], 0
    for build in MODELS:
        for quantize in ("float32", "int8", "int16x8"):
            data = converted(build, quantize)
            if data is None:
                continue
            bound = board_arena(data)
            found = [measured(program, data) for program in programs.values()]
            short += max(found) > bound
            cells = [
                build.__name__.replace("_", " "),
                quantize,
                *(f"{size:,}" if size else "cannot" for size in found),
                f"{bound:,}",
                f"{smallest_arena(data):,}",
            ]
            rows.append(f"| {' | '.join(cells)} |")
            print(rows[-1], flush=True)
    names = " | ".join(programs)
    PAGE.write_text(
        "# The arena of a board\n\n"
        "Bytes of memory for tensors in TFLite Micro: the smallest in which "
        "each library, built for 32 bits with the kernels that it ships, runs "
        "a model; the bound that `to_micro` writes for boards; and the "
        "smallest on a 64-bit computer. The bound is too small in "
        f"{short} of {len(rows)} cases. The kernels of ESP-NN and the "
        "instructions of a Cortex-M4 ask for scratch memory that a computer "
        "cannot measure: it is added by formula.\n\n"
        f"| model | stored as | {names} | bound | this computer |\n"
        f"|---|---|{'---|' * (len(programs) + 2)}\n"
        + "\n".join(rows)
        + f"\n\nMeasured by `benchmarks/board_arena.py`: {stamp()}.\n",
        encoding="utf-8",
    )
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
