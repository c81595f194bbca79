# SPDX-License-Identifier: MIT
"""Fits: bounds that follow from the figures, and a catalogue with sources."""

import dataclasses

import keras
import pytest

from tf_diet.boards import board as catalogue
from tf_diet.boards.board import Board, boards, get, read_catalogue
from tf_diet.boards.fit import fits, fits_all
from tf_diet.boards.latency import Latency
from tf_diet.boards.profiling import Profile
from tf_diet.convert.arithmetic import Products
from tf_diet.errors import InputError
from tf_diet.report.boards import boards_table

NEEDS = Profile(
    quantize="float32",
    bytes=100_000,
    parameters=25_000,
    multiply_accumulates=20_000,
    ops={"FULLY_CONNECTED": 10},
    latency=Latency(1.0, 1.0, 1.0, 0.1, "here", "LiteRT"),
    arena_bytes=8_000,
)
BOARD = Board(
    name="mine",
    title="My board",
    processor="M4 at 1 MHz",
    clock_hz=1e6,
    flash_bytes=300_000,
    ram_bytes=30_000,
    int8_macs=(10e6,),
    float_macs=(2e6, 4e6),
    source="invented",
    op_seconds=(1e-4, 2e-4),
)


SOUND = {"hop": 160, "sample_rate": 16000}


def change(thing, **changes):
    return dataclasses.replace(thing, **changes)


def test_load_is_products_and_operators():
    # 20,000 products in 5 to 10 ms, 10 operators in 1 to 2 ms, of 10 ms.
    fit = fits(NEEDS, BOARD, **SOUND)
    assert fit.load == pytest.approx((0.6, 1.2))
    assert fit.real_time is None
    assert "perhaps" in repr(fit)
    assert "60.0% to 120.0%" in repr(fit)
    assert fits(NEEDS, BOARD, hop=320, sample_rate=16000).real_time is True
    assert fits(NEEDS, BOARD, hop=80, sample_rate=16000).real_time is False


def test_integers_have_their_own_speed():
    fit = fits(change(NEEDS, quantize="int8"), BOARD, **SOUND)
    assert fit.load == pytest.approx((0.3, 0.4))
    wide = fits(change(NEEDS, quantize="int16x8"), BOARD, **SOUND)
    assert wide.load == pytest.approx((0.35, 0.45))
    unknown = fits(NEEDS, change(BOARD, float_macs=()), **SOUND)
    assert unknown.load[0] == pytest.approx(0.3)
    assert unknown.load[1] > 0.9


def test_overhead_from_the_clock():
    plain = change(BOARD, op_seconds=(), cycles_per_instruction=(1.0, 2.0))
    low, high = plain.call_seconds(change(NEEDS, multiply_accumulates=0))
    assert (low, high) == pytest.approx((5e-3, 10e-3))


def test_memory_decides_what_is_embeddable():
    assert fits(NEEDS, BOARD).embeddable
    assert not fits(change(NEEDS, bytes=200_000), BOARD).embeddable
    assert not fits(change(NEEDS, arena_bytes=20_000), BOARD).embeddable
    stuck = change(NEEDS, arena_bytes=None, micro_problem="no POW")
    assert not fits(stuck, BOARD).embeddable
    assert "no POW" in repr(fits(stuck, BOARD))
    assert fits(
        stuck, change(BOARD, runtime="LiteRT", ram_bytes=10**6)
    ).embeddable


@pytest.mark.parametrize("name", boards.names())
def test_shipped_boards_are_sound(name):
    board = get(name)
    assert board.source
    assert board.int8_macs or board.float_macs
    for speeds in (board.int8_macs, board.float_macs, board.op_seconds):
        assert list(speeds) == sorted(speeds)
        assert all(speed > 0 for speed in speeds)
    assert board.ram_bytes <= board.flash_bytes
    low, high = board.call_seconds(NEEDS)
    assert 0 < low <= high
    assert board.title in repr(board)


def test_known_anchors():
    """A GRU of 256 is too much for a Nano in floats, not for a Pi."""
    gru = change(NEEDS, multiply_accumulates=480_000)
    assert fits(gru, "nano-33-ble", **SOUND).real_time is False
    assert fits(gru, "pi-4", **SOUND).real_time is True
    assert fits(gru, "teensy-4.1", **SOUND).real_time is True
    assert not fits(change(gru, bytes=2_000_000), "nano-33-ble").embeddable


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="converts with TensorFlow"
)
def test_a_model_is_profiled_on_the_way(dense):
    fit = fits(dense["int16x8"], "pico")
    assert fit.embeddable
    assert fit.load is None
    assert fits(dense["int16x8"], "pico", **SOUND).real_time
    assert fit.flash_needed == len(dense["int16x8"].for_board()) + 130_000


def test_a_board_of_ones_own(monkeypatch):
    monkeypatch.setattr(boards, "_entries", dict(boards._entries))
    catalogue.register_board(BOARD)
    assert get("mine") is BOARD
    assert get(BOARD) is BOARD


def test_unknown_boards_and_entries():
    with pytest.raises(InputError, match=r"'nano33ble'.*mean 'nano-33"):
        fits(NEEDS, "nano33ble")
    with pytest.raises(InputError, match=r"'odd'.*'wings'.*clock_hz"):
        read_catalogue("[odd]\nwings = 2\n")


def test_every_board_that_people_own_is_known():
    assert set(boards.names()) >= {
        *("mega-1280", "mega-2560", "pi-1b", "pi-2b"),
        *("nano-33-ble", "portenta-h7", "giga-r1"),
        *("uno-r4-minima", "uno-r4-wifi"),
        *("esp32", "esp32-s3", "esp32-c3", "esp32-c6", "pico", "pico-2"),
        *("teensy-4.1", "daisy-seed", "nucleo-f446re", "nucleo-h743zi"),
        *("pi-3", "pi-4", "pi-5", "pi-zero-2"),
    }


def test_convolutions_have_their_own_speed():
    work = (Products("int8", "dense", 10), Products("int8", "convolution", 90))
    needs = change(NEEDS, ops={}, products=work)
    board = change(BOARD, int8_macs=(10.0,), int8_convolution_macs=(30.0, 90.0))
    assert board.call_seconds(needs) == pytest.approx((2.0, 4.0))
    # Either stands for the other where one is all that is known.
    other = change(BOARD, int8_macs=(), int8_convolution_macs=(10.0,))
    assert other.call_seconds(needs) == pytest.approx((10.0, 10.0))


def test_known_times():
    """MLPerf Tiny: the autoencoder of 264,192 products on a Cortex-M4."""
    work = (Products("int8", "dense", 264_192),)
    low, high = get("nucleo-l4r5zi").call_seconds(
        change(NEEDS, ops={"FULLY_CONNECTED": 10}, products=work)
    )
    # 1.206 M cycles of TFLite Micro v0.5 at 120 MHz.
    assert low < 1.206e6 / 120e6 * 1.01
    assert high > 1.206e6 / 120e6 * 0.99
    # The synthesiser's ticket of 200,606 products in 16 bits, counted in an
    # emulated M0+: 12 M instructions, 1.7 to 2 cycles each.
    work = (Products("int16x8", "dense", 200_606),)
    low, high = get("pico").call_seconds(
        change(NEEDS, ops={"FULLY_CONNECTED": 36}, products=work)
    )
    assert 0.145 < low < 12.04e6 * 2 / 133e6 < high * 1.1


def test_an_image_is_judged_without_sound():
    fit = fits(change(NEEDS, multiply_accumulates=7_000_000), "nano-33-ble")
    assert fit.load is None
    assert fit.real_time is None
    assert fit.call_ms[0] < fit.call_ms[1]
    assert "%" not in repr(fit)
    assert "ms" in repr(fit)


def test_a_processor_without_a_runtime():
    fit = fits(NEEDS, "mega-2560")
    assert not fit.embeddable
    assert fit.ram_needed is None
    assert "neither TFLite Micro" in repr(fit)


def test_every_board_in_one_table():
    found = fits_all(NEEDS)
    assert {fit.board.name for fit in found} == set(boards.names())
    slowest = [fit.call_ms[1] for fit in found]
    assert slowest == sorted(slowest, reverse=True)
    text = boards_table(found)
    for name in boards.names():
        assert name in text
    assert "real time" not in text
    assert "mega-1280, mega-2560: neither" in text
    assert "real time" in boards_table(fits_all(NEEDS, **SOUND))


def test_what_a_library_lacks_is_no_fit():
    lacking = change(NEEDS, ops={"BATCH_MATMUL": 1})
    assert not fits(lacking, "nano-33-ble").embeddable
    assert "has no BATCH_MATMUL" in fits(lacking, "nano-33-ble").problem
    assert fits(lacking, "esp32").embeddable
