# SPDX-License-Identifier: MIT
"""The whole demo at toy size: every file, every field, the written bytes."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
import soundfile

from tf_diet.convert.micro import parse_c_array
from tf_diet.convert.tflite_model import TFLiteModel
from tf_diet.demo.job import run_demo
from tf_diet.demo.recipe import Recipe
from tf_diet.errors import RunFolderError

pytestmark = pytest.mark.slow

TOY = replace(
    Recipe().quick(), hidden=24, rounds=2, static_epochs=1, latency_runs=20
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("demo") / "out"
    story = []
    summary = run_demo(folder, TOY, say=story.append)
    return folder, summary, "\n".join(story)


def test_summary_has_every_field(demo):
    folder, summary, _ = demo
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert {"parameters", "flops_per_second", "test_error"} <= set(
        summary["full"]
    )
    assert summary["static_baseline"]["test_error"] > 0
    scratch = summary["scratch_baseline"]
    assert [r["round"] for r in summary["rounds"]] == [1, 2]
    assert scratch["parameters"] == summary["rounds"][-1]["parameters"]
    for number, row in enumerate(summary["rounds"], 1):
        assert row["weights_left"] <= 0.7**number
        assert row["error_multiplier"] == pytest.approx(
            row["test_error"] / summary["full"]["test_error"]
        )
        assert row["flops_per_second"] < summary["full"]["flops_per_second"]
    assert set(summary["ticket"]["tflite"]) == {"float32", "int16x8"}


def test_written_bytes_are_close_to_keras(demo):
    folder, summary, _ = demo
    lite = summary["ticket"]["tflite"]
    micro = summary["ticket"]["micro"]
    assert lite["float32"]["max_error"] < 1e-4
    assert lite["int16x8"]["max_error"] < 0.05
    assert micro["max_error"] < 0.05
    for row in lite.values():
        assert (folder / row["file"]).stat().st_size == row["bytes"]
    written = parse_c_array(folder / "micro" / "model_data.cc")
    kept = TFLiteModel.load(folder / lite["int16x8"]["file"])
    assert written == kept.for_board()
    assert len(written) == micro["flash_bytes"]


def test_sounds_plot_and_sketch(demo):
    folder, _, story = demo
    names = ("original", "full_model", "ticket", "ticket_from_tflite_micro")
    sounds = {}
    for name in names:
        sounds[name], rate = soundfile.read(folder / "wav" / f"{name}.wav")
        assert rate == 16000
        assert len(sounds[name]) == 32000
        assert np.abs(sounds[name]).max() > 0.001
    # The same controls but for 16-bit states, and noise of another seed.
    apart = sounds["ticket"] - sounds["ticket_from_tflite_micro"]
    assert apart.std() < sounds["ticket"].std()
    assert (folder / "error_against_weights.png").stat().st_size > 5000
    (ino,) = (folder / "sketch").rglob("*.ino")
    assert (ino.parent / "model_ops.h").exists()
    assert "same size" in story
    assert "split by recording: train 42" in story


def test_folder_in_use_is_refused_and_resume_repeats_nothing(demo):
    folder, summary, _ = demo
    with pytest.raises(RunFolderError, match="--resume"):
        run_demo(folder, TOY, say=lambda line: None)
    before = (folder / "run_mutual_information/round_02.keras").stat()
    again = run_demo(folder, TOY, resume=True, say=lambda line: None)
    assert (folder / "run_mutual_information/round_02.keras").stat() == before
    for name in ("rounds", "static_baseline", "scratch_baseline"):
        assert again[name] == summary[name]
