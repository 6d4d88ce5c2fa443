"""The levels of claims: which question a property answers about a subject.

A level is one of `LEVELS`.  What is not right at `values` computes something else.  What departs at
`contract` computes what torch.nn computes and does not behave as torch.nn documents.  A remark at
`hardening` is about what a module could get away with: torch.nn documents none of it.
"""

from __future__ import annotations

VALUES, CONTRACT, HARDENING = "values", "contract", "hardening"

#: Level → the question that it answers, the strictest question last.
LEVELS: dict[str, str] = {
    VALUES: "Are results, states, gradients, packing, dropout and special values right?",
    CONTRACT: "Does it behave as torch.nn documents: shapes, names, dtypes, modes, memory?",
    HARDENING: "Does it refuse what it could get away with: wrong shapes, missing weights?",
}

#: Level → the word where all of it holds.
KEPT = {VALUES: "right", CONTRACT: "kept", HARDENING: "nothing to remark"}

#: Level → the noun for one that does not hold there.
NOUNS = {VALUES: "fault", CONTRACT: "departure", HARDENING: "remark"}


def counts(level: str, limit: str) -> bool:
    """Whether what does not hold at a level decides the exit status up to a limit."""
    order = list(LEVELS)
    return order.index(level) <= order.index(limit)
