# SPDX-License-Identifier: MIT
"""Teach tf_diet a layer of your own, and check that it is right.

python examples/custom_layer_rule.py
"""

import keras

import tf_diet
from tf_diet.testing import check_rule


@keras.saving.register_keras_serializable("examples")
class Gain(keras.layers.Layer):
    """Multiplies every channel by a learned gain."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes one gain a channel."""
        self.gain = self.add_weight(
            name="gain", shape=(input_shape[-1],), initializer="ones"
        )

    def call(self, x: object) -> object:
        """Scales the channels."""
        return x * self.gain


def model() -> keras.Model:
    """Returns a net with the layer in its middle."""
    inputs = keras.Input((12, 4))
    h = keras.layers.Dense(32, name="hidden")(inputs)
    outputs = keras.layers.Dense(2, name="out")(Gain(name="gain")(h))
    return keras.Model(inputs, outputs)


def main() -> None:
    """Shows the barrier, files the rule, checks it and prunes."""
    net = model()
    for barrier in tf_diet.inspect(net).barriers:
        print(f"without a rule: {barrier.path} pins {barrier.n_frozen} units")

    @tf_diet.register_rule(Gain, pointwise_in_time=True)
    def gain(call, inputs, fresh):  # type: ignore[no-untyped-def]
        """Channels pass through, and the gain follows them."""
        (x,) = inputs
        return tf_diet.Signature([x], {"gain": (x.channels,)})

    check_rule(Gain(), (12, 6))
    small = tf_diet.prune(net, rate=0.5, criterion="magnitude")
    print(f"with it: {net.count_params()} -> {small.count_params()} parameters")


if __name__ == "__main__":
    main()
