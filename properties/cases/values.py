"""Values of arrays by regime, such as zeros or normal: drawn from a seed and exact in a format.

A whole array needs one draw of a seed and one of a regime.  `REGIMES` lists the simplest regime
first.  Hypothesis shrinks a failing case towards simpler regimes, so the case ends with the
simplest values that still fail.  NumPy's `RandomState` is used because NumPy never changes its
streams: a repr that is pasted years later gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from gatewise.reference.formats import Array, Format

Regime = Callable[[np.random.RandomState, tuple[int, ...], Format], Array]

#: A pre-activation that puts a gate at its limit: e⁻¹⁰²⁴ is below half of the smallest subnormal in
#: every format, so σ(−1024) and 1 − σ(1024) round to 0.
SATURATED = 1024.0


def _normal(scale: float) -> Regime:
    return lambda rng, shape, fmt: np.asarray(scale * rng.standard_normal(shape))


_SIGNS = np.array([-1.0, 1.0])


def signs(rng: np.random.RandomState, shape: tuple[int, ...]) -> Array:
    """The numbers of `rng.choice((-1.0, 1.0), shape)`, in less time."""
    return _SIGNS[rng.randint(2, size=shape)]


def _spread(rng: np.random.RandomState, shape: tuple[int, ...], fmt: Format) -> Array:
    """Either sign, magnitude from 1/4 to 2: no entry is so small that its error goes unnoticed."""
    return np.asarray(rng.uniform(0.25, 2, shape) * signs(rng, shape))


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
    return np.asarray(fmt.largest * rng.uniform(0.5, 1, shape) * signs(rng, shape))


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


class _NoEntropy(np.random.bit_generator.ISeedSequence):
    """Zeros as the first seed of a generator: faster than to read entropy from the system."""

    #: A list, because NumPy reads it item by item, and an item of an array takes ten times as long.
    _ZEROS = [0] * 624

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        return self._ZEROS[:n_words]


def seeded(*key: int) -> np.random.RandomState:
    """The same generator as `RandomState(key)`, made in less time."""
    source: Any = _NoEntropy()  # NumPy's type stubs accept only NumPy's own classes
    generator = np.random.RandomState(np.random.MT19937(source))
    generator.seed(key)
    return generator


def values(rng: np.random.RandomState, regime: str, shape: tuple[int, ...], fmt: Format) -> Array:
    """An array of `shape` in the named regime, rounded to `fmt`; float64."""
    return fmt.round(REGIMES[regime](rng, shape, fmt))


Triple = tuple[str, str, str]

_ORDER = tuple(REGIMES)
_EDGE = ("zeros", "ones", "one_hot", "saturating", "subnormal", "huge")
_PLAIN = ("dyadic", "spread", "normal", "small", "large", "mixed")


def _simplest_first(triples: list[Triple]) -> st.SearchStrategy[Triple]:
    """Draw the regimes of weights, inputs and states in one draw, which shrinks to simpler regimes.

    This draw is the first of a case.  Hypothesis tries many first draws with the simplest values
    for all later draws, and a case with zeros everywhere cannot detect a fault.
    """
    return st.sampled_from(sorted(triples, key=lambda t: sum(map(_ORDER.index, t))))


def every_triple() -> list[Triple]:
    """The triples of regimes to draw from; in most of them a wrong weight changes the results.

    Zeros, ones and one-hot values may be in all three places.  Apart from that, at most one place
    has an edge regime.  There are at most 256 triples, because Hypothesis draws only ranges up to
    this size uniformly.
    """
    triples = [(r, r, r) for r in ("zeros", "ones", "one_hot")]
    for regime in _EDGE:
        # Weights near the largest number overflow every product: nothing could be compared.
        triples += [(regime, "spread", "spread")] if regime != "huge" else []
        triples += [("spread", regime, "spread"), ("spread", "spread", regime)]
    for regime in _PLAIN:
        triples += [(regime, "spread", "spread"), (regime, "normal", "dyadic")]
        triples += [("spread", regime, "spread"), ("normal", regime, "normal")]
        triples += [("spread", "spread", regime), ("normal", "normal", regime)]
        triples += [("spread", regime, regime)]
    return triples + [("spread", "spread", "spread")] * 140 + [("normal", "normal", "normal")] * 54


#: Regimes of weights, inputs and states.
ANY = _simplest_first(every_triple())

#: Ordinary values, for claims whose bounds would be infinite for large values.
ORDINARY = _simplest_first(
    [(w, x, s) for w in _PLAIN[:4] for x in _PLAIN[:4] for s in _PLAIN[:4]]
    + [(r, r, r) for r in ("zeros", "ones")]
)

#: Inputs and states whose sums are exact in every format.
SUMMABLE = _simplest_first(
    [(w, x, x) for w in _PLAIN for x in ("zeros", "ones", "one_hot", "dyadic") for _ in range(4)]
)

#: No value is zero or near zero, so a NaN or an infinity reaches every result that reads it.
NONZERO = _simplest_first([("ones",) * 3] + [("spread",) * 3] * 7)
