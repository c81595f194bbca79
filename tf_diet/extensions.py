# SPDX-License-Identifier: MIT
"""Every extension point: what can be registered, and what ships.

What ships is registered by the same decorators as what users add. Its names
stand here too, so that a command line can show them without importing Keras;
a test holds them to what the modules register. Rules have a table of their
own in `tf_diet.graph.rule_table`: they are looked up by class, not by name.
"""

from typing import Any

from tf_diet.registry import Registry

criteria: Registry[Any] = Registry(
    "criterion",
    {
        "tf_diet.criteria.activations": ["activation"],
        "tf_diet.criteria.gradients": [
            "gradient",
            "gradient_min",
            "obd",
            "taylor",
        ],
        "tf_diet.criteria.information": [
            "information_gain",
            "input_information",
            "mutual_information",
        ],
        "tf_diet.criteria.weights": [
            "geometric_median",
            "l2",
            "lamp",
            "magnitude",
            "normalisation",
            "random",
        ],
    },
)

estimators: Registry[Any] = Registry(
    "estimator",
    {
        "tf_diet.criteria.estimators.classes": ["classes"],
        "tf_diet.criteria.estimators.edge": ["edge"],
        "tf_diet.criteria.estimators.gaussian": ["gaussian"],
        "tf_diet.criteria.estimators.histogram": ["histogram"],
        "tf_diet.criteria.estimators.ladder": ["ladder"],
        "tf_diet.criteria.estimators.neighbours": ["neighbours"],
        "tf_diet.criteria.estimators.vector": ["vector"],
    },
)

scopes: Registry[Any] = Registry(
    "scope",
    {
        "tf_diet.pruning.selection": [
            "global",
            "global_then_local",
            "isomorphic",
            "local",
        ]
    },
)

scalings: Registry[Any] = Registry(
    "scaling",
    {
        "tf_diet.pruning.scaling": [
            "dimension",
            "fan_in",
            "fan_out",
            "max",
            "none",
            "per_byte",
            "per_flop",
            "per_parameter",
            "rank",
            "z_score",
        ]
    },
)

repairs: Registry[Any] = Registry(
    "repair", {"tf_diet.pruning.repair.methods": ["bias", "least_squares"]}
)

schedules: Registry[Any] = Registry(
    "schedule",
    {
        "tf_diet.lottery.schedules": [
            "constant_rate",
            "listed",
            "polynomial",
            "until_budget",
            "until_error",
        ]
    },
)

resets: Registry[Any] = Registry(
    "reset",
    {
        "tf_diet.lottery.resets": [
            "lr_rewind",
            "none",
            "reinit",
            "rewind",
        ]
    },
)

methods: Registry[Any] = Registry(
    "method",
    {
        "tf_diet.lottery.masking": ["mask"],
        "tf_diet.lottery.methods": ["trim"],
    },
)

quantizations: Registry[Any] = Registry(
    "quantization",
    {
        "tf_diet.convert.quantization": [
            "dynamic",
            "float16",
            "float32",
            "int16x8",
            "int8",
            "wi4",
            "wi8",
        ]
    },
)

toolchains: Registry[Any] = Registry(
    "board of a sketch",
    {
        "tf_diet.convert.toolchain": [
            "esp32",
            "esp32-c3",
            "esp32-c6",
            "esp32-s3",
            "giga-r1",
            "nano-33-ble",
            "pico",
            "pico-2",
            "portenta-h7",
            "teensy-4.1",
            "uno-r4-minima",
            "uno-r4-wifi",
        ]
    },
)

features: Registry[Any] = Registry(
    "feature",
    {
        "tf_diet.audio.extraction": [
            "audio",
            "codes",
            "f0",
            "log_mel",
            "loudness",
            "mfcc",
        ]
    },
)

families: Registry[Any] = Registry(
    "model",
    {
        "tf_diet.models.families.ddsp": ["ddsp"],
        "tf_diet.models.families.sing": ["sing", "sing-autoencoder"],
        "tf_diet.models.families.wavenet": ["wavenet"],
    },
)

register_criterion = criteria.register
register_estimator = estimators.register
register_scope = scopes.register
register_scaling = scalings.register
register_repair = repairs.register
register_schedule = schedules.register
register_reset = resets.register
register_method = methods.register
register_quantization = quantizations.register
register_feature = features.register
register_family = families.register
