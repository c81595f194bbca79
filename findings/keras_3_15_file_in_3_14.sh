#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A .keras file that Keras 3.15.1 writes does not open in Keras 3.14.1.
#
# Guess from memory: files of one minor release open in the one before, as long
# as the layers are old ones (here a single Dense).
# Seen: the initializer GlorotUniform writes an argument `input_axes` that
# 3.14.1 does not know, so that load_model raises. The other way round works:
# 3.15.1 opens what 3.14.1 wrote.
#
# Versions: keras 3.15.1 and 3.14.1, jax 0.10.2 as the backend of both,
# Python 3.11. Seen on 2026-11-28:
#   3.14.1 opens a file of 3.15.1: no (mentions input_axes: True)
#   3.15.1 opens a file of 3.14.1: yes
#
# What it means for those who hand models on: say with which release a file was
# written, or hand on the weights and the code that builds the model.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export KERAS_BACKEND=jax KERAS_HOME="$work/keras"
for version in 3.15.1 3.14.1; do
  python3 -m venv "$work/$version"
  "$work/$version/bin/pip" install --quiet "keras==$version" jax==0.10.2 2>/dev/null
done

cat >"$work/write.py" <<'PY'
import sys
import keras

x = keras.Input((3,))
keras.Model(x, keras.layers.Dense(2)(x)).save(sys.argv[1])
PY
cat >"$work/open.py" <<'PY'
import sys
import keras

try:
    keras.models.load_model(sys.argv[1])
    print("yes")
except Exception as error:
    print(f"no (mentions input_axes: {'input_axes' in str(error)})")
PY

for version in 3.15.1 3.14.1; do
  "$work/$version/bin/python" "$work/write.py" "$work/$version.keras"
done
new=$("$work/3.14.1/bin/python" "$work/open.py" "$work/3.15.1.keras")
old=$("$work/3.15.1/bin/python" "$work/open.py" "$work/3.14.1.keras")
echo "3.14.1 opens a file of 3.15.1: $new"
echo "3.15.1 opens a file of 3.14.1: $old"
[ "$new" = "no (mentions input_axes: True)" ] && [ "$old" = "yes" ]
