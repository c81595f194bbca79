# SPDX-License-Identifier: MIT
"""Whole blocks of transformers: what can be removed, and that it is exact."""

import keras
import pytest
from keras import layers, ops

from tf_diet.graph.build import build
from tf_diet.graph.groups import Options
from tf_diet.pruning.trim import trim
from tf_diet.testing import (
    assert_law,
    random_inputs,
    random_kept,
    randomise,
)

pytestmark = pytest.mark.slow

WIDTH, LENGTH = 8, 7


def units(model):
    """Checks the law and returns how many units each group has."""
    graph = assert_law(model, rate=0.6)
    assert not graph.barriers
    return {group.name: group.n_units for group in graph.groups}


def embedded(name):
    """Tokens and their positions, added."""
    tokens = keras.Input((LENGTH,), dtype="int32", name=name)
    places = ops.cumsum(ops.ones_like(tokens), axis=1) - 1
    return tokens, (
        layers.Embedding(9, WIDTH, name=f"{name}_embedding")(tokens)
        + layers.Embedding(LENGTH, WIDTH, name=f"{name}_places")(places)
    )


def mlp(h, name):
    y = layers.LayerNormalization(name=f"{name}_norm")(h)
    y = layers.Dense(12, activation="gelu", name=f"{name}_wide")(y)
    return h + layers.Dense(WIDTH, name=f"{name}_back")(y)


def block(h, name, source=None, **kwargs):
    """A pre-LN block; it attends to a source where there is one."""
    y = layers.LayerNormalization(name=f"{name}_before")(h)
    attend = layers.MultiHeadAttention(4, 3, dropout=0.1, name=f"{name}_mha")
    seen = y if source is None else source
    return mlp(h + attend(y, seen, **kwargs), name)


def parts(name, heads=4, width=3):
    """The groups of one block."""
    return {
        f"{name}_mha.heads": heads,
        f"{name}_mha.key_dim": width,
        f"{name}_mha.value_dim": width,
        f"{name}_wide": 12,
    }


def encoder():
    tokens, h = embedded("tokens")
    h = block(block(h, "first"), "second")
    h = layers.LayerNormalization()(h)
    return keras.Model(tokens, layers.Dense(3, name="logits")(h[:, 0]))


def test_encoder():
    model = encoder()
    assert units(model) == parts("first") | parts("second")
    pinned = {p.name: (p.n_units, p.reason) for p in build(model).pinned}
    count, reason = pinned["tokens_embedding"]
    assert count == WIDTH
    assert "first_before" in reason


def test_encoder_and_decoder():
    tokens, h = embedded("tokens")
    source = layers.Dense(6, name="source")(block(h, "encoder"))
    words, h = embedded("words")
    h = block(h, "itself", use_causal_mask=True)
    h = block(h, "across", source=source)
    model = keras.Model([tokens, words], layers.Dense(3)(h))
    expected = parts("encoder") | parts("itself") | parts("across")
    assert units(model) == expected | {"source": 6}


def test_a_stream_without_normalisation_shrinks():
    x = keras.Input((LENGTH, 4))
    h = layers.Dense(WIDTH, name="stream")(x)
    h = h + layers.MultiHeadAttention(4, 3, name="mha")(h, h)
    model = keras.Model(x, layers.Dense(3)(h))
    expected = {"stream": WIDTH, "mha.heads": 4, "mha.key_dim": 3}
    assert units(model) == expected


def test_the_stream_shrinks_at_the_price_of_the_law():
    model = encoder()
    randomise(model)
    graph = build(model, Options(exact=False))
    stream = next(g for g in graph.groups if g.n_units == WIDTH)
    small = trim(model, graph, graph.alive(random_kept(graph, 0.5)))
    assert stream.name in {p.name for p in graph.inexact}
    assert small(random_inputs(model)).shape == (2, 3)


def by_hand():
    """Attention of Dense layers and operations, head by head."""
    x = keras.Input((LENGTH, 4))
    h = layers.Dense(WIDTH, name="h")(x)

    def heads(name, *order):
        made = layers.Dense(12, name=name)(h)
        made = ops.reshape(made, (-1, LENGTH, 4, 3))
        return ops.transpose(made, order)

    q, k, v = (
        heads("q", 0, 2, 1, 3),
        heads("k", 0, 2, 3, 1),
        heads("v", 0, 2, 1, 3),
    )
    scores = ops.softmax(ops.matmul(q, k) / 3**0.5, axis=-1)
    y = ops.transpose(ops.matmul(scores, v), (0, 2, 1, 3))
    y = ops.reshape(y, (-1, LENGTH, 12))
    return keras.Model(x, layers.Dense(3)(y))


def test_attention_by_hand():
    # A group is called after its first layer in the order of the graph.
    assert units(by_hand()) == {"h": WIDTH, "k": 4}


@pytest.mark.parametrize("letters", ["bqhk", "bhqk"])
def test_attention_of_einsums(letters):
    x = keras.Input((LENGTH, 4))

    def heads(name):
        return layers.EinsumDense(
            f"bqc,chk->{letters}",
            output_shape=(LENGTH, 4, 3)
            if letters[1] == "q"
            else (4, LENGTH, 3),
            name=name,
        )(x)

    source = letters.replace("q", "s")
    scores = ops.einsum(f"{letters},{source}->bhqs", heads("q"), heads("k"))
    scores = ops.softmax(scores, axis=-1)
    y = ops.einsum(f"bhqs,{source}->{letters}", scores, heads("v"))
    y = layers.EinsumDense(f"{letters},hkd->bqd", output_shape=(LENGTH, 3))(y)
    found = units(keras.Model(x, y))
    assert found == {"q.h": 4, "q.k": 3, "v.k": 3}
