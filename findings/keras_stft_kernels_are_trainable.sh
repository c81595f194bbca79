#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The kernels of keras.layers.STFTSpectrogram are trainable weights.
#
# Guess from memory: a layer that computes a short-time Fourier transform holds
# its window and its sines as constants, or at least as weights that no
# optimizer touches, as MelSpectrogram holds none at all.
# Seen: the layer adds two trainable kernels, as large as the transform, so that
# a small classifier behind it consists of them for the most part, and a step of
# gradient descent changes them: afterwards the layer is no Fourier transform.
#
# Versions: keras 3.15.1, jax 0.10.2 as the backend, Python 3.11. Seen on
# 2026-11-28:
#   trainable weights of STFTSpectrogram: 66048, of MelSpectrogram: 0
#   share of a classifier's trainable weights: 0.992
#   changed by one step of gradient descent: True
#
# What it means: set `trainable=False`, and leave such kernels out of a count of
# what can be pruned.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export KERAS_BACKEND=jax KERAS_HOME="$work/keras"
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet keras==3.15.1 jax==0.10.2 2>/dev/null

cat >"$work/look.py" <<'PY'
import keras
import numpy as np

keras.utils.set_random_seed(0)
stft = keras.layers.STFTSpectrogram(
    frame_length=256, frame_step=128, fft_length=256
)
mel = keras.layers.MelSpectrogram(fft_length=256, sampling_rate=16000)
x = keras.Input((1024, 1))
h = keras.layers.GlobalAveragePooling1D()(stft(x))
model = keras.Model(x, keras.layers.Dense(4)(h))
mel(np.zeros((1, 1024), "float32"))


def count(layer):
    return sum(int(np.prod(w.shape)) for w in layer.trainable_weights)


print(
    f"trainable weights of STFTSpectrogram: {count(stft)}, "
    f"of MelSpectrogram: {count(mel)}"
)
print(
    f"share of a classifier's trainable weights: "
    f"{count(stft) / count(model):.3f}"
)
before = [keras.ops.convert_to_numpy(w) for w in stft.trainable_weights]
model.compile(keras.optimizers.SGD(0.1), "mse")
rng = np.random.default_rng(0)
model.fit(
    rng.normal(size=(8, 1024, 1)), rng.normal(size=(8, 4)), verbose=0
)
changed = any(
    not np.array_equal(a, keras.ops.convert_to_numpy(b))
    for a, b in zip(before, stft.trainable_weights)
)
print(f"changed by one step of gradient descent: {changed}")
PY
"$work/env/bin/python" "$work/look.py" | tee "$work/seen"
grep -q "STFTSpectrogram: [1-9][0-9]*, of MelSpectrogram: 0" "$work/seen"
grep -q "descent: True" "$work/seen"
