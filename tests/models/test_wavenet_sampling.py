# SPDX-License-Identifier: MIT
"""Generation by what is remembered is the convolution."""

import keras
import numpy as np
import pytest

import tf_diet
from tf_diet.audio import mu_law
from tf_diet.errors import InputError
from tf_diet.models import WaveNetConfig, wavenet
from tf_diet.models.wavenet_sampling import cached_logits, generate

pytestmark = pytest.mark.slow

CONFIG = WaveNetConfig(
    cycles=2,
    layers=4,
    channels=8,
    skip_channels=12,
    kernel=3,
    conditioning=5,
    hop=20,
    instruments=3,
)


def randomised(config, seed=0):
    rng = np.random.default_rng(seed)
    model = wavenet(config)
    model.set_weights(
        [rng.normal(0, 0.4, w.shape) for w in model.get_weights()]
    )
    # So that what was heard, and not a bias, tells the next code.
    model.get_layer("embedding").embeddings.assign(
        rng.normal(0, 2.0, (256, config.channels))
    )
    model.get_layer("logits").bias.assign(np.zeros(256))
    return model


@pytest.fixture(scope="module")
def model():
    return randomised(CONFIG)


def sounds(config=CONFIG, frames=8, batch=2, seed=1):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, (batch, frames * config.hop))
    shape = (batch, frames, config.conditioning)
    given = {}
    if config.conditioning:
        given["conditioning"] = rng.normal(size=shape).astype("float32")
    if config.instruments:
        given["instrument"] = np.arange(batch) % config.instruments
    return codes, given


def full_logits(model, codes, given):
    x = {"codes": mu_law.teacher(codes)[0], **given}
    if "instrument" in x:
        x["instrument"] = np.asarray(x["instrument"])[:, None]
    return model.predict(x, verbose=0)


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        WaveNetConfig(cycles=1, layers=5, channels=6, skip_channels=4),
        WaveNetConfig(
            cycles=1, layers=2, channels=6, skip_channels=4, kernel=1
        ),
    ],
    ids=["everything", "bare", "one tap"],
)
def test_logits_are_those_of_the_full_convolution(config):
    model = randomised(config)
    # The bare one is generated in chunks of 512, which this does not fill.
    frames = 8 if config.conditioning else 2
    codes, given = sounds(config, frames)
    codes = codes[:, :-7]
    if not config.conditioning:
        assert codes.shape[1] > 512
    wanted = full_logits(model, codes, given) if not given else None
    if wanted is None:
        # The full model takes whole frames.
        longer = np.pad(codes, ((0, 0), (0, 7)))
        wanted = full_logits(model, longer, given)[:, :-7]
    got = cached_logits(model, codes, **given)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(got, wanted, atol=1e-5 * scale)


@pytest.mark.parametrize("rate", [0.5, 0.9])
def test_a_pruned_net_generates_its_own_logits(model, rate):
    plan = tf_diet.plan(model, rate=rate, criterion="random")
    small = plan.apply(model)
    codes, given = sounds()
    wanted = full_logits(small, codes, given)
    got = cached_logits(small, codes, **given)
    np.testing.assert_allclose(got, wanted, atol=1e-5 * np.abs(wanted).max())
    assert small.count_params() < (1 - 0.8 * rate) * model.count_params()


def test_each_code_is_the_likeliest_after_those_before_it(model):
    _, given = sounds()
    codes = generate(model, 150, temperature=0, **given)
    assert codes.shape == (2, 150)
    assert codes.dtype == np.int32
    assert len(np.unique(codes)) > 5
    # A shift too many, or one too few, or a start from code 0, breaks this.
    padded = np.pad(codes, ((0, 0), (0, 10)))
    logits = full_logits(model, padded, given)[:, :150]
    # Ties within a rounding may go either way.
    best = np.take_along_axis(logits, codes[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(best, logits.max(axis=-1), rtol=1e-4)


def test_the_first_code_is_predicted_from_silence(model):
    _, given = sounds(batch=12)
    first = generate(model, 1, temperature=0, **given)
    logits = {}
    for start in (0, 128):
        x = {
            "codes": np.full((12, CONFIG.hop), start),
            "conditioning": given["conditioning"][:, :1],
            "instrument": given["instrument"][:, None],
        }
        logits[start] = model.predict(x, verbose=0)[:, 0]
    assert (logits[0].argmax(axis=-1) != logits[128].argmax(axis=-1)).any()
    np.testing.assert_array_equal(first[:, 0], logits[128].argmax(axis=-1))


def test_codes_are_drawn_as_often_as_they_are_likely():
    config = WaveNetConfig(cycles=1, layers=1, channels=4, skip_channels=4)
    model = wavenet(config)
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape))
    chances = np.zeros(256)
    chances[[3, 128, 255]] = [0.2, 0.5, 0.3]
    bias = np.log(np.maximum(chances, 1e-30))
    model.get_layer("logits").bias.assign(bias)
    for temperature, power in ((1.0, 1.0), (0.5, 2.0)):
        codes = generate(model, 1024, temperature=temperature, batch=8)
        found = np.bincount(codes.ravel(), minlength=256) / codes.size
        wanted = chances**power / np.sum(chances**power)
        # Four standard deviations of 8192 draws.
        np.testing.assert_allclose(found, wanted, atol=0.023)


def test_one_seed_one_sound(model):
    _, given = sounds()
    one, same, other = (
        generate(model, 90, seed=seed, **given) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).mean() > 0.3
    # Sounds of a batch draw for themselves.
    twice = {name: np.repeat(v[:1], 2, axis=0) for name, v in given.items()}
    both = generate(model, 90, **twice)
    assert (both[0] != both[1]).mean() > 0.3


def test_first_codes_are_read_and_gone_on_from(model):
    _, given = sounds()
    whole = generate(model, 100, temperature=0, **given)
    # Both ends of a chunk of 20.
    for primed in (40, 47):
        after = generate(
            model, 100, temperature=0, prime=whole[:, :primed], **given
        )
        np.testing.assert_array_equal(after, whole)
    changed = (whole[:, :47] + 90) % 256
    after = generate(model, 100, temperature=0, prime=changed, **given)
    np.testing.assert_array_equal(after[:, :47], changed)
    assert (after[:, 47:] != whole[:, 47:]).any()


def test_what_does_not_fit_is_said(model):
    _, given = sounds()
    frames = given["conditioning"]
    cases = [
        ({"conditioning": frames}, "has an input 'instrument'"),
        ({**given, "conditioning": frames[:, :, :4]}, r"\(batch, frames, 5\)"),
        ({**given, "conditioning": frames[:, :2]}, "need 5 frames of 20"),
        ({**given, "instrument": [1]}, "as many sounds"),
        ({**given, "instrument": 1}, r"Put it into a list: instrument="),
        ({**given, "prime": np.zeros((2, 3))}, "must be integers"),
        ({**given, "temperature": -1.0}, "temperature of 0 or more"),
        ({**given, "batch": 3}, "as many sounds"),
    ]
    for arguments, message in cases:
        with pytest.raises(InputError, match=message):
            generate(model, 100, **arguments)
    plain = keras.Sequential([keras.Input((4, 1)), keras.layers.Dense(3)])
    with pytest.raises(InputError, match="is no WaveNet"):
        generate(plain, 10)
