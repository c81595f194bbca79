# SPDX-License-Identifier: MIT
"""Fits: bounds that follow from the figures, and a catalogue with sources."""

import dataclasses

import keras
import pytest

from tf_diet.boards import board as catalogue
from tf_diet.boards.board import Board, boards, get, read_catalogue
from tf_diet.boards.fit import fits
from tf_diet.boards.latency import Latency
from tf_diet.boards.profiling import Profile
from tf_diet.errors import InputError

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


def change(thing, **changes):
    return dataclasses.replace(thing, **changes)


def test_load_is_products_and_operators():
    # 20,000 products in 5 to 10 ms, 10 operators in 1 to 2 ms, of 10 ms.
    fit = fits(NEEDS, BOARD, hop=160, sample_rate=16000)
    assert fit.load == pytest.approx((0.6, 1.2))
    assert fit.real_time is None
    assert "perhaps" in repr(fit)
    assert "60.0% to 120.0%" in repr(fit)
    assert fits(NEEDS, BOARD, hop=320).real_time is True
    assert fits(NEEDS, BOARD, hop=80).real_time is False


def test_integers_have_their_own_speed():
    fit = fits(change(NEEDS, quantize="int8"), BOARD)
    assert fit.load == pytest.approx((0.3, 0.4))
    wide = fits(change(NEEDS, quantize="int16x8"), BOARD)
    assert wide.load == pytest.approx((0.35, 0.45))
    unknown = fits(NEEDS, change(BOARD, float_macs=()))
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
    assert fits(gru, "nano-33-ble").real_time is False
    assert fits(gru, "pi-4").real_time is True
    assert fits(gru, "teensy-4.1").real_time is True
    assert not fits(change(gru, bytes=2_000_000), "nano-33-ble").embeddable


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="converts with TensorFlow"
)
def test_a_model_is_profiled_on_the_way(dense):
    fit = fits(dense["int16x8"], "pico")
    assert fit.embeddable
    assert fit.real_time
    assert fit.flash_needed == len(dense["int16x8"]) + 130_000


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
