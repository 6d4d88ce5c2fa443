"""Floating-point formats, and the precisions (mixtures of formats) that implementations state.

Constants are those of IEEE 754-2019 (binary16, 32, 64), of bfloat16 (the upper half of binary32)
and of NVIDIA's TensorFloat-32 (binary32's range with 11 significand bits).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Format:
    """A binary floating-point format with round to nearest.

    `significand` counts the implicit bit; `min_exponent` is that of the smallest normal number.
    """

    name: str
    significand: int
    min_exponent: int
    max_exponent: int

    @property
    def u(self) -> float:
        """Unit roundoff: the largest relative error of one rounding in the normal range."""
        return 2.0**-self.significand

    @property
    def eta(self) -> float:
        """Underflow unit: the smallest normal number, since a library may flush subnormals."""
        return 2.0**self.min_exponent

    @property
    def largest(self) -> float:
        """The largest finite number."""
        return 2.0**self.max_exponent * (2.0 - 2.0 ** (1 - self.significand))

    @property
    def tiniest(self) -> float:
        """The smallest positive subnormal number."""
        return 2.0 ** (self.min_exponent - self.significand + 1)

    def round(self, x: npt.ArrayLike) -> Array:
        """Round float64 values to this format (nearest, ties to even), returned as float64.

        Values past the largest number become infinite, as IEEE 754 has it.
        """
        x = np.asarray(x, dtype=np.float64)
        if self is FLOAT64:
            return x
        own = _NUMPY.get(self)
        if own is not None:
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                return np.asarray(x.astype(own).astype(np.float64))
        # The weight of the last place: frexp's exponent less the number of significand bits.
        exponent = np.frexp(x)[1] - 1
        last = np.maximum(exponent, self.min_exponent) - (self.significand - 1)
        with np.errstate(over="ignore", invalid="ignore"):
            rounded = np.ldexp(np.rint(np.ldexp(x, -last)), last)
            rounded = np.where(np.abs(rounded) > self.largest, np.copysign(np.inf, x), rounded)
        return np.where(np.isfinite(x), rounded, x)


FLOAT64 = Format("float64", 53, -1022, 1023)
FLOAT32 = Format("float32", 24, -126, 127)
FLOAT16 = Format("float16", 11, -14, 15)
BFLOAT16 = Format("bfloat16", 8, -126, 127)
TFLOAT32 = Format("tfloat32", 11, -126, 127)

#: Format → NumPy's type of it, whose conversion rounds as `Format.round` and is ten times faster.
_NUMPY = {FLOAT32: np.float32, FLOAT16: np.float16}


#: Every charge is multiplied by this, as float64 may lose so much in a million operations on radii.
SLACK = 1.0 + 2.0**-20


#: Every charge for underflow is multiplied by this.  Later factors of at most 1 multiply the
#: underflow, and rounding may make them slightly larger than 1.
UNDERFLOW_SLACK = 1.0 + 2.0**-4


class Charge(NamedTuple):
    """Bound on the error of a sum of magnitude m: m·scale·rate + floor, in arrays of shape ().

    `scale` makes m·scale larger than float64's largest number where m(1+rate) is larger than the
    storage format's.  There m·scale is infinite, and so is its product with `rate`.  The field
    `rate` is divided by `scale` already.
    """

    scale: Array
    rate: Array
    floor: Array


class Library(NamedTuple):
    """Bounds on the error of σ and tanh in a library, in arrays of shape ().

    `rate` is relative to tanh.  `least_sigmoid` and `least_tanh` hold at any value; `half_u` is
    added to the error of σ by tanh.  `eta` is the underflow.  `moved` multiplies the radius that
    the argument gives, since the error is that at the subject's value.
    """

    rate: Array
    least_sigmoid: Array
    half_u: Array
    least_tanh: Array
    eta: Array
    moved: Array


@dataclass(frozen=True)
class Precision:
    """The formats in which an implementation states that it computes.

    `storage` is the format of every tensor that it may keep between operations.  `products` is
    that of the factors of a matrix product.  `accumulation` is that of its sums and of the
    activation functions.  `ulps` is the largest error of tanh, in units in the last place of
    `accumulation`.  The default of 4 is the largest that the libraries behind torch state: 4 in
    MKL VML's LA mode, 2 in CUDA's, 1 in SLEEF's.  `exp_ulps` is that of exp: 2.52 in NumPy's
    float32 loops, 2 in CUDA's (the CUDA C++ Programming Guide's table), 1 in SLEEF's.
    With `relative`, the error of σ and tanh is `ulps` relative to their values, however small they
    are.  Otherwise it covers every form in which σ and tanh are written (`activations`).

    cuBLAS and cuDNN sum in any order and in parts (split-K), which γₙ covers.  A tensor core adds k
    products and the accumulator at once: it aligns them to the largest, cuts off what is below its
    last place, and cuts the sum to the format (Fasi, Higham, Mikaitis and Pranesh 2021, Numerical
    behavior of NVIDIA tensor cores, PeerJ Computer Science 7:e330; k is 4 in Volta, 8 in Ampere).
    A cut loses up to 2u of the largest, which is at most Σ|ab|: so k products cost at most
    (k + 2)·2u·Σ|ab|, at most 3u each for k ≥ 4 (`u_sums`).  Their factors have at most 11 bits.
    """

    name: str
    storage: Format
    products: Format
    accumulation: Format
    ulps: float = 4.0
    exp_ulps: float = 2.52
    relative: bool = False

    @cached_property
    def with_relative_tails(self) -> Precision:
        """The same precision, with σ and tanh that are accurate relative to their values."""
        return replace(self, relative=True)

    @property
    def u(self) -> float:
        """Charge for one rounding to `storage`, with the rounding of the float64 reference."""
        return self.storage.u + FLOAT64.u

    @property
    def stores(self) -> int:
        """Roundings on the way from accumulation to storage: none where they are one format."""
        return int(self.storage is not self.accumulation)

    @property
    def u_accumulation(self) -> float:
        """Charge for one rounding to `accumulation`, with the rounding of the float64 reference."""
        return self.accumulation.u + FLOAT64.u

    @property
    def u_sums(self) -> float:
        """Charge for one product in a sum: thrice a rounding where tensor cores may take it."""
        narrow = self.products.significand < self.accumulation.significand
        return self.u_accumulation * (3.0 if narrow else 1.0)

    @property
    def u_products(self) -> float:
        """Relative charge for rounding both factors of a product before the multiplication."""
        if self.products.significand >= self.storage.significand:
            return 0.0  # the factors are exact in their storage already
        return 2 * self.products.u + self.products.u**2

    @cached_property
    def library(self) -> Library:
        """The error of σ and tanh (see `activations`)."""
        u, e = self.u_accumulation, 2.0 * self.exp_ulps
        least_sigmoid = u * (e / 4.0 + 5.0 / 4.0 + 1.0 / (16.0 * e))
        least_tanh = u * (e / 2.0 + 3.0 / 2.0 + 1.0 / (2.0 * (e - 1.0)))
        parts = (2.0 * self.ulps * u, least_sigmoid, u / 2.0, least_tanh, self.accumulation.eta)
        rate, sigmoid, half, tanh, eta = (np.asarray(SLACK * part) for part in parts)
        return Library(rate, sigmoid, half, tanh, eta, np.asarray(1.0 + parts[0]))

    @cached_property
    def slope(self) -> tuple[Array, Array, Array]:
        """Error of computing σ′ or tanh′: rate of the slope, rate of the square, absolute floor.

        The first rate covers three roundings and the library's error of two activations.  The
        second is relative to the square of the activation, and covers its rounding.
        """
        rate = 3.0 * self.u + 4.0 * self.ulps * self.u_accumulation
        least = 2.0 * UNDERFLOW_SLACK * self.storage.eta
        parts = (SLACK * rate, SLACK * self.u, least)
        return np.asarray(parts[0]), np.asarray(parts[1]), np.asarray(parts[2])

    @cached_property
    def cache(self) -> dict[Any, Any]:
        """Cached constants by name.  To hash a precision, as a global cache must, takes 1 µs."""
        return {}

    def charge(self, products: int, roundings: int, underflows: int = 0) -> Charge:
        """The charge for `products` summed in accumulation and `roundings` to storage.

        Each product and each rounding may underflow once; `underflows` is the number beyond that.
        """
        found: Charge | None = self.cache.get((products, roundings, underflows))
        if found is None:
            rate = gamma(roundings, self.u) + gamma(products, self.u_sums)
            floor = (roundings + underflows) * self.storage.eta + products * self.accumulation.eta
            most = self.storage.largest / (1.0 + rate) if rate < np.inf else 1.0
            scale = FLOAT64.largest / most * (1.0 + 2.0**-50) if most != FLOAT64.largest else 1.0
            parts = (scale, SLACK * rate / scale, UNDERFLOW_SLACK * floor)
            found = self.cache[products, roundings, underflows] = Charge(
                *(np.asarray(a) for a in parts)
            )
        return found


PRECISIONS: dict[str, Precision] = {
    p.name: p
    for p in (
        Precision("float64", FLOAT64, FLOAT64, FLOAT64),
        Precision("float32", FLOAT32, FLOAT32, FLOAT32),
        Precision("float16", FLOAT16, FLOAT16, FLOAT32),
        Precision("bfloat16", BFLOAT16, BFLOAT16, FLOAT32),
        Precision("tf32", FLOAT32, TFLOAT32, FLOAT32),
        Precision("float16_accumulate", FLOAT16, FLOAT16, FLOAT16),
    )
}


def gamma(n: float, u: float) -> float:
    """γₙ = nu/(1−nu), the relative error of n roundings (Higham, ASNA 2nd ed., lemma 3.1).

    Infinite where nu >= 1, because the lemma does not apply there.
    """
    nu = n * u
    return nu / (1.0 - nu) if nu < 1.0 else float("inf")
