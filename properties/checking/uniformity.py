"""A test that a sample is uniform, at the false-alarm rate that is stated for a whole run."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from ..cases.arrays import as_array
from .binomial import ALPHA
from .comparison import Check, Mismatch


def furthest(n: int) -> float:
    """ε such that P(sup|Fₙ − F| > ε) ≤ α for n independent draws from any distribution F.

    This is the Dvoretzky–Kiefer–Wolfowitz inequality P ≤ 2·exp(−2nε²) with Massart's constant.
    It is proved for every n and ε, not only for n → ∞ (Massart, Annals of Probability 18, 1990).
    """
    return math.sqrt(math.log(2 / float(ALPHA)) / (2 * n))


def check_uniform(check: Check, name: str, sample: Tensor, edge: float, grain: float) -> None:
    """Require that the test accepts a sample as independent draws from U(−edge, edge).

    A generator in floating point can return only some of the real numbers.  `grain` is the largest
    distance of a real number from these, as a fraction of 2·edge.  So the distribution function of
    the generator differs from that of U(−edge, edge) by at most `grain`.
    """
    x = np.sort(as_array(sample).ravel())
    n = x.size
    uniform = np.clip((x + edge) / (2 * edge), 0.0, 1.0)
    steps = np.arange(n + 1) / n
    distance = float(max(np.max(steps[1:] - uniform), np.max(uniform - steps[:-1])))
    allowed = furthest(n) + grain
    check.comparisons += 1
    check.elements += n
    if not distance <= allowed:
        raise Mismatch(
            f"{name}: sup|Fₙ − F| = {distance:.3g} from U(−{edge:.6g}, {edge:.6g}) in {n} draws, "
            f"expected at most {allowed:.3g} (Dvoretzky–Kiefer–Wolfowitz, one false alarm in "
            f"{1 / ALPHA} tests)"
        )
    check.worst = max(check.worst, distance / allowed)
