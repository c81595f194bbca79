# SPDX-License-Identifier: MIT
"""The table of rules: by class of layer, by name of operation."""

import importlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

from tf_diet.errors import InputError
from tf_diet.graph.calls import Call
from tf_diet.graph.labels import Labels
from tf_diet.graph.operation import Args, Kwargs, Operation
from tf_diet.graph.rule import Fresh, Rule, RuleFunction, Signature
from tf_diet.graph.timing import Axes, StepForm

InTime = Callable[[Call, Axes], StepForm]
AnyRule = TypeVar("AnyRule", bound=type[Rule] | RuleFunction)

# Applies a call as TFLite can; None where it can as it is.
TFLiteForm = Callable[[Call, Args, Kwargs, bool], Any]

_RULES: dict[type | str, Rule] = {}
_TFLITE_FORMS: dict[type | str, TFLiteForm] = {}
_BARRIERS: dict[str, str] = {}
_CONSTANT: set[str] = set()
_SHIPPED = "tf_diet.rules"
_NO_RULE = "it has no pruning rule"
_PREFIXES = {
    "keras.src.ops": "ops",
    "keras.ops": "ops",
    "keras.src.activations": "ops",
    "keras.src.legacy": "legacy",
    "keras.": "layers",
}


def register_rule(
    *kinds: type | str,
    pointwise_in_time: bool = False,
    in_time: InTime | None = None,
) -> Callable[[AnyRule], AnyRule]:
    """Registers a rule for layer classes or operations of `keras.ops`.

    A function is enough where the signature says it all; a class is needed
    where a rule says more, such as how to rebuild the layer.

    Args:
        kinds: layer classes, or names such as "ops.Split" for operations of
            `keras.ops`, whose classes are not public.
        pointwise_in_time: as the attribute of `Rule`, where the rule is a
            function.
        in_time: as the method of `Rule`, likewise: a function
            `in_time(call, axes) -> StepForm`.

    Returns:
        A decorator of a subclass of `Rule`, or of a function
        `rule(call, inputs, fresh) -> Signature`.

    Raises:
        InputError: a kind or the rule is neither.

    Example:
        >>> @register_rule(keras.layers.Dropout, pointwise_in_time=True)
        ... def dropout(call, inputs, fresh):
        ...     return Signature(outputs=[inputs[0]])
    """
    for kind in kinds:
        if not isinstance(kind, type) and not str(kind).startswith("ops."):
            raise InputError(
                "A rule is for a layer class or a name of keras.ops. "
                f"Received: {kind!r}. Pass a class, or 'ops.' and the name of "
                "the operation class, such as 'ops.Split'."
            )

    def add(rule: AnyRule) -> AnyRule:
        instance = _instance(rule, pointwise_in_time, in_time)
        if not str(rule.__module__).startswith(f"{_SHIPPED}."):
            # So that what ships does not take its place later.
            _load_shipped()
        for kind in kinds:
            _RULES[kind] = instance
        return rule

    return add


def _instance(
    rule: "type[Rule] | RuleFunction", pointwise: bool, timing: InTime | None
) -> Rule:
    """Returns an instance of a rule class, or of one around a function."""
    if isinstance(rule, type):
        if not issubclass(rule, Rule):
            raise InputError(
                "A rule is a subclass of tf_diet.Rule or a function. "
                f"Received: the class {rule.__name__}. Derive it from "
                "tf_diet.Rule."
            )
        if pointwise:
            raise InputError(
                "A rule class says itself whether it is pointwise in time. "
                f"Received: {rule.__name__} and pointwise_in_time=True. Write "
                "pointwise_in_time = True in the class."
            )
        if timing:
            raise InputError(
                "A rule class says itself how it sees time. Received: "
                f"{rule.__name__} and in_time=. Write a method in_time in the "
                "class."
            )
        return rule()
    if not callable(rule):
        raise InputError(
            "A rule is a subclass of tf_diet.Rule or a function. "
            f"Received: {rule!r}. Pass a function of (call, inputs, fresh) "
            "that returns a Signature."
        )
    function: RuleFunction = rule

    class FunctionRule(Rule):
        """A rule made of a function: its signature, and the defaults."""

        pointwise_in_time = pointwise

        def signature(
            self, call: Call, inputs: Sequence[Labels], fresh: Fresh
        ) -> Signature:
            """Returns what the function says."""
            return function(call, inputs, fresh)

        def in_time(self, call: Call, axes: Axes) -> StepForm:
            """Returns what the function for it says, if there is one."""
            if timing is None:
                return super().in_time(call, axes)
            return timing(call, axes)

    return FunctionRule()


@cache
def _load_shipped() -> None:
    """Registers the rules that ship, when a rule is first asked for.

    They are of a room above this one, which is therefore named, not imported.
    """
    importlib.import_module(_SHIPPED)


def rule_for(operation: Operation) -> Rule | None:
    """Returns the rule of exactly this class of operation, or None.

    Subclasses do not inherit one: their `call` may do anything.
    """
    _load_shipped()
    kind = type(operation)
    if kind in _RULES:
        return _RULES[kind]
    name = kind_name(kind)
    return _RULES.get(name) if name.startswith("ops.") else None


def registered() -> list[type | str]:
    """Returns every kind that has a rule."""
    _load_shipped()
    return list(_RULES)


def register_barrier(reason: str, *kinds: str, constant: bool = False) -> None:
    """Registers why operations stop the graph: no rule could be exact.

    Names are enough, so that a kind need not exist in every Keras.

    Args:
        reason: reads on from "the layer stops the graph: ".
        kinds: names of the form of `kind_name`.
        constant: see `Rule.constant`; that holds for subclasses as well.
    """
    for kind in kinds:
        _BARRIERS[kind] = reason
    if constant:
        _CONSTANT.update(kinds)


def register_tflite_form(
    *kinds: type | str,
) -> Callable[[TFLiteForm], TFLiteForm]:
    """Registers how a layer or operation is converted to TFLite.

    For what TFLite's converter or a runtime lacks or gets wrong: another way
    to compute the same, out of operations that they have.

    Args:
        kinds: layer classes, or names as for `register_rule`.

    Returns:
        A decorator of a function `form(call, args, kwargs, integer)`, which
        gets tensors in the call's arguments and whether the model will
        compute with integers. It returns what the operation would, or None
        to have the operation called as it is.
    """

    def add(form: TFLiteForm) -> TFLiteForm:
        if not str(form.__module__).startswith(f"{_SHIPPED}."):
            _load_shipped()
        for kind in kinds:
            _TFLITE_FORMS[kind] = form
        return form

    return add


def tflite_form(operation: Operation) -> TFLiteForm | None:
    """Returns how exactly this class of operation is converted, or None."""
    _load_shipped()
    kind = type(operation)
    return _TFLITE_FORMS.get(kind) or _TFLITE_FORMS.get(kind_name(kind))


def is_constant(operation: Any) -> bool:
    """Says whether the weights of an operation are a fixed transform's."""
    rule = rule_for(operation)
    if rule is not None:
        return rule.constant
    return any(kind_name(k) in _CONSTANT for k in type(operation).__mro__)


def kind_name(kind: type) -> str:
    """Returns the name by which a class of Keras is registered, or "".

    It is "ops." and the name of the class for an operation of `keras.ops` or
    `keras.activations`, "layers." and the name of the class for the others,
    "legacy." for what stands in for a layer of old.
    """
    for module, prefix in _PREFIXES.items():
        if kind.__module__.startswith(module):
            return f"{prefix}.{kind.__name__}"
    return ""


def barrier_reason(operation: Operation) -> str:
    """Returns why an operation that has no rule stops the graph."""
    _load_shipped()
    return _BARRIERS.get(kind_name(type(operation)), _NO_RULE)


def barriers() -> dict[str, str]:
    """Returns every kind that is known to stop the graph, and why."""
    _load_shipped()
    return dict(_BARRIERS)
