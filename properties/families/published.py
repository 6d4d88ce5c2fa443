"""Published: what the papers say of their cells, beside the equations of docs/kinds.md."""

from __future__ import annotations

import numpy as np

from gatewise.reference.ball import exact
from gatewise.reference.classes import only

from ..cases.case import Case
from ..cases.values import seeded
from ..checking.comparison import Check, agree
from ..checking.oracle import expected
from ..subjects.protocol import Subject
from .property import Family

FAMILY = Family("published")


@FAMILY.claims(
    "The output of an sLSTM does not depend on the stabiliser: c and n over e, with m + 1, stand "
    "for the same state.",
    "h'(c/e, n/e, m + 1) = h'(c, n, m)",
    of=only("SLSTM", "SLSTMCell"),
    forms=("dense", "unbatched"),
    with_state=True,
    layout="contiguous",
)
def slstm_output_ignores_the_stabiliser(subject: Subject, case: Case, check: Check) -> None:
    module, p = subject.build(case), case.rounding
    h, c, n, drawn = case.state_arrays
    m = seeded(case.seed, 14).randint(-8, 9, size=drawn.shape) / 4.0
    # Each quotient is rounded once, which the balls cover.
    balls = [exact(a, p) * np.exp(-1.0) for a in (c, n)]
    moved = [p.storage.round(ball.v) for ball in balls]
    got = subject.run(case, module, state=(h, c, n, m))
    other = subject.run(case, module, state=(h, *moved, m + 1.0))
    want, again = (expected(case, state=s) for s in ((h, c, n, m), (h, *balls, m + 1.0)))
    for name in {"output", case.final_names[0]} & want.keys():
        agree(check, name, got[name], other[name], want[name], again[name])
