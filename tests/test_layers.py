"""Law 12: every layer's backward pass against central differences in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npticket.layers import BatchNorm, Chain, Conv2D, Dense, Embedding, Flatten, LayerNorm, ReLU, SelfAttention
from npticket.params import Params
from npticket.streams import Place, TrainingStep, stream
from npticket.testing import check_gradient, strategies


@st.composite
def layers_with_input(draw):
    trials, batch, inputs = (draw(st.integers(1, 4)) for _ in range(3))
    seed = draw(strategies.seeds)
    layer, shape = draw(
        st.sampled_from(
            [
                (Dense(inputs, draw(st.integers(1, 4))), (inputs,)),
                (ReLU(), (inputs,)),
                (Flatten(), (inputs, 2, 3)),
                (Chain(flatten=Flatten(), fc1=Dense(2 * inputs, 3), relu=ReLU(), out=Dense(3, 2)), (inputs, 2)),
                (Chain(block=Chain(fc=Dense(inputs, 2), relu=ReLU()), out=Dense(2, 2)), (inputs,)),
            ]
        )
    )
    return layer, np.random.default_rng(seed).normal(size=(trials, batch, *shape)), seed


@given(layers_with_input())
def test_backward_is_the_gradient_of_forward(case):
    check_gradient(*case, tolerance=1e-7)


class WrongDense(Dense):
    """A dense layer whose dx is 1 % too large."""

    def forward(self, p, x, step=None):
        y, backward = super().forward(p, x, step)
        return y, lambda dy, grad, need_dx=True: 1.01 * backward(dy, grad, need_dx)


def test_the_gradient_check_notices_one_per_cent():
    x = np.random.default_rng(0).normal(size=(1, 4, 3))
    check_gradient(Dense(3, 2), x, tolerance=1e-7)
    with pytest.raises(AssertionError, match=r"backward is the gradient of forward.* x, trial 0"):
        check_gradient(WrongDense(3, 2), x, tolerance=1e-4)


@given(strategies.thetas(), strategies.seeds)
def test_whole_net_gradient_for_parameters_only_equals_the_full_one(case, seed):
    net, theta = case
    rng = np.random.default_rng(seed)
    x, dy = rng.normal(size=(theta.trials, 4, 2, 3)), rng.normal(size=(theta.trials, 4, 3))
    with_dx, without = (theta.like(np.full_like(theta.flat, np.nan)) for _ in range(2))
    assert net.forward(theta, x)[1](dy, with_dx.tree).shape == x.shape
    assert net.forward(theta, x)[1](dy, without.tree, need_dx=False) is None
    assert (with_dx.flat == without.flat).all()


def test_a_backward_pass_cannot_be_used_twice():
    chain = Chain(fc=Dense(2, 2), relu=ReLU())
    theta = Params.empty(chain.layout, 1, np.float64)
    theta.flat[...] = 1
    for need_dx in (True, False):
        y, backward = chain.forward(theta.tree, np.ones((1, 3, 2)))
        backward(y, theta.copy().tree, need_dx)
        with pytest.raises(RuntimeError, match="call forward again"):
            backward(y, theta.copy().tree, need_dx)


def test_first_layer_is_not_asked_for_dx():
    asked = []

    class Spy(Dense):
        def forward(self, p, x, step=None):
            y, backward = super().forward(p, x, step)

            def spy(dy, grad, need_dx=True):
                asked.append(need_dx)
                return backward(dy, grad, need_dx)

            return y, spy

    chain = Chain(flatten=Flatten(), fc1=Spy(4, 3), relu=ReLU(), fc2=Spy(3, 2))
    theta = Params.empty(chain.layout, 1, np.float64)
    theta.flat[...] = 1
    y, backward = chain.forward(theta.tree, np.ones((1, 5, 2, 2)))
    backward(y, theta.copy().tree, need_dx=False)
    assert asked == [True, False]  # fc2 first, then fc1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dense_keeps_the_precision_it_is_given(dtype):
    p = {"W": np.ones((1, 3, 2), dtype), "b": np.ones((1, 1, 2), dtype)}
    y, backward = Dense(3, 2).forward(p, np.ones((1, 4, 3), dtype))
    assert y.dtype == dtype
    assert backward(y, {"W": p["W"].copy(), "b": p["b"].copy()}).dtype == dtype


def test_glorot_draws_have_the_stated_variance():
    values = Dense(784, 300).init(stream(0, 0, "init"))
    # Var = 2 / (784 + 300) = 0.001845, std 0.0430; the sample of 235,200 is within 1 % of it.
    assert values["W"].std() == pytest.approx(0.0430, rel=0.01)
    assert not values["b"].any()


@pytest.mark.parametrize(
    ("layer", "sizes"),
    [
        (Dense, (2, 3)),
        (Conv2D, (2, 3)),
        (BatchNorm, (2,)),
        (LayerNorm, (2,)),
        (Embedding, (2, 3)),
        (SelfAttention, (4, 2)),
    ],
)
def test_sizes_may_be_of_any_kind_of_integer(layer, sizes):
    """A layout is what files write down and are known by. NumPy's integers print otherwise than Python's."""
    assert repr(layer(*map(np.int64, sizes)).layout) == repr(layer(*sizes).layout)
    with pytest.raises(TypeError, match="integer"):
        layer(*map(float, sizes))


@pytest.mark.parametrize("shape", [(2, 1, 3), (1, 1, 1, 1, 3)])
def test_batch_normalisation_needs_two_numbers_of_a_channel(shape):
    layer = BatchNorm(3)
    p = {name: value[None] for name, value in layer.init(None).items()}
    layer.forward(p, np.ones(shape))
    with pytest.raises(ValueError, match="at least two numbers of each channel: take a larger minibatch"):
        layer.forward(p, np.ones(shape), TrainingStep(Place(), 0))


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="at least one input"):
        Dense(0, 3)
    with pytest.raises(ValueError, match="at least one layer"):
        Chain()
