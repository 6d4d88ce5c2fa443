"""Exact binomial tests, in whole numbers, at a false-alarm rate stated for a whole run."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from .comparison import Check, Mismatch

#: How often a run of a correct subject may fail by chance, in all its statistical tests together.
FALSE_ALARMS_PER_RUN = Fraction(1, 10**9)

#: More tests than a run makes, each given an equal part of that rate; tests/ counts them.
TESTS_PER_RUN = 10**6

ALPHA = FALSE_ALARMS_PER_RUN / TESTS_PER_RUN


def _fewest(n: int, q: Fraction) -> int:
    """The least x with P(X ≤ x) ≥ α/2 for X ~ Binomial(n, q).

    P(X = k) = C(n, k) aᵏ bⁿ⁻ᵏ / (a+b)ⁿ with q = a/(a+b), so all is a sum of whole numbers.
    """
    a, b = q.numerator, q.denominator - q.numerator
    if b == 0:
        return n
    threshold = -(-ALPHA.numerator * (a + b) ** n // (2 * ALPHA.denominator))
    term = total = b**n
    x = 0
    while total < threshold:
        term = term * (n - x) * a // ((x + 1) * b)
        x += 1
        total += term
    return x


@lru_cache(maxsize=4096)
def accepted(n: int, q: Fraction) -> tuple[int, int]:
    """The fewest and the most successes in n trials of probability q that are no cause to doubt q.

    A count x outside has P(X ≤ x) < α/2 or P(X ≥ x) < α/2: that is, q lies outside the
    Clopper–Pearson interval of x at confidence 1 − α (Clopper & Pearson, Biometrika 26, 1934).
    """
    return _fewest(n, q), n - _fewest(n, 1 - q)


def check_rate(check: Check, name: str, successes: int, n: int, q: Fraction) -> None:
    """Require that a count of n independent trials is no cause to doubt their probability q."""
    low, high = accepted(n, q)
    check.comparisons += 1
    check.elements += n
    if not low <= successes <= high:
        raise Mismatch(
            f"{name}: {successes} of {n}, expected {low} to {high} for the probability {q} "
            f"(exact binomial test, false alarms one in {1 / ALPHA})"
        )
