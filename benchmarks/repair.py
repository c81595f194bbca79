# SPDX-License-Identifier: MIT
"""Repair against no repair, before any retraining.

Run `python benchmarks/repair.py`; one core is enough. It trains three
small models, prunes each at 30, 50 and 70 % of its parameters by magnitude,
mutual information and information gain, and compares the trimmed model as it
is, with biases repaired, and refitted by least squares, on data that neither
training nor repair has seen. Rows go to docs/results/repair.jsonl, the table
to repair.md beside it.

Two measures: the loss of the task, and how far outputs are from those of the
full model (squared, relative to their variance).
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

from stamp import stamp

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits

import tf_diet
from tf_diet.audio import mu_law
from tf_diet.models.wavenet_network import WaveNetConfig, wavenet
from tf_diet.pruning.repair.repair import repair

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "results"
RATES = (0.3, 0.5, 0.7)
CRITERIA = ("magnitude", "mutual_information", "information_gain")
METHODS = (None, "bias", "least_squares")
SEEDS = (0, 1, 2)


def digits(seed):
    """An image classifier on the digits that scikit-learn ships."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(x))
    x = (x[order].reshape(-1, 8, 8, 1) / 16).astype("float32")
    y = y[order].astype("int32")
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(24, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.Conv2D(48, 1, activation="relu"),
            layers.Flatten(),
            layers.Dense(48, activation="relu"),
            layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-3), loss)
    model.fit(x[:1200], y[:1200], epochs=12, batch_size=32, verbose=0)
    return model, (x[:1200], y[:1200]), (x[1200:], y[1200:])


def recurrent(seed):
    """A regressor: leaky sums of products of noisy inputs."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(512, 24, 6)).astype("float32")
    x = 0.6 * x + 0.4 * np.roll(x, 1, axis=1)
    drive = np.stack(
        [x[..., 0] * x[..., 1], np.tanh(x[..., 2] + x[..., 3])], axis=-1
    )
    y = np.zeros_like(drive)
    for step in range(1, 24):
        y[:, step] = 0.7 * y[:, step - 1] + 0.5 * drive[:, step]
    inputs = keras.Input((24, 6))
    h = layers.Dense(32, activation="tanh")(inputs)
    h = layers.GRU(32, return_sequences=True)(h)
    h = layers.GRU(24, return_sequences=True)(h)
    h = layers.Dense(32, activation="relu")(h)
    model = keras.Model(inputs, layers.Dense(2)(h))
    model.compile(keras.optimizers.Adam(3e-3), "mse")
    model.fit(x[:320], y[:320], epochs=20, batch_size=32, verbose=0)
    return model, (x[:320], y[:320]), (x[320:], y[320:])


def tones(seed):
    """A WaveNet on chords of two decaying tones in noise."""
    rng = np.random.default_rng(seed)
    time_ = np.arange(257)
    pitch = rng.uniform(0.02, 0.12, (256, 2, 1))
    fade = np.exp(-rng.uniform(0, 0.01, (256, 2, 1)) * time_)
    phase = rng.uniform(0, 2 * np.pi, (256, 2, 1))
    audio = (fade * np.sin(2 * np.pi * pitch * time_ + phase)).sum(axis=1)
    audio = 0.4 * audio + rng.normal(size=audio.shape) * 0.01
    codes = mu_law.encode(audio, 64).astype("int32")
    x, y = codes[:, :-1], codes[:, 1:]
    config = WaveNetConfig(
        cycles=1,
        layers=5,
        channels=16,
        skip_channels=32,
        classes=64,
        seed=seed,
    )
    model = wavenet(config)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(5e-3), loss)
    model.fit({"codes": x[:192]}, y[:192], epochs=25, batch_size=16, verbose=0)
    return model, ({"codes": x[:192]}, y[:192]), ({"codes": x[192:]}, y[192:])


MODELS = {"digits": digits, "recurrent": recurrent, "wavenet": tones}


def outputs_of(model, x):
    return keras.ops.convert_to_numpy(model(x))


def loss_of(model, y, outputs):
    """Returns the loss that a model was compiled with, of some outputs."""
    return float(np.mean(keras.losses.get(model.loss)(y, outputs)))


def measure(name, seed, methods=METHODS):
    """Yields a row for each way to prune and repair one trained model."""
    keras.utils.set_random_seed(seed)
    model, train, test = MODELS[name](seed)
    full = outputs_of(model, test[0])
    base = loss_of(model, test[1], full)
    for criterion in CRITERIA:
        for rate in RATES:
            plan = tf_diet.plan(model, train, rate=rate, criterion=criterion)
            for method in methods:
                small = plan.apply(model)
                begun = time.process_time()
                if method is not None:
                    repair(model, small, plan, train, method, seed=seed)
                seconds = time.process_time() - begun
                outputs = outputs_of(small, test[0])
                apart = np.mean((outputs - full) ** 2) / np.var(full)
                yield {
                    "model": name,
                    "criterion": criterion,
                    "rate": rate,
                    "reached": round(plan.reached, 3),
                    "method": str(method or "none"),
                    "seed": seed,
                    "full_loss": round(base, 4),
                    "loss": round(loss_of(model, test[1], outputs), 4),
                    "error": round(float(apart), 5),
                    "cpu_seconds": round(seconds, 2),
                }


def cell(rows, method, figure):
    """Returns the mean over seeds, with the least and the most."""
    seen = [row[figure] for row in rows if row["method"] == method]
    mean = statistics.mean(seen)
    return f"{mean:.3g} ({min(seen):.3g} to {max(seen):.3g})"


def table(rows, figure):
    names = [str(method or "none") for method in METHODS]
    yield "| model | criterion | rate | full | " + " | ".join(names) + " |"
    yield "|---|---|---|---|" + "---|" * len(names)
    for name in MODELS:
        for criterion in CRITERIA:
            for rate in RATES:
                mine = [
                    row
                    for row in rows
                    if (row["model"], row["criterion"], row["rate"])
                    == (name, criterion, rate)
                ]
                base = statistics.mean(row["full_loss"] for row in mine)
                full = f"{base:.3g}" if figure == "loss" else "0"
                cells = [cell(mine, method, figure) for method in names]
                yield f"| {name} | {criterion} | {rate:.0%} | {full} | " + (
                    " | ".join(cells) + " |"
                )


def losses(rows, figure):
    """Says where a repair is worse than none, seed by seed."""
    none = {
        (row["model"], row["criterion"], row["rate"], row["seed"]): row[figure]
        for row in rows
        if row["method"] == "none"
    }
    for method in filter(None, METHODS):
        mine = [row for row in rows if row["method"] == method]
        worse = [
            f"{row['model']}, {row['criterion']}, {row['rate']:.0%}"
            for row in mine
            if row[figure]
            > none[row["model"], row["criterion"], row["rate"], row["seed"]]
        ]
        places = [
            f"{place} ({worse.count(place)} of {len(SEEDS)} seeds)"
            for place in dict.fromkeys(worse)
        ]
        settings = list(dict.fromkeys(key[:3] for key in none))
        over_seeds = sum(
            _mean(rows, setting, method, figure)
            > _mean(rows, setting, "none", figure)
            for setting in settings
        )
        yield (
            f"- `{method}` is worse than no repair in {len(worse)} of "
            f"{len(mine)} cases"
            f", in the mean over seeds in {over_seeds} of {len(settings)}"
            + (f": {'; '.join(places)}." if places else ".")
        )


def _mean(rows, setting, method, figure):
    return statistics.mean(
        row[figure]
        for row in rows
        if (row["model"], row["criterion"], row["rate"]) == setting
        and row["method"] == method
    )


def page(rows, seconds):
    return "\n".join(
        [
            "# Repair without any retraining",
            "",
            "Written by `benchmarks/repair.py`: small models, trained, "
            "pruned globally and",
            "measured at once on data that neither training nor repair saw. "
            "Mean over",
            f"{len(SEEDS)} seeds, in brackets the least and the most.",
            "",
            "## How far outputs are from the full model's",
            "",
            "Squared, relative to the variance of the full model's outputs.",
            "",
            *table(rows, "error"),
            "",
            *losses(rows, "error"),
            "",
            "## Loss of the task",
            "",
            "Cross-entropy in nats, squared error of `recurrent`. At random "
            "`digits` has 2.30",
            "and `wavenet` 4.16.",
            "",
            *table(rows, "loss"),
            "",
            *losses(rows, "loss"),
            "",
            f"{stamp('scikit-learn')}, one core used; {seconds:.0f} s of "
            "processor time in all, of which repair took",
            f"{sum(row['cpu_seconds'] for row in rows):.0f} s.",
            "",
        ]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    folder = parser.parse_args().folder
    begun, rows = time.process_time(), []
    for seed in SEEDS:
        for name in MODELS:
            rows += measure(name, seed)
            print(name, seed, f"{time.process_time() - begun:.0f} s")
    seconds = time.process_time() - begun
    lines = [json.dumps(row) + "\n" for row in rows]
    (folder / "repair.jsonl").write_text("".join(lines))
    (folder / "repair.md").write_text(page(rows, seconds))


if __name__ == "__main__":
    main()
