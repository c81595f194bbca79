# SPDX-License-Identifier: MIT
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_diet.audio.note_names import named_note, note_number


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("violin_A4", 69),
        ("C4", 60),
        ("bass-Bb1_soft", 34),
        ("Fs3", 54),
        ("g#5", 80),
        ("C-1", 0),
        ("violin A4 c1", 69),
        ("drum", None),
        ("alpha4", None),
        ("E100", None),
    ],
)
def test_note_names(name, number):
    assert note_number(name) == number


@given(
    st.sampled_from(["violin", "Alto Sax", "", "take 12"]),
    st.integers(0, 127),
)
def test_every_pitch_is_read_back(before, pitch):
    letters = ("C", "C#", "D", "Eb", "E", "F", "Fs", "G", "Ab", "A", "B♭", "B")
    written = f"{before}_{letters[pitch % 12]}{pitch // 12 - 1}"
    assert named_note(written) == (before, pitch)
