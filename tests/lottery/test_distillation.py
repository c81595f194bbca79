# SPDX-License-Identifier: MIT
"""The full model as a teacher."""

from contextlib import nullcontext

import keras
import numpy as np
import pytest
import small_lottery as small
from scipy.special import softmax

from tf_diet.errors import InputError
from tf_diet.lottery.distillation import Distillation
from tf_diet.pruning.limits import Limits

pytestmark = pytest.mark.slow


def classes(seed):
    x, y = small.data(seed)
    return x, (y[:, 0] > 0).astype("int32")


def classifier(seed):
    keras.utils.set_random_seed(seed)
    net = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(12, "relu", name="a"),
            keras.layers.Dense(12, "relu", name="b"),
            keras.layers.Dense(2, name="out"),
        ]
    )
    net.compile(
        keras.optimizers.Adam(1e-2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=True,
    )
    return net


def distance(distill, taught, own):
    if not distill.temperature:
        return float(np.square(taught - own).mean())
    p, q = (softmax(x / distill.temperature, axis=1) for x in (taught, own))
    return float((p * np.log(p / q)).sum(axis=1).mean())


@pytest.mark.parametrize(
    "distill",
    [
        Distillation(1.0, temperature=2.0),
        Distillation(1.0, on=("b",)),
        Distillation(1.0, loss=keras.losses.mean_squared_error),
    ],
    ids=["temperature", "layers", "loss"],
)
def test_a_student_comes_nearer_to_its_teacher(distill):
    x, _ = classes(0)
    y = np.random.default_rng(5).integers(0, 2, len(x))
    teacher = classifier(seed=1)
    teacher.set_weights([2 * value for value in teacher.get_weights()])
    far = []
    for lesson in (None, distill):
        student = classifier(seed=2)
        with lesson.teach(student, teacher) if lesson else nullcontext():
            student.fit(x, y, epochs=20, verbose=0)
        nets = teacher, student
        if distill.on:
            nets = (
                keras.Model(net.inputs, net.get_layer("b").output)
                for net in nets
            )
        far.append(distance(distill, *(n.predict(x, verbose=0) for n in nets)))
        # What the student is judged by is its own error.
        loss = float(student.loss(y, student(x)))
        assert student.evaluate(x, y, verbose=0) == pytest.approx(loss, 1e-4)
    assert far[1] < 0.5 * far[0]


def test_a_lottery_with_a_teacher(tmp_path):
    runs = [
        small.fit(
            tmp_path / str(number),
            rounds=1,
            callbacks=[],
            distill=distill,
            limits=Limits(keep=["b"]),
        )
        for number, distill in enumerate((None, Distillation(0.5, on=("b",))))
    ]
    plain, taught = map(small.traces, runs)
    assert plain[0] == taught[0]
    assert plain[1][0] == taught[1][0]
    assert plain[1] != taught[1]


def test_what_cannot_be_taught(tmp_path):
    with pytest.raises(InputError, match="above 0 and at most 1"):
        small.fit(tmp_path / "a", distill=Distillation(0.0))
    with pytest.raises(InputError, match="no such layer"):
        small.fit(tmp_path / "b", distill=Distillation(on=("c",)))
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"narrower.*Limits\(keep=\['a'\]\)"):
        small.fit(tmp_path / "c", distill=Distillation(on=("a",)))
