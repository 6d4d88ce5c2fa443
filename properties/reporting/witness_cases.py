"""Further cases of a diagnosis: a named fault must explain the results of each."""

from __future__ import annotations

from ..cases.case import Case
from ..precisions import SHORT

#: The number of further cases.  Each has other weights, inputs and states.
WITNESSES = 6
#: The most steps of a witness that is as long as the failing case.
_LONGEST = 65


def witnesses(case: Case) -> list[Case]:
    """Cases with the options of the failing one, in which sizes, gates and states all differ."""
    # Sorted by length, the rows come in an order whose inverse is another one.
    lengths = None if case.lengths is None else (2, 4, 3)
    options = case.but(
        input_size=3,
        hidden_size=5,
        proj_size=min(case.proj_size, 4),
        batch=None if case.batch is None else 3,
        time=1 if case.cell else 4,
        lengths=lengths,
        enforce_sorted=False,
        weights="spread",
        inputs="spread",
        states="spread",
        layout="contiguous",
    )
    drawn = [options.but(seed=seed) for seed in range(WITNESSES)]
    if options.form == "dense" and not case.cell:
        # With batch = time, a subject that exchanges the two axes raises no error.
        drawn[::2] = [c.but(batch=c.time) for c in drawn[::2]]
    return drawn


def gradient_witnesses(case: Case) -> list[Case]:
    """The failing case and its witnesses, as the gradients of a subject are looked at.

    In 16 bits they have one step, since the bound of a gradient grows with the steps.  Every
    second witness passes a state; one has as many steps as the failing case.
    """
    found = [case, *witnesses(case)]
    found[2::2] = [c.but(with_state=True) for c in found[2::2]]
    if case.precision in SHORT:
        return [c.but(time=1, lengths=None) for c in found]
    if 4 < case.time <= _LONGEST and case.lengths is None:
        found[1] = found[1].but(time=case.time, batch=None if case.batch is None else 2)
    return found
