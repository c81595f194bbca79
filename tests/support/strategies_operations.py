# SPDX-License-Identifier: MIT
"""Steps of random graphs: shapes, and the operations of `keras.ops`."""

from strategies_graph import Chooser, Pool, Shape, Step, kind
from strategies_layers import any_shape, image, sequence, spatial, wide

UNARY = [
    "ops.tanh({0})",
    "ops.sigmoid({0})",
    "ops.relu({0})",
    "ops.square({0})",
    "ops.negative({0})",
    "ops.abs({0})",
    "ops.silu({0})",
    "{0} * 0.5",
    "1.0 - {0}",
    "ops.clip({0}, -1.0, 1.0)",
    "ops.softmax({0}, axis=-1)",
    "ops.log_softmax({0}, axis=-1)",
    "ops.normalize({0}, axis=-1)",
    "ops.where({0} > 0.0, {0}, 0.1 * {0})",
    "ops.where({0} > 0.0, {0}, ops.ones_like({0}))",
    "ops.maximum({0}, 0.2)",
    "ops.cumsum({0}, axis=-1)",
    "ops.cumsum({0}, axis=1)",
    "ops.flip({0}, axis=-1)",
    "ops.flip({0}, axis=1)",
    "ops.roll({0}, 1, axis=-1)",
    "ops.roll({0}, 2, axis=1)",
    "ops.sort({0}, axis=-1)",
    "ops.exp(-ops.square({0}))",
    "ops.logaddexp({0}, 0.5 * {0})",
    "ops.swapaxes(ops.swapaxes({0}, 1, -1), 1, -1)",
]


@kind
def operation(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(any_shape)
    code = choose.pick(UNARY)
    return Step("operation", code, (source,), (pool.shapes[source],))


@kind
def constant(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(any_shape)
    shape = pool.shapes[source]
    size = shape[0] if len(shape) > 1 and choose.one_in(2) else shape[-1]
    column = "[:, None]" if size == shape[0] and len(shape) == 2 else ""
    if len(shape) == 3:
        size = shape[-1]
    code = f"{{0}} * (np.arange({size}) / {size}){column}"
    if size != shape[-1] and not column:
        return None
    return Step("constant", code, (source,), (shape,))


@kind
def binary(choose: Chooser, pool: Pool) -> Step | None:
    a = pool.pick(any_shape)
    shape = pool.shapes[a]
    b = pool.another(a, lambda s: s == shape)
    code = choose.pick(
        [
            "{0} + {1}",
            "{0} * {1}",
            "ops.maximum({0}, {1})",
            "{0} - 0.5 * {1}",
            "ops.add({0}, {1})",
            "{0} / (1.0 + ops.square({1}))",
        ]
    )
    return Step("binary", code, (a, b), (shape,))


@kind
def broadcast(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(spatial)
    if source is None:
        return None
    shape = pool.shapes[source]
    other = pool.another(source, lambda s: s == shape[-1:])
    if other == source:
        other_code = "ops.mean({0}, axis=1, keepdims=True)"
        return Step("broadcast", f"{{0}} + {other_code}", (source,), (shape,))
    middle = ", None" * (len(shape) - 1)
    code = f"{{0}} * {{1}}[:{middle}, :]"
    return Step("broadcast", code, (source, other), (shape,))


@kind
def split(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(lambda s: s[-1] >= 4)
    if source is None:
        return None
    shape = pool.shapes[source]
    size = shape[-1]
    counts = [n for n in (2, 3) if size % n == 0]
    if counts and choose.one_in(2):
        count = choose.pick(counts)
        parts = (wide(shape, size // count),) * count
        code = f"ops.split({{0}}, {count}, axis=-1)"
        return Step("split", code, (source,), parts)
    edge = choose.number(1, size - 1)
    parts = (wide(shape, edge), wide(shape, size - edge))
    code = f"ops.split({{0}}, [{edge}], axis=-1)"
    return Step("split", code, (source,), parts)


@kind
def gate(choose: Chooser, pool: Pool) -> Step | None:
    """Two halves of one tensor meet again."""
    source = pool.pick(lambda s: s[-1] % 2 == 0)
    if source is None:
        return None
    shape = pool.shapes[source]
    half = shape[-1] // 2
    code = choose.pick(
        [
            f"ops.tanh({{0}}[..., :{half}]) * {{0}}[..., {half}:]",
            "ops.multiply(*ops.split({0}, 2, axis=-1))",
            f"{{0}}[..., -{half}:] + {{0}}[..., :-{half}]",
        ]
    )
    return Step("gate", code, (source,), (wide(shape, half),))


@kind
def get_item(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(lambda s: min(s) >= 3)
    if source is None:
        return None
    shape = pool.shapes[source]
    size = shape[-1]
    table: list[tuple[str, Shape]] = [
        ("{0}[..., 1:]", wide(shape, size - 1)),
        ("{0}[..., :-2]", wide(shape, size - 2)),
        ("{0}[..., 1:3]", wide(shape, 2)),
        ("{0}[..., ::2]", wide(shape, (size + 1) // 2)),
        ("ops.take({0}, np.array([2, 0, 1]), axis=-1)", wide(shape, 3)),
        ("{0}[:, 1:]", (shape[0] - 1, *shape[1:])),
    ]
    if len(shape) > 1:
        table += [
            ("{0}[:, 0]", shape[1:]),
            ("{0}[:, -1]", shape[1:]),
            ("{0}[:, ::-1]", shape),
            ("ops.take({0}, 1, axis=1)", shape[1:]),
        ]
    code, after = choose.pick(table)
    return Step("get_item", code, (source,), (after,))


@kind
def reduce(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(spatial)
    if source is None:
        return None
    shape = pool.shapes[source]
    how = choose.pick(["mean", "sum", "max", "min", "var", "logsumexp"])
    axis, after = choose.pick(
        [
            ("1", shape[1:]),
            ("-1", shape[:-1]),
            ("-1, keepdims=True", wide(shape, 1)),
            ("1, keepdims=True", (1, *shape[1:])),
        ]
    )
    return Step("reduce", f"ops.{how}({{0}}, axis={axis})", (source,), (after,))


@kind
def permute(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(spatial)
    if source is None:
        return None
    shape = pool.shapes[source]
    if image(shape):
        dims = choose.pick([(2, 1, 3), (1, 3, 2), (3, 1, 2)])
    else:
        dims = (2, 1)
    after = tuple(shape[place - 1] for place in dims)
    code = choose.pick(
        [
            f"layers.Permute({dims})({{0}})",
            f"ops.transpose({{0}}, {(0, *dims)})",
        ]
    )
    return Step("permute", code, (source,), (after,))


@kind
def vector_to_sequence(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(lambda s: len(s) == 1)
    if source is None:
        return None
    (size,) = pool.shapes[source]
    table: list[tuple[str, Shape]] = [
        ("layers.RepeatVector(3)({0})", (3, size)),
        ("ops.expand_dims({0}, 1)", (1, size)),
        ("ops.expand_dims({0}, -1)", (size, 1)),
    ]
    if size % 2 == 0:
        half = size // 2
        table += [
            (f"layers.Reshape((2, {half}))({{0}})", (2, half)),
            ("layers.Reshape((-1, 2))({0})", (half, 2)),
        ]
    code, after = choose.pick(table)
    return Step("vector_to_sequence", code, (source,), (after,))


@kind
def reshape(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(lambda s: len(s) in (2, 3))
    if source is None:
        return None
    shape = pool.shapes[source]
    table: list[tuple[str, Shape]] = [
        ("ops.expand_dims({0}, 1)", (1, *shape)),
    ]
    if image(shape):
        a, b, c = shape
        table = [
            (f"layers.Reshape((-1, {c}))({{0}})", (a * b, c)),
            (f"layers.Reshape(({a}, {b * c}))({{0}})", (a, b * c)),
            (f"ops.reshape({{0}}, (-1, {a * b}, {c}))", (a * b, c)),
        ]
    else:
        a, c = shape
        table += [
            (f"layers.Reshape(({c}, {a}))({{0}})", (c, a)),
            (f"ops.reshape({{0}}, (-1, {a * c}))", (a * c,)),
        ]
        if c % 2 == 0:
            code = f"layers.Reshape(({a}, 2, {c // 2}))({{0}})"
            table.append((code, (a, 2, c // 2)))
    code, after = choose.pick(table)
    return Step("reshape", code, (source,), (after,))


@kind
def shuffle(choose: Chooser, pool: Pool) -> Step | None:
    """Channel shuffle: split, transpose, join."""
    source = pool.pick(lambda s: s[-1] % 2 == 0 and len(s) < 3)
    if source is None:
        return None
    shape = pool.shapes[source]
    places = "".join(f"{size}, " for size in shape[:-1])
    rank = len(shape)
    half = shape[-1] // 2
    order = (*range(rank), rank + 1, rank)
    code = (
        f"ops.reshape(ops.transpose(ops.reshape({{0}}, (-1, {places}2, "
        f"{half})), {order}), (-1, {places}{shape[-1]}))"
    )
    return Step("shuffle", code, (source,), (shape,))


@kind
def repeat(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(lambda s: s[-1] <= 8)
    if source is None:
        return None
    shape = pool.shapes[source]
    twice = wide(shape, 2 * shape[-1])
    ones = ", ".join("1" for _ in shape)
    table: list[tuple[str, Shape]] = [
        ("ops.repeat({0}, 2, axis=-1)", twice),
        (f"ops.tile({{0}}, ({ones}, 2))", twice),
        ("ops.concatenate([{0}, {0}], axis=-1)", twice),
        (
            "ops.pad({0}, (" + "(0, 0), " * len(shape) + "(1, 2)))",
            wide(shape, shape[-1] + 3),
        ),
    ]
    if len(shape) > 1:
        table += [
            ("ops.repeat({0}, 2, axis=1)", (2 * shape[0], *shape[1:])),
            (
                "ops.pad({0}, ((0, 0), (1, 0)"
                + ", (0, 0)" * len(shape[1:])
                + "))",
                (shape[0] + 1, *shape[1:]),
            ),
        ]
    code, after = choose.pick(table)
    return Step("repeat", code, (source,), (after,))


@kind
def stack(choose: Chooser, pool: Pool) -> Step | None:
    a = pool.pick(lambda s: len(s) < 3)
    if a is None:
        return None
    shape = pool.shapes[a]
    b = pool.another(a, lambda s: s == shape)
    axis, after = choose.pick([(1, (2, *shape)), (-1, (*shape, 2))])
    code = f"ops.stack([{{0}}, {{1}}], axis={axis})"
    return Step("stack", code, (a, b), (after,))


@kind
def unstack(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(lambda s: len(s) > 1 and s[0] <= 4)
    if source is None:
        return None
    shape = pool.shapes[source]
    code = f"ops.unstack({{0}}, {shape[0]}, axis=1)"
    if shape[0] == 1:
        return Step("unstack", f"{code}[0]", (source,), (shape[1:],))
    return Step("unstack", code, (source,), (shape[1:],) * shape[0])


@kind
def product(choose: Chooser, pool: Pool) -> Step | None:
    """Products of two tensors over units or over positions."""
    a = pool.pick(sequence)
    if a is None:
        return None
    shape = pool.shapes[a]
    b = pool.another(a, lambda s: len(s) == 2 and s[-1] == shape[-1])
    other = pool.shapes[b]
    scores = (shape[0], other[0])
    table: list[tuple[str, Shape]] = [
        ("layers.Dot(axes=(2, 2))([{0}, {1}])", scores),
        ("layers.Dot(axes=2, normalize=True)([{0}, {1}])", scores),
        ("ops.einsum('abc,adc->abd', {0}, {1})", scores),
        ("ops.matmul({0}, ops.transpose({1}, (0, 2, 1)))", scores),
        ("ops.matmul(ops.softmax({0} @ ops.swapaxes({1}, 1, 2)), {1})", shape),
    ]
    if shape[0] == other[0]:
        table += [
            ("ops.einsum('abc,abd->acd', {0}, {1})", (shape[1], other[1])),
            ("layers.Dot(axes=1)([{0}, {1}])", (shape[1], other[1])),
            ("ops.einsum('abc,abc->ab', {0}, {1})", (shape[0],)),
        ]
    code, after = choose.pick(table)
    return Step("product", code, (a, b), (after,))


@kind
def functional_convolution(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(sequence)
    if source is None:
        return None
    shape = pool.shapes[source]
    if choose.one_in(2):
        code = f"ops.matmul({{0}}, np.ones(({shape[-1]}, 3)) / 4)"
    else:
        kernel = f"np.ones((2, {shape[-1]}, 3)) / 4"
        code = f"ops.conv({{0}}, {kernel}, padding='same')"
    return Step("functional_convolution", code, (source,), (wide(shape, 3),))


@kind
def squeeze(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(lambda s: len(s) > 1 and s[0] == 1)
    if source is None:
        return None
    after = pool.shapes[source][1:]
    return Step("squeeze", "ops.squeeze({0}, axis=1)", (source,), (after,))


@kind
def average_pool(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(sequence)
    if source is None:
        return None
    length, width = pool.shapes[source]
    if length < 2:
        return None
    after = (length // 2, width)
    how = choose.pick(["max_pool", "average_pool"])
    return Step("average_pool", f"ops.{how}({{0}}, 2, 2)", (source,), (after,))
