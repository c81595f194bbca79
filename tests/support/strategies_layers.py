# SPDX-License-Identifier: MIT
"""Steps of random graphs: layers for vectors, sequences and images."""

from math import ceil

from strategies_graph import Chooser, Pool, Shape, Step, kind

ACTIVATIONS = [
    None,
    "relu",
    "tanh",
    "sigmoid",
    "gelu",
    "softplus",
    "leaky_relu",
    "softmax",
]
WIDTHS = [4, 6, 5, 8]


def any_shape(shape: Shape) -> bool:
    return len(shape) > 0


def sequence(shape: Shape) -> bool:
    return len(shape) == 2


def image(shape: Shape) -> bool:
    return len(shape) == 3


def spatial(shape: Shape) -> bool:
    return len(shape) in (2, 3)


def one(name: str, code: str, source: int, shape: Shape) -> Step:
    """A step with one input and one output."""
    return Step(name, f"{code}({{0}})", (source,), (shape,))


def wide(shape: Shape, units: int) -> Shape:
    return (*shape[:-1], units)


@kind
def dense(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(any_shape)
    units = choose.pick(WIDTHS)
    activation = choose.pick(ACTIVATIONS)
    bias = choose.pick(["", ", use_bias=False"])
    code = f"layers.Dense({units}, activation={activation!r}{bias})"
    return one("dense", code, source, wide(pool.shapes[source], units))


@kind
def shared_dense(choose: Chooser, pool: Pool) -> Step | None:
    a = pool.pick(any_shape)
    width = pool.shapes[a][-1]
    b = pool.another(a, lambda shape: shape[-1] == width)
    units = choose.pick(WIDTHS)
    return Step(
        "shared_dense",
        "{me}({0}), {me}({1})",
        (a, b),
        (wide(pool.shapes[a], units), wide(pool.shapes[b], units)),
        (f"{{me}} = layers.Dense({units})",),
    )


PLAIN = [
    "ReLU(max_value=2.0, negative_slope=0.1)",
    "Activation('tanh')",
    "Activation('softmax')",
    "LeakyReLU()",
    "ELU()",
    "Softmax()",
    "Dropout(0.3)",
    "GaussianNoise(0.1)",
    "GaussianDropout(0.1)",
    "AlphaDropout(0.1)",
    "ActivityRegularization(0.1)",
    "Rescaling(0.5, 0.1)",
    "Identity()",
    "PReLU()",
    "Masking(0.0)",
    "Normalization(mean=0.1, variance=2.0)",
]


@kind
def plain(choose: Chooser, pool: Pool) -> Step | None:
    code = choose.pick(PLAIN)
    fits = spatial if code.startswith("Masking") else any_shape
    source = pool.pick(fits)
    if source is None:
        return None
    return one("plain", f"layers.{code}", source, pool.shapes[source])


NORMALISATIONS = [
    "BatchNormalization()",
    "BatchNormalization(center=False)",
    "BatchNormalization(scale=False)",
    "LayerNormalization()",
    "RMSNormalization()",
    "UnitNormalization()",
    "GroupNormalization(groups={groups})",
    "GroupNormalization(groups=-1)",
    "LayerNormalization(axis=1)",
    "BatchNormalization(axis=1)",
    "PReLU(shared_axes=[1])",
    "SpatialDropout1D(0.2)",
]


@kind
def normalisation(choose: Chooser, pool: Pool) -> Step | None:
    code = choose.pick(NORMALISATIONS)
    # A statistic over two values, or of a group of them, is rounding noise.
    wider = ("Group" in code) or ("axis" in code) or ("axes" in code)
    fits = spatial if wider else any_shape
    source = pool.pick(sequence if "1D" in code else fits)
    if source is None:
        return None
    shape = pool.shapes[source]
    divisors = [n for n in range(1, shape[-1] + 1) if shape[-1] % n == 0]
    code = code.format(groups=choose.pick(divisors))
    return one("normalisation", f"layers.{code}", source, shape)


def slid(size: int, kernel: int, padding: str, stride: int) -> int:
    left = size if padding != "valid" else size - kernel + 1
    return ceil(left / stride)


def window(choose: Chooser, shape: Shape) -> tuple[str, Shape, str]:
    """Draws kernel, padding and stride that fit a shape.

    Returns:
        Their code, the positions that come out, and what dimension it is.
    """
    places = shape[:-1]
    kernel = choose.number(1, min(3, *places)) if len(places) > 1 else 2
    kernel = min(kernel, *places, 3)
    stride = choose.pick([1, 1, 2])
    padding = choose.pick(["same", "valid"])
    code = f"{kernel}, strides={stride}, padding={padding!r}"
    after = tuple(slid(n, kernel, padding, stride) for n in places)
    return code, after, f"{len(places)}D"


@kind
def convolution(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(spatial)
    if source is None:
        return None
    shape = pool.shapes[source]
    code, after, rank = window(choose, shape)
    filters = choose.pick([4, 6, 8])
    divisors = [n for n in (1, 2, 3) if shape[-1] % n == filters % n == 0]
    if choose.one_in(4) and filters % shape[-1] == 0:
        divisors = [shape[-1]]
    groups = choose.pick(divisors)
    extra = f", groups={groups}" if groups > 1 else ""
    activation = choose.pick(ACTIVATIONS)
    if activation:
        extra += f", activation={activation!r}"
    name = f"layers.Conv{rank}({filters}, {code}{extra})"
    return one("convolution", name, source, (*after, filters))


@kind
def causal(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(sequence)
    if source is None:
        return None
    filters = choose.pick(WIDTHS)
    dilation = choose.pick([1, 2])
    code = (
        f"layers.Conv1D({filters}, 2, padding='causal', "
        f"dilation_rate={dilation})"
    )
    return one("causal", code, source, wide(pool.shapes[source], filters))


@kind
def separable(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(spatial)
    if source is None:
        return None
    code, after, rank = window(choose, pool.shapes[source])
    filters = choose.pick(WIDTHS)
    times = choose.pick([1, 2])
    code = f"{filters}, {code}, depth_multiplier={times}"
    code = f"layers.SeparableConv{rank}({code})"
    return one("separable", code, source, (*after, filters))


@kind
def depthwise(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(spatial)
    if source is None:
        return None
    shape = pool.shapes[source]
    code, after, rank = window(choose, shape)
    times = choose.pick([1, 2])
    code = f"layers.DepthwiseConv{rank}({code}, depth_multiplier={times})"
    return one("depthwise", code, source, (*after, shape[-1] * times))


@kind
def transposed(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(spatial)
    if source is None:
        return None
    shape = pool.shapes[source]
    stride = choose.pick([1, 2])
    filters = choose.pick(WIDTHS)
    code = (
        f"layers.Conv{len(shape) - 1}DTranspose({filters}, 2, "
        f"strides={stride}, padding='same')"
    )
    after = tuple(stride * n for n in shape[:-1])
    return one("transposed", code, source, (*after, filters))


@kind
def pooling(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(spatial)
    if source is None:
        return None
    shape = pool.shapes[source]
    rank = f"{len(shape) - 1}D"
    places = shape[:-1]
    table = {
        "MaxPooling": ("2", tuple(n // 2 for n in places)),
        "AveragePooling": (
            "2, padding='same'",
            tuple(ceil(n / 2) for n in places),
        ),
        "UpSampling": ("size=2", tuple(2 * n for n in places)),
        "ZeroPadding": ("1", tuple(n + 2 for n in places)),
        "Cropping": ("1", tuple(n - 2 for n in places)),
    }
    name = choose.pick(list(table))
    arguments, after = table[name]
    if min(after) < 1:
        return None
    code = f"layers.{name}{rank}({arguments})"
    return one("pooling", code, source, (*after, shape[-1]))


@kind
def global_pooling(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(spatial)
    if source is None:
        return None
    shape = pool.shapes[source]
    how = choose.pick(["Average", "Max"])
    code = f"layers.Global{how}Pooling{len(shape) - 1}D()"
    return one("global_pooling", code, source, shape[-1:])


@kind
def merge(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(any_shape)
    shape = pool.shapes[source]
    other = pool.another(source, lambda s: s == shape)
    how = choose.pick(
        ["Add", "Multiply", "Average", "Maximum", "Minimum", "Subtract"]
    )
    second = f"layers.Dense({shape[-1]})({{1}})"
    if other != source and how != "Subtract":
        second = "{1}"
    code = f"layers.{how}()([{{0}}, {second}])"
    return Step("merge", code, (source, other), (shape,))


@kind
def project_and_merge(choose: Chooser, pool: Pool) -> Step | None:
    a = pool.pick(any_shape)
    places = pool.shapes[a][:-1]
    b = pool.another(a, lambda shape: shape[:-1] == places)
    units = choose.pick(WIDTHS)
    code = (
        f"layers.Add()([layers.Dense({units})({{0}}), "
        f"layers.Dense({units})({{1}})])"
    )
    return Step("project_and_merge", code, (a, b), ((*places, units),))


@kind
def concatenate(choose: Chooser, pool: Pool) -> Step | None:
    a = pool.pick(any_shape)
    shape = pool.shapes[a]
    axis = choose.number(0, len(shape) - 1)
    place = len(shape) - 1 - axis
    rest = (*shape[:place], *shape[place + 1 :])
    b = pool.another(
        a,
        lambda s: (
            len(s) == len(shape) and (*s[:place], *s[place + 1 :]) == rest
        ),
    )
    after = list(shape)
    after[place] += pool.shapes[b][place]
    code = f"layers.Concatenate(axis={-1 - axis})([{{0}}, {{1}}])"
    return Step("concatenate", code, (a, b), (tuple(after),))


@kind
def squeeze_and_excite(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(spatial)
    if source is None:
        return None
    shape = pool.shapes[source]
    pooled = f"layers.GlobalAveragePooling{len(shape) - 1}D(keepdims=True)"
    gate = f"layers.Dense({shape[-1]}, activation='sigmoid')"
    code = f"layers.Multiply()([{{0}}, {gate}({pooled}({{0}}))])"
    return Step("squeeze_and_excite", code, (source,), (shape,))


@kind
def gate_for_all(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(any_shape)
    code = "layers.Multiply()([{0}, layers.Dense(1)({0})])"
    return Step("gate_for_all", code, (source,), (pool.shapes[source],))


@kind
def flatten(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(lambda s: len(s) in (2, 3) and _size(s) <= 64)
    if source is None:
        return None
    size = _size(pool.shapes[source])
    return one("flatten", "layers.Flatten()", source, (size,))


def _size(shape: Shape) -> int:
    size = 1
    for count in shape:
        size *= count
    return size


@kind
def nested(choose: Chooser, pool: Pool) -> Step | None:
    """A functional model as a layer, called once or twice."""
    from strategies import draw_inner

    a = pool.pick(any_shape)
    inner = draw_inner(choose, pool.shapes[a])
    shapes = [source.shape for source in inner.inputs]
    shapes += [shape for step in inner.steps for shape in step.shapes]
    out = shapes[inner.outputs[0]]
    if choose.one_in(2):
        b = pool.another(a, lambda s: s == pool.shapes[a])
        code, sources, made = "{me}({0}), {me}({1})", (a, b), (out, out)
        return Step("nested_twice", code, sources, made, inner=inner)
    return Step("nested", "{me}({0})", (a,), (out,), inner=inner)


@kind
def nested_sequential(choose: Chooser, pool: Pool) -> Step | None:
    source = pool.pick(any_shape)
    shape = pool.shapes[source]
    units = choose.pick(WIDTHS)
    setup = (
        f"{{me}} = keras.Sequential([keras.Input({shape}), "
        f"layers.Dense({units}), layers.BatchNormalization(), layers.ReLU()])"
    )
    return Step(
        "nested_sequential",
        "{me}({0})",
        (source,),
        (wide(shape, units),),
        (setup,),
    )
