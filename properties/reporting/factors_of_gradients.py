"""Faults that are read from wrong gradients: a factor, an order of gates, a limit.

A factor k is the range of all k for which each element lies within k times its ball.  So a range
that holds in every pass names a fault within a derived bound, as a table of faults does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np

from gatewise.reference.ball import Ball
from gatewise.reference.formats import Array
from gatewise.reference.kinds import KINDS
from gatewise.reference.options import own_name

from ..cases.case import Case
from .backward_legs import (
    Back,
    GradientFault,
    Leg,
    Pass,
    by_leg,
    by_upstream,
    cut_to,
    dropped,
    in_parts,
    outside,
    times,
)


@dataclass(frozen=True)
class Seen:
    """One backward pass: its arguments, and the gradients that the subject gave."""

    given: Pass
    got: dict[str, Array]
    want: dict[str, Ball]

    def wrong(self) -> list[str]:
        """The names of the gradients that are outside of their balls."""
        return [n for n, g in self.got.items() if outside(g, self.want[n]).any()]


Range = tuple[float, float]
_EVERY: Range = (-np.inf, np.inf)


def factor(got: Array, ball: Ball) -> Range:
    """The range of all k for which `got` lies within k times the ball; empty if low > high."""
    v, r = np.abs(ball.v), ball.radius
    tells = np.isfinite(r) & (v > r)
    nothing = np.isfinite(r) & (v + r == 0)
    if not np.isfinite(got[tells]).all() or got[nothing].any():
        return np.inf, -np.inf
    if not tells.any():
        return _EVERY
    a, v, r = (got * np.sign(ball.v))[tells], v[tells], r[tells]
    slack = 4.0 * ball.precision.u  # k is rounded, and so is the product with it
    near, far = np.abs(a) * (1.0 - slack) / (v + r), np.abs(a) * (1.0 + slack) / (v - r)
    low, high = np.where(a >= 0, near, -far), np.where(a >= 0, far, -near)
    return float(low.max()), float(high.min())


def _both(ranges: Iterable[Range]) -> Range:
    lows, highs = zip(_EVERY, *ranges, strict=True)
    return max(lows), min(highs)


def number(low: float, high: float) -> str:
    """The shortest decimal number in a range."""
    middle = low + (high - low) / 2
    texts = (f"{middle:.{digits}g}" for digits in range(1, 17))
    found = next((t for t in texts if low <= float(t) <= high), repr(middle))
    return f"{float(found):g}" if float(f"{float(found):g}") == float(found) else found


def named_factors(seen: Sequence[Seen]) -> list[str]:
    """A factor that all wrong gradients have in common, in words."""
    wrong = sorted({n for s in seen for n in s.wrong()})
    ranges = [(s, factor(s.got[n], s.want[n])) for s in seen for n in wrong if n in s.got]
    who = group(wrong, sorted({n for s in seen for n in s.got}))
    low, high = _both(found for _, found in ranges)
    if low <= high and np.isfinite([low, high]).all():
        how = "dropped" if low <= 0 <= high else f"multiplied by {number(low, high)}"
        return [f"{who} {how}"]
    found = []
    for title, size in _SIZES.items():
        if all(low <= 1.0 / size(s.given.case) <= high for s, (low, high) in ranges):
            found.append(f"{who} divided by the {title}")
    return found


def _batch(case: Case) -> int:
    return case.batch or 1


_SIZES: dict[str, Callable[[Case], int]] = {
    "batch size": _batch,
    "number of steps": lambda case: case.time,
    "batch size and the number of steps": lambda case: case.time * _batch(case),
    "hidden size": lambda case: case.hidden_size,
}

_LEAF = re.compile(r"^(?P<base>.*?)(?P<layer>_l\d+)?(?P<reverse>_reverse)?$")


def group(names: Sequence[str], every: Sequence[str]) -> str:
    """Words for some of the gradients, `every` being all that there are."""
    if len(names) == len(every) > 1:
        return "every gradient"
    found: dict[str, list[str]] = {}
    for base in dict.fromkeys(_base(n) for n in names):
        own = [n for n in every if _base(n) == base]
        mine = [n for n in own if n in names]
        found.setdefault(_which(mine, own), []).append(base)
    parts = [" and ".join(bases) + where for where, bases in found.items()]
    return f"the gradient of {' and '.join(parts)}"


def _base(name: str) -> str:
    match = _LEAF.match(name)
    return match["base"] if match else name


def _which(mine: list[str], own: list[str]) -> str:
    if mine == own:
        return ""
    for words, of in (
        (" of the layers above the first", [n for n in own if "_l0" not in n]),
        (" of the reverse direction", [n for n in own if n.endswith("_reverse")]),
        (" of the forward direction", [n for n in own if not n.endswith("_reverse")]),
        (" of the first layer", [n for n in own if "_l0" in n]),
        (" of the last layer", [n for n in own if _LEAF.sub(r"\g<layer>", n) == _last(own)]),
    ):
        if mine == of:
            return words
    return f" ({', '.join(mine)})"


def _last(own: list[str]) -> str:
    return max(_LEAF.sub(r"\g<layer>", n) for n in own)


def gates_of(kind: str, name: str) -> tuple[str, ...]:
    """The letters of the blocks of H rows that a weight has; none where it has one or others."""
    row, gates = KINDS[kind], KINDS[kind].gates
    if row.declared is not None:
        shape = row.shapes.get(own_name(name))
        blocks = 1 if shape is None else shape.blocks()
    else:
        blocks = len(gates) if name.startswith(("weight_ih", "weight_hh", "bias")) else 1
    return gates if blocks == len(gates) > 1 else ()


def named_orders(seen: Sequence[Seen], kind: str) -> list[str]:
    """An order of the gates, or another weight, that explains the wrong gradients, in words."""
    wrong = sorted({n for s in seen for n in s.wrong()})
    gates, who = KINDS[kind].gates, group(wrong, sorted({n for s in seen for n in s.got}))
    found = []
    gated = [n for n in wrong if gates_of(kind, n)]
    if gated == wrong:
        for order in permutations(range(len(gates))):
            blocks = [s.want[n].v.shape[0] // len(gates) for s in seen for n in wrong if n in s.got]
            if order == tuple(range(len(gates))) or not blocks:
                continue
            if all(_fits(s, n, s.want[n], order) for s in seen for n in wrong if n in s.got):
                read, own = (" ".join(gates[k] for k in o) for o in (order, sorted(order)))
                found.append(f"{who} with its gates in the order {read}, and not {own}")
    for this, that in (("bias_ih", "bias_hh"), ("bias_hh", "bias_ih")):
        named = all(n.startswith(this) for n in wrong)
        if named and all(
            not outside(s.got[n], s.want[n.replace(this, that)]).any()
            for s in seen
            for n in wrong
            if n in s.got and n.replace(this, that) in s.want
        ):
            found.append(f"{who} taken from {that}")
    return found


def _fits(seen: Seen, name: str, ball: Ball, order: tuple[int, ...]) -> bool:
    rows = np.split(np.arange(ball.shape[0]), len(order))
    return not outside(seen.got[name], ball[np.concatenate([rows[k] for k in order])]).any()


def limits(seen: Sequence[Seen]) -> Iterator[GradientFault]:
    """Faults with a number that the wrong gradients themselves show."""
    first = next((s for s in seen if s.wrong()), None)
    if first is None:
        return
    for s in seen:
        if s.wrong() and "h_0" in s.got and s.got["h_0"].size:
            limit = float(np.abs(s.got["h_0"]).max())
            name = f"the gradient of h_t cut to ±{limit:g} at every step"
            yield by_leg(name, in_parts(1, cut_to(limit), at_start=True))
            break
    longest = max(s.given.case.time for s in seen)
    for steps in (n for n in _CUTS if n < longest):
        leg = in_parts(steps, dropped(0, 1), at_start=False)
        name = f"the gradient cut after every {steps} steps" if steps > 1 else _DETACHED
        yield by_leg(name, leg, partial(_longer, steps))
        yield by_leg(
            f"{name} in the forward direction",
            partial(_forwards, leg),
            partial(_longer, steps, both=True),
        )


#: Numbers of steps after which a gradient may be cut: each small one, and round ones.
_CUTS = (*range(1, 34), 40, 48, 50, 64, 80, 96, 100, 127, 128, 150, 199, 200, 255, 256, 500, 512)


def _longer(steps: int, case: Case, both: bool = False) -> bool:
    return case.time > steps and (case.bidirectional or not both)


def _forwards(leg: Leg, back: Back) -> Any:
    return leg(back) if back.index % 2 == 0 else back.finish(back.adjoints())


_DETACHED = "the gradient cut after every step"


def factors_of_results(alone: Sequence[Seen]) -> list[GradientFault]:
    """A factor of the upstream gradient of one result, from passes with one result each."""
    found = []
    for name in dict.fromkeys(n for s in alone for n in s.given.upstream):
        own = [s for s in alone if list(s.given.upstream) == [name]]
        low, high = _both(factor(g, s.want[n]) for s in own for n, g in s.got.items())
        known = low <= 0 <= high or low <= 1 <= high  # dropped, or right
        if low <= high and np.isfinite([low, high]).all() and not known:
            text = number(low, high)
            title = f"the gradient of {name} multiplied by {text}"
            found.append(by_upstream(title, partial(times, name, float(text))))
    return found


def named_norm(alone: Sequence[Seen]) -> list[str]:
    """A limit to which the norm of the upstream gradient is cut, from passes with one result."""
    ranges = []
    for s in alone:
        (u,) = s.given.upstream.values()
        u = u.v if isinstance(u, Ball) else u
        norm = float(np.linalg.norm(u))
        low, high = _both(factor(g, s.want[n]) for n, g in s.got.items())
        if s.wrong():
            slack = norm * 2.0 * np.size(u) * s.given.case.rounding.u  # a norm is a rounded sum
            ranges.append((low * norm - slack, high * norm + slack))
    low, high = _both(ranges)
    if len(ranges) < 2 or not 0 < low <= high < np.inf:
        return []
    return [f"the norm of an upstream gradient cut to {number(low, high)}"]
