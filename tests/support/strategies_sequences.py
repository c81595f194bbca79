# SPDX-License-Identifier: MIT
"""Steps of random graphs: recurrent layers, wrappers and attention."""

from strategies_graph import Chooser, Pool, Shape, Step, kind
from strategies_layers import WIDTHS, image, one, sequence, wide

CELLS = ["GRU", "LSTM", "SimpleRNN"]


@kind
def recurrent(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(sequence)
    if source is None:
        return None
    shape = pool.shapes[source]
    cell, units = choose.pick(CELLS), choose.pick([3, 4])
    whole = choose.pick([True, False])
    extra = choose.pick(["", ", go_backwards=True", ", use_bias=False"])
    if cell == "GRU":
        extra += choose.pick(["", ", reset_after=False"])
    code = f"layers.{cell}({units}, return_sequences={whole}{extra})"
    after = wide(shape, units) if whole else (units,)
    return one("recurrent", code, source, after)


@kind
def with_states(choose: Chooser, pool: Pool) -> Step | None:
    """One layer's last state is the first state of the next."""
    source = pool.pick(sequence)
    if source is None:
        return None
    shape = pool.shapes[source]
    cell, units = choose.pick(CELLS), choose.pick([3, 4])
    states = 2 if cell == "LSTM" else 1
    setup = (
        f"{{me}}a = layers.{cell}({units}, return_sequences=True, "
        "return_state=True)",
        f"{{me}}b = layers.{cell}({units})",
        "{me}y, *{me}s = {me}a({0})",
    )
    state = "{me}s" if states > 1 else "{me}s[0]"
    code = f"{{me}}y, {{me}}b({{me}}y, initial_state={state}), {{me}}s[0]"
    made = (wide(shape, units), (units,), (units,))
    return Step("with_states", code, (source,), made, setup)


@kind
def bidirectional(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(sequence)
    if source is None:
        return None
    shape = pool.shapes[source]
    cell, units = choose.pick(CELLS), choose.pick([3, 4])
    whole = choose.pick([True, False])
    mode = choose.pick(["concat", "sum", "ave", "mul"])
    code = (
        f"layers.Bidirectional(layers.{cell}({units}, "
        f"return_sequences={whole}), merge_mode={mode!r})"
    )
    width = 2 * units if mode == "concat" else units
    after = wide(shape, width) if whole else (width,)
    return one("bidirectional", code, source, after)


@kind
def cells(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(sequence)
    if source is None:
        return None
    count = choose.pick([0, 2])
    units = choose.pick([3, 4])
    cell = f"layers.{choose.pick(CELLS)}Cell({units})"
    inside = f"[layers.GRUCell(4), {cell}]" if count else cell
    whole = choose.pick([True, False])
    code = f"layers.RNN({inside}, return_sequences={whole})"
    after = wide(pool.shapes[source], units) if whole else (units,)
    return one("cells", code, source, after)


@kind
def conv_lstm(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(image)
    if source is None:
        return None
    shape = pool.shapes[source]
    filters = choose.pick([3, 4])
    whole = choose.pick([True, False])
    code = (
        f"layers.ConvLSTM1D({filters}, 2, padding='same', "
        f"return_sequences={whole})"
    )
    after = wide(shape if whole else shape[1:], filters)
    return one("conv_lstm", code, source, after)


@kind
def time_distributed(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(lambda s: len(s) in (2, 3))
    if source is None:
        return None
    shape = pool.shapes[source]
    units = choose.pick(WIDTHS)
    inner = choose.pick(
        [f"Dense({units})", f"Conv1D({units}, 2, padding='same')"]
    )
    if sequence(shape):
        inner = f"Dense({units})"
    code = f"layers.TimeDistributed(layers.{inner})"
    return one("time_distributed", code, source, wide(shape, units))


@kind
def spectral(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(lambda s: True)
    units = choose.pick(WIDTHS)
    code = f"layers.SpectralNormalization(layers.Dense({units}))"
    after = wide(pool.shapes[source], units)
    return one("spectral", code, source, after)


def _attended(pool: Pool) -> tuple[int, int] | None:
    a = pool.pick(sequence)
    if a is None:
        return None
    return a, pool.another(a, sequence)


@kind
def multi_head(choose: Chooser, pool: Pool) -> Step | None:
    pair = _attended(pool)
    if pair is None:
        return None
    shape = pool.shapes[pair[0]]
    extra = choose.pick(["", ", value_dim=2", ", use_bias=False"])
    after = shape
    if choose.one_in(3):
        extra += ", output_shape=6"
        after = wide(shape, 6)
    code = f"layers.MultiHeadAttention(3, 4{extra})({{0}}, {{1}})"
    return Step("multi_head", code, pair, (after,))


@kind
def group_query(choose: Chooser, pool: Pool) -> Step | None:
    a = pool.pick(sequence)
    if a is None:
        return None
    shape = pool.shapes[a]
    b = pool.another(a, lambda s: len(s) == 2 and s[-1] == shape[-1])
    code = "layers.GroupQueryAttention(4, 4, 2)({0}, {1})"
    return Step("group_query", code, (a, b), (shape,))


@kind
def attention(choose: Chooser, pool: Pool) -> Step | None:
    a = pool.pick(sequence)
    if a is None:
        return None
    shape: Shape = pool.shapes[a]
    b = pool.another(a, lambda s: len(s) == 2 and s[-1] == shape[-1])
    code = choose.pick(
        [
            "layers.Attention()",
            "layers.Attention(use_scale=True)",
            "layers.AdditiveAttention()",
        ]
    )
    return Step("attention", f"{code}([{{0}}, {{1}}])", (a, b), (shape,))


@kind
def einsum_dense(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(sequence)
    if source is None:
        return None
    units = choose.pick(WIDTHS)
    length, width = pool.shapes[source]
    equation, sizes, axes, after = choose.pick(
        [
            ("abc,cd->abd", (length, units), "d", (length, units)),
            ("abc,cd->adb", (units, length), "d", (units, length)),
            ("abc,cde->abde", (length, 2, 3), "de", (length, 2, 3)),
            ("abc,bd->adc", (units, width), None, (units, width)),
            ("abc,bcd->ad", (units,), "d", (units,)),
        ]
    )
    code = (
        f"layers.EinsumDense({equation!r}, output_shape={sizes}, "
        f"bias_axes={axes!r})"
    )
    return one("einsum_dense", code, source, after)
