"""Claims as a tutorial states them, where no property of the catalogue says the same.

`reporting.article` checks subjects against them and refutes them.  The catalogue does not have
them, so no other run checks them.
"""

from __future__ import annotations

from itertools import permutations, product

import numpy as np

from gatewise.reference.classes import only
from gatewise.reference.formats import Array

from ...cases.arrays import as_array
from ...cases.case import Case
from ...checking.comparison import Check, Mismatch, agree
from ...checking.oracle import expected
from ...precisions import FLOAT32
from ...subjects.protocol import Subject
from ..parameters import lstm_is_four_rnns
from ..property import Family
from .counts import states_have_one_shape
from .networks import CONCAT_GRUS, inverted, original_gru, stacked, torch_case, torch_cell

FAMILY = Family("as_stated")


@FAMILY.claims(
    "An LSTM has four times the parameters of an RNN with the same options, whatever they are.",
    "#LSTM = 4 · #RNN, for every proj_size as well",
    of=only("LSTM"),
    precisions=FLOAT32,
    least={"hidden": 2},
)
def lstm_is_four_rnns_whatever_its_options(subject: Subject, case: Case, check: Check) -> None:
    lstm_is_four_rnns(subject, case, check)


@FAMILY.claims(
    "The hidden and the cell state of an LSTM have one shape, whatever its options.",
    "shape(h_n) = shape(c_n), for every proj_size as well",
    of=only("LSTM"),
    precisions=FLOAT32,
    least={"hidden": 2},
)
def states_have_one_shape_whatever_the_options(subject: Subject, case: Case, check: Check) -> None:
    states_have_one_shape(subject, case, check)


@FAMILY.claims(
    "The GRU is the original one, with the gates as its comments name them: z resets, r updates.",
    "h' = (1−r)∘h + r∘n, n = tanh(W_n [x, z∘h] + b_n)",
    of=only("SharedGRUCell"),
)
def gru_is_the_original_by_its_labels(subject: Subject, case: Case, check: Check) -> None:
    H = case.hidden_size
    order = np.r_[H : 2 * H, 0:H, 2 * H : 3 * H]
    w = {name: v[order] for name, v in stacked(case).items()}
    labelled = original_gru(case, w, update_keeps=False)
    agree(check, "h", subject.run(case)["h"], labelled.v, expected(case)["h"], labelled)


def relabellings(case: Case) -> list[dict[str, Array]]:
    """Weights of torch.nn.GRUCell, for every assignment of the cell's layers to its gates.

    Any layer may be r, z or n; r and z may be inverted; the bias may be b_ih or b_hh, which
    differ for n alone.  Equal weights, such as those of a shared layer, count once.
    """
    H, w = case.hidden_size, stacked(case)
    found: dict[bytes, dict[str, Array]] = {}
    for order in permutations(range(3)):
        rows = np.concatenate([np.arange(k * H, (k + 1) * H) for k in order])
        permuted = {name: v[rows] for name, v in w.items()}
        for r, z, hidden_bias in product((False, True), repeat=3):
            changed = inverted(case, permuted, 0) if r else permuted
            changed = inverted(case, changed, 1) if z else changed
            if hidden_bias:
                ih, hh = changed["bias_ih"], changed["bias_hh"]
                changed = {**changed, "bias_ih": hh, "bias_hh": ih}
            found.setdefault(b"".join(v.tobytes() for v in changed.values()), changed)
    return list(found.values())


@FAMILY.claims(
    "The GRU is torch.nn.GRUCell under some relabelling of the gates.",
    "h' = torch.nn.GRUCell with r, z, n permuted, r and z inverted or not, b in b_ih or in b_hh",
    of=CONCAT_GRUS,
    inputs="zeros",
)
def gru_is_torchs_relabelled(subject: Subject, case: Case, check: Check) -> None:
    """One case on which every relabelling differs refutes all of them at once; x = 0 is enough."""
    got, own = subject.run(case)["h"], expected(case)["h"]
    peer_case = torch_case(case)
    peer, module = torch_cell(case, subject.device), None
    nearest, of_nearest, relabelled = np.inf, "", relabellings(case)
    for w in relabelled:
        module = peer.build(peer_case, w)
        other, ball = peer.run(peer_case, module)["h"], expected(peer_case, weights=w)["h"]
        try:
            return agree(check, "h", got, other, own, ball)
        except Mismatch as mismatch:
            distance = float(np.max(np.abs(as_array(got) - as_array(other))))
            if distance < nearest:
                nearest, of_nearest = distance, str(mismatch)
    raise Mismatch(f"none of {len(relabelled)} relabellings agrees; the nearest: {of_nearest}")
