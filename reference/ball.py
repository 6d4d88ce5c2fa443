"""Midpoint–radius arithmetic: a value, and how far rounding may move a correct implementation.

A `Ball` holds v, the float64 value of a formula, and a radius such that whatever a correct
implementation in precision P holds at this place lies within that radius of v.  The rules are the
standard model fl(a op b) = (a op b)(1+δ) + ε with |δ| ≤ u, |ε| ≤ η (Higham, *Accuracy and
Stability of Numerical Algorithms*, 2nd ed., ch. 2–3), applied to the implementation and to the
reference itself: u stands for u_P + u_float64 throughout, so `|subject − v| ≤ radius` is sound
without any second look at v's own error.

Sums are order-free.  An implementation may add x W_ihᵀ, b_ih, h W_hhᵀ and b_hh in any order, in
one fused product or in four, in the accumulator or in storage.  A Ball that is a sum therefore
keeps, unrounded, the magnitude m = Σ(|term| + its radius), the number of products summed, the
number of additions and the roundings each term had on its way.  Only when a product or a function
consumes the sum is it charged γ_products(u_accumulation)·m + γ_(additions+roundings)(u)·m: every
term passes at most that many roundings in every order of summation (Higham, §4.2), and every
partial sum is at most m.  Underflow costs η for each rounding, but a sum of zeros is zero: where
m is 0 nothing is charged.

A radius is itself a float64 sum of products of positive numbers, so it has a small relative error
and nothing cancels.  Every charge is therefore taken larger by `formats.SLACK`, once, which is
more than all the operations that later carry it on can lose.

A radius that is not finite (∞ or NaN) says nothing: beyond the format's largest number a correct
implementation may hold anything.
"""

from __future__ import annotations

from . import ball_cells, ball_recurrence, ball_rules
from .ball_core import Ball, exact

__all__ = ["Ball", "ball_cells", "ball_recurrence", "ball_rules", "exact"]
