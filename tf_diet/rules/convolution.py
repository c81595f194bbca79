"""Convolutions: plain, depthwise, separable, transposed."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tf_diet.errors import StreamingError
from tf_diet.graph.labels import Axis, Labels, Mask, Vector
from tf_diet.graph.rule import Fresh, Rule, Signature, register_rule
from tf_diet.graph.walk import Call
from tf_diet.rules.activation import pin


def channel_axis(layer: Any) -> int:
    """Returns the channel axis of a layer with a `data_format`."""
    last = getattr(layer, "data_format", "channels_last") != "channels_first"
    return -1 if last else 1


def spatial(layer: Any, x: Labels, units: Axis) -> Labels:
    """Labels of a feature map: only the channel axis has units."""
    return Labels.none(x.rank).at(channel_axis(layer), units)


def channels(layer: Any, x: Labels) -> Axis:
    """The labels of the channel axis."""
    return x.axes[channel_axis(layer)]


def other_axes(layer: Any, call: Call, x: Labels) -> list[tuple[Vector, str]]:
    """Pins labels on axes that a sliding window mixes."""
    place = channel_axis(layer) % x.rank
    return [
        (axis, f"{call.path!r} slides over this axis")
        for number, axis in enumerate(x.axes)
        if axis is not None and number != place
    ]


class _Spatial(Rule):
    """What convolutions share: weights are applied at every position."""

    def positions(self, call: Call, signature: Signature, alive: Mask) -> int:
        """Returns the number of output positions."""
        shape = list(call.output_specs[0].shape[1:])
        del shape[
            channel_axis(call.operation)
            - (1 if channel_axis(call.operation) > 0 else 0)
        ]
        return int(np.prod([1 if size is None else size for size in shape]))


@register_rule(keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
class ConvolutionRule(_Spatial):
    """A convolution; filters are the units."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Makes `filters` units; grouped convolutions are pinned."""
        (x,) = inputs
        layer = call.operation
        units = fresh(layer.filters)
        seen = channels(layer, x)
        frozen = pin(call.path, layer.activation, units)
        frozen += other_axes(layer, call, x)
        kernel_in: Axis = seen
        if layer.groups > 1:
            reason = f"{call.path!r} is a grouped convolution"
            frozen += [(units, reason)]
            frozen += [(seen, reason)] if seen is not None else []
            kernel_in = None
        window = (None,) * layer.rank
        return Signature(
            outputs=[spatial(layer, x, units)],
            weights={"kernel": (*window, kernel_in, units), "bias": (units,)},
            sizes={"filters": units},
            frozen=frozen,
        )

    def state_spec(self, call: Call, batch: int) -> dict[str, tuple[int, ...]]:
        """Names the past frames that a kernel over time still sees."""
        past = _past(call.operation)
        channels_in = int(call.input_specs[0].shape[-1] or 0)
        return {"past": (batch, past, channels_in)} if past else {}

    def step(
        self,
        call: Call,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        state: Mapping[str, Any],
    ) -> tuple[Any, dict[str, Any]]:
        """Convolves the past frames and the new ones."""
        layer, window = call.operation, args[0]
        _check_causal(call)
        frame, past = window.shape[1], _past(layer)
        if past:
            window = keras.ops.concatenate([state["past"], window], axis=1)
        after = {"past": window[:, frame:]} if past else {}
        if frame == 1 and layer.groups == 1:
            return _taps(call, window), after
        inner = type(layer).from_config(
            {**layer.get_config(), "padding": "valid", "name": call.step_name}
        )
        outputs = inner(window)
        inner.set_weights(layer.get_weights())
        return outputs, after


def _past(layer: Any) -> int:
    """Returns how many frames before the present a kernel sees."""
    return int((layer.kernel_size[0] - 1) * layer.dilation_rate[0])


def _taps(call: Call, window: Any) -> Any:
    """One output frame as a matrix product over the frames it sees."""
    layer = call.operation
    taps = window[:, :: layer.dilation_rate[0]] if _past(layer) else window
    seen = layer.kernel_size[0] * window.shape[-1]
    dense = keras.layers.Dense(
        layer.filters,
        activation=layer.activation,
        use_bias=layer.use_bias,
        name=call.step_name,
    )
    outputs = dense(keras.ops.reshape(taps, (window.shape[0], 1, seen)))
    kernel, *bias = layer.get_weights()
    dense.set_weights([kernel.reshape(seen, layer.filters), *bias])
    return outputs


def _check_causal(call: Call) -> None:
    layer = call.operation
    reason = (
        "it slides over more axes than time"
        if layer.rank != 1
        else "its channels come first"
        if layer.data_format != "channels_last"
        else "it skips frames"
        if layer.strides[0] != 1
        else f"padding={layer.padding!r} looks ahead or drops frames"
        if _past(layer) and layer.padding != "causal"
        else ""
    )
    if reason:
        raise StreamingError(
            f"The layer {call.path!r} cannot run one frame at a time. "
            f"Received: {type(layer).__name__}, and {reason}. Use a Conv1D "
            "with padding='causal' and strides=1."
        )


@register_rule(
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
class TransposedConvolutionRule(_Spatial):
    """A transposed convolution; its kernel holds outputs before inputs."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Makes `filters` units."""
        (x,) = inputs
        layer = call.operation
        units = fresh(layer.filters)
        window = (None,) * layer.rank
        return Signature(
            outputs=[spatial(layer, x, units)],
            weights={
                "kernel": (*window, units, channels(layer, x)),
                "bias": (units,),
            },
            sizes={"filters": units},
            frozen=pin(call.path, layer.activation, units)
            + other_axes(layer, call, x),
        )

    def positions(self, call: Call, signature: Signature, alive: Mask) -> int:
        """Returns the number of input positions: each meets the kernel."""
        shape = list(call.input_specs[0].shape[1:])
        place = channel_axis(call.operation)
        del shape[place - 1 if place > 0 else place]
        return int(np.prod([1 if size is None else size for size in shape]))


@register_rule(keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
class DepthwiseRule(_Spatial):
    """Each channel has filters of its own, so it keeps its labels."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Repeats each label `depth_multiplier` times."""
        (x,) = inputs
        layer = call.operation
        seen = channels(layer, x)
        if seen is None:
            # Data comes in: its channels stay, and so do their filters.
            return Signature(
                outputs=[Labels.none(x.rank)], frozen=other_axes(layer, call, x)
            )
        units = np.repeat(seen, layer.depth_multiplier)
        window = (None,) * layer.rank
        return Signature(
            outputs=[spatial(layer, x, units)],
            weights={"kernel": (*window, seen, None), "bias": (units,)},
            frozen=pin(call.path, layer.activation, units)
            + other_axes(layer, call, x),
        )


@register_rule(keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
class SeparableRule(_Spatial):
    """A depthwise and a pointwise convolution in one layer."""

    def signature(
        self, call: Call, inputs: Sequence[Labels], fresh: Fresh
    ) -> Signature:
        """Makes `filters` units; the middle follows the input."""
        (x,) = inputs
        layer = call.operation
        units = fresh(layer.filters)
        seen = channels(layer, x)
        middle = (
            None if seen is None else np.repeat(seen, layer.depth_multiplier)
        )
        window = (None,) * layer.rank
        point = (None,) * layer.rank
        return Signature(
            outputs=[spatial(layer, x, units)],
            weights={
                "depthwise_kernel": (*window, seen, None),
                "pointwise_kernel": (*point, middle, units),
                "bias": (units,),
            },
            sizes={"filters": units},
            frozen=pin(call.path, layer.activation, units)
            + other_axes(layer, call, x),
        )
