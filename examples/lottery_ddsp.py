# SPDX-License-Identifier: MIT
"""A lottery on real notes: a small DDSP synthesiser, violin and flute.

    python examples/lottery_ddsp.py --folder runs/violin --rounds 5
    tf-diet lottery examples/lottery_ddsp.py:build -o runs/violin
    tf-diet sweep docs/results/resets.yaml

`build` is what the two commands call; killed, each goes on where it was.
"""

import argparse
import os

import keras

import tf_diet
from tf_diet.audio.clips import Settings
from tf_diet.audio.extraction import extract
from tf_diet.audio.losses import MultiScaleSpectralLoss
from tf_diet.audio.sources import read_source
from tf_diet.models.ddsp_network import DDSPConfig, ddsp
from tf_diet.models.examples import ddsp_clips

BATCH, FRAMES = 8, 50


def build(seed):
    """Returns the arguments of `LotteryDiet.fit`, by name."""
    settings = Settings(seconds=2.0, mel_hop=160)
    notes = extract(read_source("shipped"), settings=settings).split(
        valid=0.15, test=0.15, within_range=True
    )
    config = DDSPConfig.preset(
        "small", hidden=64, gru_units=64, instruments=2, seed=seed
    )
    x, y = ddsp_clips(config, notes["train"], FRAMES)  # half-second crops
    epochs = int(os.environ.get("EPOCHS", "8"))
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
        "validation_data": ddsp_clips(config, notes["valid"]),
        "test_data": ddsp_clips(config, notes["test"]),
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
