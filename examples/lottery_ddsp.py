# SPDX-License-Identifier: MIT
"""A lottery on real notes: a small DDSP synthesiser, violin and flute.

    python examples/lottery_ddsp.py --folder runs/violin --rounds 5
    tf-diet lottery examples/lottery_ddsp.py:build --folder runs/violin
    tf-diet sweep docs/results/resets.yaml

`build` is what the two commands call; killed, each goes on where it was.
"""

import argparse
import os

import keras
import numpy as np

import tf_diet
from tf_diet.audio.datasets import load_notes, split
from tf_diet.audio.losses import MultiScaleSpectralLoss
from tf_diet.models.ddsp import DDSPConfig, ddsp

BATCH, FRAMES, STEP = 8, 50, 50


def crops(notes):
    """Returns half-second crops of notes, inputs and audio."""
    starts = range(0, notes.f0.shape[1] - FRAMES + 1, STEP)
    inputs = {
        name: np.concatenate([x[:, i : i + FRAMES] for i in starts])
        for name, x in notes.inputs().items()
    }
    hop = notes.hop
    audio = [notes.audio[:, i * hop : (i + FRAMES) * hop] for i in starts]
    return inputs, np.concatenate(audio)


def build(seed):
    """Returns the arguments of `LotteryDiet.fit`, by name."""
    notes = split(load_notes(), seed=0)
    x, y = crops(notes["train"])
    epochs = int(os.environ.get("EPOCHS", "8"))
    config = DDSPConfig.preset(
        "small", hidden=64, gru_units=64, instruments=2, seed=seed
    )
    model = ddsp(config)
    decay = keras.optimizers.schedules.CosineDecay(
        2e-3, epochs * -(-len(y) // BATCH)
    )
    model.compile(
        keras.optimizers.Adam(decay, global_clipnorm=3.0),
        MultiScaleSpectralLoss.paper(overlap=0.5),
        jit_compile=False,  # XLA slows this model down on CPUs
    )
    return {
        "model": model,
        "x": x,
        "y": y,
        "epochs": epochs,
        "batch_size": BATCH,
        "validation_freq": None,
        "validation_data": (
            notes["validation"].inputs(),
            notes["validation"].audio,
        ),
        "test_data": (notes["test"].inputs(), notes["test"].audio),
    }


def main() -> None:
    """Runs the lottery and shows the best ticket."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", default="runs/violin")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    diet = tf_diet.LotteryDiet(
        tf_diet.ConstantRate(0.3, args.rounds), seed=args.seed
    )
    run = diet.fit(**build(args.seed), folder=args.folder, resume=True)
    for ticket in run.tickets:
        print(ticket)
    print("best:", run.best(error_multiplier=1.05))


if __name__ == "__main__":
    main()
