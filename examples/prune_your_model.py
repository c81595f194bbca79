# SPDX-License-Identifier: MIT
"""Prune a model of your own: plan, look, apply, save.

    python examples/prune_your_model.py --output small.keras

A toy net learns a moving average; half of its parameters go.
"""

import argparse

import keras
import numpy as np

import tf_diet


def build() -> keras.Model:
    """Returns a net of sequences, (batch, 64, 8) to (batch, 64, 1)."""
    inputs = keras.Input((64, 8))
    h = keras.layers.Conv1D(64, 5, padding="causal", activation="relu")(inputs)
    h = keras.layers.GRU(64, return_sequences=True, name="memory")(h)
    return keras.Model(inputs, keras.layers.Dense(1, name="out")(h))


def main() -> None:
    """Trains, prunes, retrains and saves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=0.5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--output", default="small.keras")
    args = parser.parse_args()
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(500, 64, 8)).astype("float32")
    y = np.cumsum(x, axis=1).mean(axis=-1, keepdims=True)

    model = build()
    model.compile("adam", "mse")
    model.fit(x, y, epochs=args.epochs, verbose=2)

    plan = tf_diet.plan(model, (x, y), rate=args.rate)
    print(plan.summary())
    small = plan.apply(model)  # compiled like the model, momentum carried over
    small.fit(x, y, epochs=args.epochs, verbose=2)
    small.save(args.output)
    print(
        f"{model.count_params():,} -> {small.count_params():,} parameters, "
        f"error {model.evaluate(x, y, verbose=0):.4f} -> "
        f"{small.evaluate(x, y, verbose=0):.4f}, wrote {args.output}"
    )


if __name__ == "__main__":
    main()
