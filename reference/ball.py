"""Ball arithmetic (midpoint and radius): each number is a value with a bound on rounding errors.

A `Ball` holds v, the float64 value of a formula, and a radius.  Every correct implementation that
computes the formula in precision P gets a result within that radius of v.  The rules follow the
standard model fl(a op b) = (a op b)(1+δ) + ε with |δ| ≤ u, |ε| ≤ η (Higham, *Accuracy and
Stability of Numerical Algorithms*, 2nd ed., ch. 2–3).  The model is applied to the implementation
and to the reference itself: u stands for u_P + u_float64 throughout.  So `|subject − v| ≤ radius`
is sound, and the error of v needs no separate bound.

To charge an operation for its rounding means to add the bound of its rounding error to the radius.

Sums are order-free.  An implementation may add x W_ihᵀ, b_ih, h W_hhᵀ and b_hh in any order, in
one fused product or in four, in the accumulator or in storage.  So a Ball that is a sum is not
charged at once.  It keeps the magnitude m = Σ(|term| + its radius), the number of products in the
sum, the number of additions, and the number of roundings that each term has passed before.  When
a product or a function uses the sum, the sum is charged
γ_products(u_accumulation)·m + γ_(additions+roundings)(u)·m.  This is sound: in every order of
summation each term passes at most that many roundings (Higham, §4.2), and every partial sum is at
most m.  Underflow costs η for each rounding.  But a sum of zeros is zero: where m is 0 nothing is
charged.

A radius is itself computed in float64, as a sum of products of positive numbers.  Nothing cancels,
so its relative error is small.  Every charge is multiplied by `formats.SLACK` once, when it is
made.  This covers more than all later operations on the radius can lose.

A radius that is not finite (∞ or NaN) is no bound: beyond the format's largest number a correct
implementation may hold anything.
"""

from __future__ import annotations

from . import (
    ball_cells,
    ball_decisions,
    ball_elementwise,
    ball_functions,
    ball_matmul,
    ball_norms,
    ball_recurrence,
    ball_rules,
)
from .ball_core import Ball, exact

__all__ = [
    "Ball",
    "ball_cells",
    "ball_decisions",
    "ball_elementwise",
    "ball_functions",
    "ball_matmul",
    "ball_norms",
    "ball_recurrence",
    "ball_rules",
    "exact",
]
