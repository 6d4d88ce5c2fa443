"""Values by regime, simplest first, drawn from a seed and exact in a format.

A whole array costs one draw of a seed and one of a regime.  The ladder is walked down when
Hypothesis shrinks: a failing case ends with the simplest values that still fail.  NumPy's
`RandomState` is used because its streams are frozen: a repr pasted years later gives the same
numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from reference.formats import Array, Format

Regime = Callable[[np.random.RandomState, tuple[int, ...], Format], Array]


def _normal(scale: float) -> Regime:
    return lambda rng, shape, fmt: np.asarray(scale * rng.standard_normal(shape))


def _spread(rng: np.random.RandomState, shape: tuple[int, ...], fmt: Format) -> Array:
    """Either sign, magnitude from 1/4 to 2: no entry is so small that an error in it hides."""
    return np.asarray(rng.uniform(0.25, 2, shape) * rng.choice((-1.0, 1.0), shape))


def _one_hot(rng: np.random.RandomState, shape: tuple[int, ...], fmt: Format) -> Array:
    x = np.zeros(shape)
    if x.size:
        rows = x.reshape(-1, shape[-1])
        rows[np.arange(len(rows)), rng.randint(shape[-1], size=len(rows))] = 1.0
    return x


def _dyadic(rng: np.random.RandomState, shape: tuple[int, ...], fmt: Format) -> Array:
    return rng.randint(-8, 9, size=shape) / 4.0


def _mixed(rng: np.random.RandomState, shape: tuple[int, ...], fmt: Format) -> Array:
    return np.asarray(rng.standard_normal(shape) * 10.0 ** rng.uniform(-4, 1, shape))


def _subnormal(rng: np.random.RandomState, shape: tuple[int, ...], fmt: Format) -> Array:
    return np.asarray(fmt.eta * rng.uniform(-1, 1, shape))


def _huge(rng: np.random.RandomState, shape: tuple[int, ...], fmt: Format) -> Array:
    return np.asarray(fmt.largest * rng.uniform(0.5, 1, shape) * rng.choice((-1.0, 1.0), shape))


REGIMES: dict[str, Regime] = {
    "zeros": lambda rng, shape, fmt: np.zeros(shape),
    "ones": lambda rng, shape, fmt: np.ones(shape),
    "one_hot": _one_hot,
    "dyadic": _dyadic,
    "spread": _spread,
    "normal": _normal(1.0),
    "small": _normal(0.1),
    "large": _normal(3.0),
    "saturating": _normal(30.0),
    "mixed": _mixed,
    "subnormal": _subnormal,
    "huge": _huge,
}


def values(rng: np.random.RandomState, regime: str, shape: tuple[int, ...], fmt: Format) -> Array:
    """An array of `shape` in the named regime, rounded to `fmt`; float64."""
    return fmt.round(REGIMES[regime](rng, shape, fmt))


def _ladder(common: str, copies: int, **shares: int) -> st.SearchStrategy[str]:
    """The regimes in order, each as often as its share, then `copies` of the common one.

    Hypothesis draws both ends of a range more often than its middle, and shrinks to the first.
    """
    rungs = [name for name in REGIMES for _ in range(shares.get(name, 0))]
    return st.sampled_from(rungs + [common] * copies)


#: Mostly regimes in which a wrong weight shows, every regime now and then.
ANY = _ladder(
    "spread", 60, zeros=1, ones=2, one_hot=1, dyadic=6, normal=24, small=3, large=4, saturating=1,
    mixed=3, subnormal=1, huge=1,
)  # fmt: skip

#: Weights at which gates run from linear to saturated: wide layers divide by √fan-in.
WEIGHTS = _ladder(
    "spread", 60, zeros=1, ones=1, one_hot=1, dyadic=4, normal=28, small=4, large=4, saturating=1,
    mixed=2, subnormal=1,
)  # fmt: skip

#: Finite and ordinary, for claims whose bound a large value would empty.
ORDINARY = _ladder("normal", 12, zeros=1, ones=1, dyadic=4, small=6)
