#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times a streaming TFLite model on this machine, one call after the other.

Copy this file and a .tflite to a Raspberry Pi. It needs Python 3.9, numpy and
one runtime: pip install numpy ai-edge-litert  (or, on 32-bit, tflite-runtime)

A call is what a synthesiser does every frame: set all inputs, run, read all
outputs, feed the states back. States are found by name, `x` and `x_next`, or
taken from the model_settings.json that stands beside the C++ files.

real_time_factor = p50 / (hop / sample_rate): the share of its time that the
model takes. Below 1 it keeps up; leave room for the synthesis and the rest.
"""

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import sys
import time

import numpy as np

RUNTIMES = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
}
WARM_UP = 50
PERCENTILES = {"p50_us": 50, "p95_us": 95, "p99_us": 99, "max_us": 100}


class UsageError(Exception):
    """What is wrong, what was received, what to do."""


def load(path, threads):
    """Returns (interpreter, name of the runtime, its version)."""
    if not os.path.isfile(path):
        raise UsageError(
            f"There is no such model file. Received: {path}. "
            "Name a .tflite file."
        )
    for package, module in RUNTIMES.items():
        try:
            found = importlib.import_module(module)
        except ImportError:
            continue
        try:
            interpreter = found.Interpreter(
                model_path=path, num_threads=threads
            )
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise UsageError(
                f"The model cannot be run: {path}. Received: {error}. "
                "Convert it with tf_diet.to_tflite(...) for this runtime."
            ) from error
        return interpreter, package, importlib.metadata.version(package)
    raise UsageError(
        "No TFLite runtime is installed. Received: neither "
        f"{' nor '.join(RUNTIMES)}. Run: pip install ai-edge-litert"
    )


def read_settings(path):
    """Returns the content of a model_settings.json, or an empty dict."""
    if path is None:
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            settings = json.load(file)
        return {"states": [(int(a), int(b)) for a, b in settings["states"]]} | {
            key: int(settings[key])
            for key in ("hop", "sample_rate")
            if key in settings
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"The settings cannot be read: {path}. Received: {error!r}. Pass "
            "the model_settings.json that tf_diet.to_micro wrote."
        ) from error


def find_states(inputs, outputs, given):
    """Returns [(position of the input, position of the output)]."""
    names = [details["name"] for details in outputs]
    pairs = given
    if pairs is None:
        pairs = [
            (i, names.index(details["name"] + "_next"))
            for i, details in enumerate(inputs)
            if details["name"] + "_next" in names
        ]
    for a, b in pairs:
        if not (0 <= a < len(inputs) and 0 <= b < len(outputs)) or np.prod(
            inputs[a]["shape"]
        ) != np.prod(outputs[b]["shape"]):
            raise UsageError(
                f"State {a} -> {b} of the settings does not fit the model. "
                f"Received: {len(inputs)} inputs and {len(outputs)} outputs. "
                "Pass the settings of this very model."
            )
    return pairs


def encode(values, details):
    """Returns real values as the tensor stores them."""
    values = np.asarray(values, "float32").reshape(details["shape"])
    scale, zero = details["quantization"]
    if not scale:
        return values.astype(details["dtype"])
    limits = np.iinfo(details["dtype"])
    steps = np.round(values / scale) + zero
    return np.clip(steps, limits.min, limits.max).astype(details["dtype"])


def feed_back(stored, source, target):
    """Returns a state in the scale of the input that it goes to."""
    if source["quantization"] == target["quantization"]:
        return stored.reshape(target["shape"])
    scale, zero = source["quantization"]
    return encode((stored.astype("float32") - zero) * scale, target)


def measure(interpreter, states, runs):
    """Returns microseconds of (whole calls, running alone), each (runs,)."""
    inputs = interpreter.get_input_details()
    outputs = interpreter.get_output_details()
    rng = np.random.default_rng(0)
    # Real values: some kernels are faster on zeros.
    frames = [
        [encode(rng.uniform(0, 1, d["shape"]), d) for d in inputs]
        for _ in range(8)
    ]
    fed = {
        a: encode(np.zeros(inputs[a]["shape"]), inputs[a]) for a, _ in states
    }
    calls, alone = [], []
    for number in range(WARM_UP + runs):
        frame = frames[number % len(frames)]
        start = time.perf_counter()
        for i, details in enumerate(inputs):
            interpreter.set_tensor(details["index"], fed.get(i, frame[i]))
        before = time.perf_counter()
        interpreter.invoke()
        after = time.perf_counter()
        results = [interpreter.get_tensor(d["index"]) for d in outputs]
        for a, b in states:
            fed[a] = feed_back(results[b], outputs[b], inputs[a])
        calls.append(time.perf_counter() - start)
        alone.append(after - before)
    return 1e6 * np.array(calls[WARM_UP:]), 1e6 * np.array(alone[WARM_UP:])


def machine():
    """Returns the name of the board, or of the processor."""
    try:
        with open("/proc/device-tree/model", encoding="utf-8") as file:
            return file.read().strip("\0\n")
    except OSError:
        return platform.processor() or platform.machine()


def whole(text):
    """Reads a whole number above 0."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"must be a whole number above 0. Received: {text!r}. "
            "Write digits, such as 160"
        )
    return int(text)


def parse(arguments):
    """Returns the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: measure_latency.py ticket.tflite --runs 2000 "
        "--settings model_settings.json --json pi4.json",
    )
    add = parser.add_argument
    add("model", help="a .tflite step model, batch 1, one frame a call")
    add("--runs", type=whole, default=1000, help="timed calls (%(default)s)")
    add("--threads", type=whole, default=1, help="CPU threads (%(default)s)")
    add("--hop", type=whole, help="samples of audio a call (settings or 160)")
    add("--sample-rate", type=whole, help="in Hz (settings or 16000)")
    add("--settings", metavar="JSON", help="model_settings.json: states, hop")
    add("--json", metavar="FILE", help="write the figures to this file too")
    return parser.parse_args(arguments)


def report(args):
    """Measures and returns every figure with what it depends on."""
    settings = read_settings(args.settings)
    interpreter, runtime, version = load(args.model, args.threads)
    states = find_states(
        interpreter.get_input_details(),
        interpreter.get_output_details(),
        settings.get("states"),
    )
    hop = args.hop or settings.get("hop", 160)
    rate = args.sample_rate or settings.get("sample_rate", 16000)
    calls, alone = measure(interpreter, states, args.runs)
    times = {k: float(np.percentile(calls, p)) for k, p in PERCENTILES.items()}
    frame_us = 1e6 * hop / rate
    return {
        "model": os.path.basename(args.model),
        "model_bytes": os.path.getsize(args.model),
        "machine": machine(),
        "system": platform.platform(),
        "runtime": runtime,
        "runtime_version": version,
        "threads": args.threads,
        "runs": args.runs,
        "states": len(states),
        "hop": hop,
        "sample_rate": rate,
        "frame_us": frame_us,
        **times,
        "invoke_p50_us": float(np.percentile(alone, 50)),
        "real_time_factor": times["p50_us"] / frame_us,
        "times_real_time": frame_us / times["p50_us"],
    }


def main(arguments=None):
    """Runs the command line; returns the exit status."""
    args = parse(arguments)
    try:
        figures = report(args)
        if args.json:
            with open(args.json + ".part", "w", encoding="utf-8") as file:
                json.dump(figures, file, indent=2)
            os.replace(args.json + ".part", args.json)
    except (UsageError, OSError) as error:
        print(f"measure_latency.py: {error}", file=sys.stderr)
        return 2
    for key, value in figures.items():
        print(
            f"{key:>17}  {value:.4g}"
            if type(value) is float
            else f"{key:>17}  {value}"
        )
    keeps_up = figures["real_time_factor"] < 1
    print(
        f"The model {'keeps' if keeps_up else 'does not keep'} up: one frame "
        f"of {figures['frame_us']:.0f} us takes {figures['p50_us']:.1f} us."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
