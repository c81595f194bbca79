# SPDX-License-Identifier: MIT
"""Tables as text: no word is cut, whatever the width."""

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.table import Table

from tf_diet.text import WIDTH, render

WORD = st.text("abcdefghij0123456789.", min_size=1, max_size=24)
CELL = st.lists(WORD, min_size=1, max_size=4).map(" ".join)
TABLE = st.integers(1, 12).flatmap(
    lambda n: st.lists(st.lists(CELL, min_size=n, max_size=n), min_size=1)
)


@settings(deadline=None)
@given(TABLE, st.integers(1, 200), st.booleans())
def test_every_word_is_there_in_one_piece(rows, width, no_wrap):
    table = Table(title="a title")
    for name in rows[0]:
        table.add_column(name, no_wrap=no_wrap)
    for row in rows[1:]:
        table.add_row(*row)
    text = render(table, width)
    shown = text.split()
    for row in rows:
        for cell in row:
            assert set(cell.split()) <= set(shown)
    assert "…" not in text


def test_narrow_tables_keep_to_the_width():
    table = Table()
    for name in ("round", "validation error", "FLOPs a call"):
        table.add_column(name)
    table.add_row("1", "0.5", "1,000")
    assert max(map(len, render(table, 40).splitlines())) <= 40
    assert max(map(len, render(table).splitlines())) <= WIDTH


def test_nothing_but_the_text_is_shown_in_a_notebook(monkeypatch):
    shown = []
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr(
        "rich.jupyter.display", lambda *given: shown.append(given)
    )
    table = Table("a")
    table.add_row("b")
    assert "b" in render(table)
    assert not shown
