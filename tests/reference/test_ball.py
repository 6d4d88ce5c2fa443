"""Ball arithmetic is sound: simulated correct implementations of every form stay in the ball."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gatewise.reference.activations import blend, relu, sigmoid
from gatewise.reference.ball import Ball, exact
from gatewise.reference.formats import PRECISIONS, Array, Precision

SIMULATED = ("float32", "float16", "bfloat16", "float16_accumulate")
N, M, K = 40, 24, 17


class Machine:
    """Computes as a precision states: round after each operation, sums in any order."""

    def __init__(self, p: Precision, seed: int) -> None:
        self.p, self.rng = p, np.random.RandomState(seed)
        self.store, self.accumulate = p.storage.round, p.accumulation.round

    def draw(self, *shape: int, scale: float = 1.0) -> Array:
        return self.store(scale * self.rng.standard_normal(shape))

    def total(self, terms: list[Array], order: str) -> Array:
        """Σ terms in the accumulation format, in the named order."""
        terms = [terms[k] for k in self.rng.permutation(len(terms))]
        if order == "serial":
            result = terms[0]
            for t in terms[1:]:
                result = self.accumulate(result + t)
            return result
        while len(terms) > 1:
            pairs = [self.accumulate(a + b) for a, b in zip(terms[::2], terms[1::2], strict=False)]
            terms = pairs + ([terms[-1]] if len(terms) % 2 else [])
        return terms[0]

    def matmul(self, a: Array, b: Array, order: str, fused: bool) -> Array:
        """a @ b, each product rounded unless fused, not yet stored."""
        products = [a[:, k : k + 1] * b[k] for k in range(a.shape[1])]
        return self.total(products if fused else [self.accumulate(t) for t in products], order)


ORDERS = [(order, fused) for order in ("serial", "pairwise") for fused in (False, True)]


def ratio(ball: Ball, got: Array) -> float:
    """The largest error / radius; 0/0 is 0."""
    error = np.abs(got - ball.v)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.where(error == 0, 0, error / ball.radius).max())


@pytest.mark.parametrize("name", SIMULATED)
def test_affine_sums_in_every_order(name: str) -> None:
    worst = 0.0
    for seed, (order, fused) in enumerate(ORDERS * 3):
        m = Machine(PRECISIONS[name], seed)
        x, w, h, u = m.draw(N, K), m.draw(K, M), m.draw(N, M), m.draw(M, M)
        b1, b2 = m.draw(M), m.draw(M)
        p = m.p
        ball = (exact(x, p) @ w + b1) + (exact(h, p) @ u + b2)
        first, second = m.matmul(x, w, order, fused), m.matmul(h, u, order, fused)
        forms = [
            m.store(m.store(m.store(first) + b1) + m.store(m.store(second) + b2)),
            m.store(m.accumulate(m.accumulate(first + second) + m.accumulate(b1 + b2))),
            m.store(m.store(m.store(first) + m.store(second)) + m.store(b1 + b2)),
            m.store(m.matmul(np.hstack([x, h]), np.vstack([w, u]), order, fused) + (b1 + b2)),
        ]
        worst = max(worst, *(ratio(ball, got) for got in forms))
    assert 0.02 < worst <= 1


@pytest.mark.parametrize("name", SIMULATED)
def test_functions_and_products_of_inexact_arguments(name: str) -> None:
    worst = 0.0
    for seed in range(6):
        m = Machine(PRECISIONS[name], seed)
        a, b = m.draw(N, M, scale=3.0), m.draw(N, M)
        p = m.p
        s = exact(a, p) + b
        held = m.store(a + b)
        for f in (np.tanh, sigmoid, relu):
            worst = max(worst, ratio(f(s), m.store(m.accumulate(f(held)))))
        product = np.tanh(s) * sigmoid(exact(b, p))
        worst = max(
            worst,
            ratio(product, m.store(m.store(np.tanh(held)) * m.store(sigmoid(b)))),
            ratio(product, m.store(m.accumulate(np.tanh(held)) * m.accumulate(sigmoid(b)))),
        )
    assert 0.02 < worst <= 1


@pytest.mark.parametrize("name", SIMULATED)
def test_every_form_of_the_blend(name: str) -> None:
    worst = 0.0
    for seed in range(6):
        m = Machine(PRECISIONS[name], seed)
        a, h, n = m.draw(N, M, scale=4.0), m.draw(N, M, scale=30.0), m.draw(N, M)
        if seed % 2:
            h, n = n, h
        z, r = m.store(sigmoid(a)), m.store
        ball = blend(sigmoid(exact(a, m.p)), exact(h, m.p), exact(n, m.p))
        forms = [
            r(r(r(1 - z) * n) + r(z * h)),
            r(n + r(z * r(h - n))),
            r(h - r(r(1 - z) * r(h - n))),
            r((1 - z) * n + z * h),
        ]
        worst = max(worst, *(ratio(ball, got) for got in forms))
    assert 0.02 < worst <= 1


def test_a_chain_of_steps_stays_sound() -> None:
    for name in SIMULATED:
        m = Machine(PRECISIONS[name], 3)
        w, h = m.draw(M, M, scale=0.3), m.draw(N, M)
        ball, held = exact(h, m.p), h
        for _ in range(8):
            ball = np.tanh(ball @ w)
            held = m.store(np.tanh(m.store(m.matmul(held, w, "serial", False))))
            assert ratio(ball, held) <= 1


def test_tf32_products_are_charged() -> None:
    p = PRECISIONS["tf32"]
    m = Machine(p, 0)
    x, w = m.draw(N, K), m.draw(K, M)
    got = m.store(m.matmul(p.products.round(x), p.products.round(w), "serial", False))
    assert ratio(exact(x, p) @ w, got) <= 1
    assert ratio(exact(x, PRECISIONS["float32"]) @ w, got) > 1


def test_sums_and_shape_functions_carry_value_and_radius() -> None:
    p = PRECISIONS["float32"]
    m = Machine(p, 0)
    a = np.tanh(exact(m.draw(4, 6), p))
    b = np.tanh(exact(m.draw(4, 6), p))
    v, w, r, q = a.v, b.v, a.radius, b.radius
    mask = v > 0
    pairs: list[tuple[Ball, Array, Array]] = [
        (np.concatenate([a, b], axis=1), np.concatenate([v, w], 1), np.concatenate([r, q], 1)),
        (np.stack([a, b]), np.stack([v, w]), np.stack([r, q])),
        (np.where(mask, a, b), np.where(mask, v, w), np.where(mask, r, q)),
        (a[1:3, ::2], v[1:3, ::2], r[1:3, ::2]),
        (a.T, v.T, r.T),
        (np.swapaxes(a, 0, 1), v.T, r.T),
        (-a, -v, r),
        *zip(np.split(a, 2, axis=1), np.split(v, 2, 1), np.split(r, 2, 1), strict=True),
    ]
    for ball, value, radius in pairs:
        assert np.array_equal(ball.v, value)
        # Parts joined are charged as the one that was rounded most, so never less than alone.
        assert (ball.radius >= radius).all()
        assert (ball.radius <= 2 * radius + 4 * p.storage.eta).all()
    total = np.sum(a, axis=0)
    assert np.array_equal(total.v, v.sum(0))
    got = m.total([m.store(row) for row in v], "serial")
    assert ratio(total, got) <= 1


def test_what_is_exact_has_radius_zero_and_what_was_computed_has_not() -> None:
    p = PRECISIONS["float64"]
    x = exact(np.ones((2, 3)), p)
    assert not x.radius.any()
    assert not np.where(True, x, 0.0).radius.any()
    for computed in (x + x, x * x, x @ np.ones((3, 1)), np.tanh(x), np.sum(x, axis=0), 1.0 - x):
        assert (computed.radius > 0).all()
        assert (computed.settled().radius >= computed.radius).all()


@pytest.mark.parametrize(
    "operation",
    [
        np.exp2,
        np.cbrt,
        lambda b: np.arctan2(b, b),
        lambda b: np.exp(b, where=np.ones(3, dtype=bool)),
        lambda b: np.cumprod(b),
        lambda b: b**3,
        lambda b: np.add.reduce(b),
    ],
)
def test_an_operation_without_a_rule_raises(operation: Callable[[Ball], object]) -> None:
    with pytest.raises(TypeError):
        operation(exact(np.ones(3), PRECISIONS["float32"]))


def test_overflow_and_nan_leave_no_finite_radius() -> None:
    for name in SIMULATED:
        p = PRECISIONS[name]
        top = exact(np.array([p.storage.largest]), p)
        with np.errstate(all="ignore"):
            assert not np.isfinite((top + top).radius).any()
            assert not np.isfinite((top * 4.0).radius).any()
            unknown = exact(np.array([np.nan]), p)
            assert not np.isfinite(np.tanh(unknown + 1.0).v).any()


@pytest.mark.parametrize("precision", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("first", [True, False])
def test_a_product_may_take_subnormal_factors_as_zeros(precision: str, first: bool) -> None:
    """A CPU's product of bfloat16 does; times a scaled loss of 2¹² it is far above the floor."""
    p = PRECISIONS[precision]
    small = exact(np.full((2, 3), p.storage.eta / 2), p)
    large = exact(np.full((3, 4), 2.0**12), p)
    product = small @ large if first else large.T @ small.T
    assert (product.v > 0.0).all()
    assert (np.abs(0.0 - product.v) <= product.radius).all()
    # Nothing is added where no factor is subnormal.
    normal = exact(np.full((2, 3), p.storage.eta), p) @ large
    assert (normal.radius < normal.v).all()


@pytest.mark.parametrize("name", SIMULATED)
def test_a_constant_may_be_rounded_to_the_format_or_not(name: str) -> None:
    p = PRECISIONS[name]
    x = exact(np.ones(1), p)
    for value in (0.1, -1.0 / 3.0, 1e-6, 0.5, 3):
        ball = x * value
        for held in (value, p.storage.round(value)):
            assert np.abs(p.storage.round(held) - ball.v) <= ball.radius
    assert x.lift(0.5).exact
    assert not x.lift(0.1).exact
    assert np.isinf(exact(np.ones(1), PRECISIONS["float16"]).lift(1e6).radius)
