"""Exact binomial tests in integers, at a false-alarm rate that is stated for a whole run."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from .comparison import Check, Mismatch

#: The probability that a run of a correct subject fails by chance, for all its tests together.
FALSE_ALARMS_PER_RUN = Fraction(1, 10**9)

#: A run makes at most this many statistical tests (tests/ counts them).  Each test gets an equal
#: part of the rate.
TESTS_PER_RUN = 10**6

ALPHA = FALSE_ALARMS_PER_RUN / TESTS_PER_RUN


def _fewest(n: int, q: Fraction) -> int:
    """The least x with P(X ≤ x) ≥ α/2 for X ~ Binomial(n, q).

    With q = a/(a+b), P(X = k) = C(n, k) aᵏ bⁿ⁻ᵏ / (a+b)ⁿ.  So (a+b)ⁿ P(X ≤ x) is an integer.
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
    """The smallest and the largest number of successes in n trials that the test accepts for q.

    A count x outside has P(X ≤ x) < α/2 or P(X ≥ x) < α/2.  This means that q is outside the
    Clopper–Pearson interval of x at confidence 1 − α (Clopper & Pearson, Biometrika 26, 1934).
    """
    return _fewest(n, q), n - _fewest(n, 1 - q)


def check_rate(check: Check, name: str, successes: int, n: int, q: Fraction) -> None:
    """Require that the test accepts the number of successes in n independent trials for q."""
    low, high = accepted(n, q)
    check.comparisons += 1
    check.elements += n
    if not low <= successes <= high:
        raise Mismatch(
            f"{name}: {successes} of {n}, expected {low} to {high} for the probability {q} "
            f"(exact binomial test, one false alarm in {1 / ALPHA} tests)"
        )
