"""The parts of the convolutional engine: transforms against their matrices, layouts, pools, teams."""

import gc
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npticket.engine.conv import layout, winograd
from npticket.engine.conv.layout import Halves, Pooling, Scratch
from npticket.engine.conv.tail import HalvedDense
from npticket.engine.conv.winograd import FromDomain, ToDomain
from npticket.engine.conv.winograd_maps import blocked_product
from npticket.engine.optimizers import Pieces
from npticket.engine.threads import Team
from npticket.layers import Dense, MaxPool
from npticket.testing.strategies import optimizers, seeds, thetas
from npticket.tickets import rewind


@given(st.lists(st.floats(-9, 9), min_size=6, max_size=6), st.lists(st.floats(-9, 9), min_size=3, max_size=3))
def test_six_products_make_four_outputs_of_three_taps(d, w):
    y = winograd.AT @ ((winograd.G @ w) * (winograd.BT @ d))
    np.testing.assert_allclose(y, [np.dot(d[k : k + 3], w) for k in range(4)], atol=1e-11)


@given(st.integers(1, 3), st.integers(1, 4), st.sampled_from([1, 2, 6]), seeds)
def test_tiles_go_to_the_domain_and_back_as_the_matrices_say(across, slot, together, seed):
    rng, width, scratch = np.random.default_rng(seed), 4 * across, Scratch(np.dtype(float))
    frame = np.zeros((6, width + 2, slot))
    frame[:, 1:-1] = rng.normal(size=(6, width, slot))

    def there(matrix, rows):
        way, domain = ToDomain(matrix, across, slot, scratch, "there"), np.empty((6, 6, across, slot))
        way.begin(rows)
        for i in range(0, 6, together):
            way.write(slice(i, i + together), domain[i : i + together])
        return domain

    def back(matrix, domain):
        way, rows = FromDomain(matrix, across, slot, scratch, "back"), np.empty((4, width, slot))
        for i in range(0, 6, together):
            way.read(slice(i, i + together), domain[i : i + together])
        way.end(rows)
        return rows

    def two_dimensional(matrix, tile):
        return np.einsum("ik,jl,kls->ijs", matrix, matrix, tile)

    overlapping, apart = there(winograd.BT, frame[:, 1:-1]), there(winograd.AT.T, frame[1:5, 1:-1])
    domain = rng.normal(size=(6, 6, across, slot))
    outputs, inner = back(winograd.AT, domain), back(winograd.BT.T[1:5], domain)
    for t in range(across):
        columns, close = slice(4 * t, 4 * t + 4), {"atol": 1e-11}
        tile, inside = frame[:, 4 * t : 4 * t + 6], frame[1:5, 1:-1][:, columns]
        np.testing.assert_allclose(overlapping[:, :, t], two_dimensional(winograd.BT, tile), **close)
        np.testing.assert_allclose(apart[:, :, t], two_dimensional(winograd.AT.T, inside), **close)
        np.testing.assert_allclose(outputs[:, columns], two_dimensional(winograd.AT, domain[:, :, t]), **close)
        whole = two_dimensional(winograd.BT.T, domain[:, :, t])
        np.testing.assert_allclose(inner[:, columns], whole[1:5, 1:5], **close)


def halves_of(count):
    """Two halves of so many images."""
    return Halves(2 * count, [Scratch(np.dtype(float))] * 2, Team())


def blank(size, count, channels):
    """A map of the first half of a batch."""
    return halves_of(count).maps((size, size), channels)[0]


@given(st.sampled_from([2, 4, 8, 12]), st.integers(1, 3), st.integers(1, 3), seeds)
def test_maps_hold_images(size, count, channels, seed):
    x = np.random.default_rng(seed).normal(size=(count, size, size, channels))
    a = blank(size, count, channels)
    layout.as_images(a, count)[...] = x
    for n, h, w, c in np.ndindex(x.shape):
        assert a[h + 1, w, n * channels + c] == x[n, h, w, c]
    assert not a[[0, -1]].any()


@given(st.sampled_from([4, 8, 16]), st.integers(1, 2), seeds)
def test_pooling_is_the_layer_ties_included(size, count, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(-1, 2, (count, size, size, 2)).astype(float)  # most squares have several largest pixels
    a = blank(size, count, 2)
    pooled, dpooled = (blank(size // 2, count, 2) for _ in range(2))
    da = np.full_like(a, np.nan)

    layout.as_images(a, count)[...] = x
    pooling = Pooling((size // 2, size // 2), 2, halves_of(count))
    pooling.pool(0, slice(1, 1 + size // 2), a[1:-1], pooled[1:-1], training=True)
    y, backward = MaxPool(2).forward({}, x[None])
    np.testing.assert_array_equal(layout.as_images(pooled, count), y[0])
    dy = rng.normal(size=y.shape)
    layout.as_images(dpooled, count)[...] = dy[0]
    pooling.gradient(0, slice(1, 1 + size // 2), dpooled[1:-1], da[1:-1])
    np.testing.assert_array_equal(layout.as_images(da, count), backward(dy, {})[0])


@given(st.integers(1, 300), st.integers(1, 200), st.sampled_from([7, 32, 64, 128, 192]))
def test_products_in_blocks_are_products(rows, inner, columns):
    rng = np.random.default_rng(0)
    a, b, out = rng.normal(size=(2, rows, inner)), rng.normal(size=(2, inner, columns)), np.empty((2, rows, columns))
    blocked_product(a, b, out)()
    np.testing.assert_allclose(out, a @ b, rtol=1e-9, atol=1e-9)


@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), seeds, st.sampled_from([1, 2]))
def test_a_halved_dense_layer_is_the_layer(batch, inputs, outputs, seed, threads):
    rng, layer = np.random.default_rng(seed), Dense(inputs, outputs)
    p = {"W": rng.normal(size=(1, inputs, outputs)), "b": rng.normal(size=(1, 1, outputs))}
    x, dy = rng.normal(size=(1, batch, inputs)), rng.normal(size=(1, batch, outputs))
    results = []
    for either in (layer, HalvedDense(layer, Team(threads))):
        y, backward = either.forward(p, x)
        grad = {name: np.full_like(value, np.nan) for name, value in p.items()}
        results.append((y, backward(dy, grad), grad["W"], grad["b"]))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_scratch_memory_is_shared_and_as_large_as_the_largest():
    scratch = Scratch(np.dtype(np.float32))
    alone = scratch.array("a", (2, 2)), scratch.array("a", (3, 4))
    assert not np.shares_memory(*alone)
    first, second = scratch.array("a", (2, 5)), scratch.array("a", (12,))
    assert np.shares_memory(first, second)
    assert not np.shares_memory(first, scratch.array("b", (2, 5)))
    assert scratch.array("a", (13,)).dtype == np.float32


@given(thetas(), optimizers, seeds, st.sampled_from([1, 2]), st.sampled_from([3, 7, 1000]))
def test_pieces_are_the_optimizer_bit_for_bit(case, optimizer, seed, threads, size):
    _, theta0 = case
    theta0, rng = theta0.trial(0), np.random.default_rng(seed)
    masks = theta0.like(rng.random(theta0.flat.shape) < 0.5)
    ours, theirs, grads = rewind(theta0, masks), rewind(theta0, masks), theta0.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("npticket.engine.optimizers.PIECE", size)
        pieces, whole = Pieces(optimizer, masks, np.float64, Team(threads)), optimizer(masks)
    for gradients in rng.normal(size=(3, *theta0.flat.shape)):
        grads.flat[...] = gradients
        pieces.step(ours, grads)
        whole.step(theirs, theta0.like(gradients.copy()))
    assert ours.flat.tobytes() == theirs.flat.tobytes()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_team_does_every_part_and_tells_of_errors(threads):
    team, done = Team(threads), [0, 0]

    def part(i):
        done[i] += 1

    team.each(part)
    team.each(part, parts=1)
    assert done == [2, 1]
    for bad in (0, 1):

        def fails(i):
            if i == bad:
                raise KeyError(i)

        with pytest.raises(KeyError, match=str(bad)):
            team.each(fails)
    team.each(part)  # as if nothing had been
    assert done == [3, 2]


def test_both_threads_work_at_once_and_end_with_the_team():
    before, barrier = set(threading.enumerate()), threading.Barrier(2, timeout=10)
    team = Team(2)
    team.each(lambda part: barrier.wait())  # would never return one after the other
    (thread,) = set(threading.enumerate()) - before
    assert thread.daemon
    del team
    gc.collect()
    thread.join(timeout=10)
    assert not thread.is_alive()
    with pytest.raises(ValueError, match="1 or 2 threads, got 3"):
        Team(3)
