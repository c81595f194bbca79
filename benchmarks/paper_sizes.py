# SPDX-License-Identifier: MIT
"""Models of the published sizes: counted, pruned by 95 %, converted.

    python benchmarks/paper_sizes.py --out docs/results/paper_sizes.md

Each model runs in a process of its own, so that peak memory is its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from stamp import stamp

# What was published, and where; None where no figure was found.
PUBLISHED = {
    "WaveNet": (2.90e6, "acids-ircam's code of the diet paper, as coded"),
    "SING auto-encoder": (80.8e6, "facebookresearch/SING, as coded"),
    "SING generator": (21.1e6, "facebookresearch/SING, its LSTM of 3 x 1024"),
    "SING, diet paper": (21.2e6, "acids-ircam's code, as coded"),
    "DDSP": (4.80e6, "magenta/ddsp, solo_instrument.gin, without reverb"),
    "DDSP, diet paper": (4.59e6, "acids-ircam's code, other encoder"),
}


def build(name):
    """Returns a model, fixed inputs for a second or more, and seconds."""
    import keras

    from tf_diet.models import (
        DDSPConfig,
        SINGConfig,
        WaveNetConfig,
        ddsp,
        sing_autoencoder,
        sing_generator,
        wavenet,
    )

    if name == "WaveNet":
        model = wavenet(WaveNetConfig.preset("paper"))
        inputs = {
            "codes": keras.Input((64000,), dtype="int32", name="codes"),
            "conditioning": keras.Input((125, 80), name="conditioning"),
        }
        return model, inputs, 4.0
    if name.startswith("DDSP"):
        preset = "diet" if "diet" in name else "paper"
        model = ddsp(DDSPConfig.preset(preset))
        inputs = {
            t.name: keras.Input((100, t.shape[-1]), name=t.name)
            for t in model.inputs
        }
        return model, inputs, 1.0
    if name == "SING generator":
        config = SINGConfig.preset("paper")
        model = sing_generator(config)
        inputs = {
            t.name: keras.Input((config.frames,), dtype="int32", name=t.name)
            for t in model.inputs
        }
        return model, inputs, 4.0
    preset = "diet" if "diet" in name else "paper"
    return sing_autoencoder(SINGConfig.preset(preset)), None, 4.0


def convert(model):
    """Returns MB of TFLite, seconds, what it runs, and how far it is off."""
    import numpy as np

    from tf_diet.convert.runtime import LiteRTRunner
    from tf_diet.convert.streaming import to_streaming
    from tf_diet.convert.tflite import to_tflite
    from tf_diet.models import decoder

    started = time.monotonic()
    kind = "a sample" if model.name == "wavenet" else "a frame"
    if model.name == "sing_autoencoder":
        # Its frames overlap: a whole sound at a time.
        kind, reference = "a sound", model
        lite = to_tflite(model)
    else:
        reference = to_streaming(
            decoder(model) if model.name == "ddsp" else model
        )
        lite = to_tflite(reference)
    took = time.monotonic() - started
    runner = LiteRTRunner(lite)
    rng = np.random.default_rng(0)

    def drawn(details):
        if details.dtype.startswith("int"):
            return rng.integers(0, 2, details.shape).astype(details.dtype)
        return rng.normal(0, 0.3, details.shape).astype(details.dtype)

    errors, largest = [], 0.0
    for _ in range(1 if kind == "a sound" else 50):
        inputs = {d.name: drawn(d) for d in runner.free_inputs}
        ((_, got),) = runner.step(inputs).items()
        if kind == "a sound":
            wanted = model.predict(inputs["audio"], verbose=0)
        else:
            ((_, wanted),) = reference.step(inputs).items()
        errors.append(np.abs(got - wanted).max())
        largest = max(largest, float(np.abs(wanted).max()))
    return {
        "megabytes": len(lite.data) / 1e6,
        "converted": took,
        "kind": kind,
        "error": float(max(errors)) / largest,
    }


def measure(name):
    """Builds, counts, prunes and converts a model; prints a line of JSON."""
    import keras

    import tf_diet

    started = time.monotonic()
    model, inputs, seconds = build(name)
    built = time.monotonic() - started
    fixed = model
    if inputs is not None:
        fixed = keras.models.clone_model(model, input_tensors=inputs)
    cost = tf_diet.inspect(fixed).cost()
    started = time.monotonic()
    small = tf_diet.prune(model, rate=0.95, criterion="magnitude")
    took = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    figures = {
        "name": name,
        "parameters": model.count_params(),
        "flops": cost.flops / seconds,
        "built": built,
        "small": small.count_params(),
        "took": took,
        "peak": peak,
        "lite": {"full": convert(model), "pruned": convert(small)},
    }
    figures["peak converting"] = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    )
    print("JSON" + json.dumps(figures))


def main():
    """Measures every model and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", choices=PUBLISHED)
    args = parser.parse_args()
    if args.only:
        measure(args.only)
        return
    rows = []
    lines = [
        "# Models of the published sizes",
        "",
        "Parameters and FLOPs of a second of audio (a multiplication and an "
        "addition are two), and what pruning 95 % of the parameters in one "
        "shot takes, by magnitude, each in a process of its own (bars: 60 s, "
        "8 GiB). FLOPs of DDSP leave out the synthesis. Written by "
        "`benchmarks/paper_sizes.py`.",
        "",
        "| model | parameters | published | source | GFLOPs a second "
        "| after pruning | removed | pruned in | peak memory |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, (published, source) in PUBLISHED.items():
        done = subprocess.run(
            [sys.executable, __file__, "--only", name],
            capture_output=True,
            text=True,
            check=True,
        )
        (text,) = [x for x in done.stdout.splitlines() if x[:4] == "JSON"]
        row = json.loads(text[4:])
        lines.append(
            f"| {name} | {row['parameters']:,} | {published / 1e6:.2f} M "
            f"| {source} | {row['flops'] / 1e9:.2f} | {row['small']:,} "
            f"| {1 - row['small'] / row['parameters']:.2%} "
            f"| {row['took']:.1f} s | {row['peak']:.1f} GiB |"
        )
        print(lines[-1], flush=True)
        rows.append(row)
    lines += [
        "",
        "Both converted to TFLite (float32): WaveNet as a step of a sample, "
        "the DDSP decoder and SING's generator as a step of a frame, SING's "
        "auto-encoder as a call of four seconds. The error is the largest "
        "difference to Keras over 50 steps or one sound of noise, by the "
        "largest output; memory is that of the whole process, pruning and "
        "both conversions included.",
        "",
        "| model | a call makes | full | converted in | pruned | converted in "
        "| error, pruned | peak memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        full, pruned = row["lite"]["full"], row["lite"]["pruned"]
        lines.append(
            f"| {row['name']} | {full['kind']} | {full['megabytes']:.2f} MB "
            f"| {full['converted']:.1f} s | {pruned['megabytes']:.2f} MB "
            f"| {pruned['converted']:.1f} s | {pruned['error']:.0e} "
            f"| {row['peak converting']:.1f} GiB |"
        )
        print(lines[-1], flush=True)
    lines += ["", stamp()]
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
