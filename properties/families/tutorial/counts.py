"""Counts: a tutorial's claims about the number of parameters, and about the states' shapes."""

from __future__ import annotations

from gatewise.reference.classes import LSTMS, only
from gatewise.reference.concat_cells import gate_count, gate_layers
from gatewise.reference.kinds import KINDS

from ...cases.case import Case
from ...checking.comparison import Check
from ...levels import CONTRACT
from ...precisions import FLOAT32
from ...subjects.protocol import Subject
from ..parameters import torch_rnn
from ..property import Family

FAMILY = Family("claims", CONTRACT)


def rnn_gate_count(case: Case) -> int:
    """Parameters of the one layer of an RNN on [x, h]: (I+H)·H + H."""
    return gate_count("SharedRNN", case.input_size, case.hidden_size)


def own_gate_count(subject: Subject, case: Case) -> int:
    """Parameters of a subject's layers on [x, h], its output layer left out."""
    layers = set(gate_layers(case.kind))
    own = subject.construct(case).named_parameters()
    return sum(p.numel() for name, p in own if name.partition(".")[0] in layers)


@FAMILY.claims(
    "One layer that all gates share has as many parameters as one RNN.",
    "#gates = 1 · #RNN = (I+H)·H + H",
    of=only("SharedRNNCell", "SharedLSTMCell", "SharedGRUCell", "IndependentRNNCell"),
    precisions=FLOAT32,
    share=0.5,
)
def shared_gates_are_one_rnn(subject: Subject, case: Case, check: Check) -> None:
    check.same("#gates", own_gate_count(subject, case), rnn_gate_count(case))


@FAMILY.claims(
    "The gates of an LSTM on [x, h] have four times the parameters of an RNN's.",
    "#gates = 4 · #RNN",
    of=only("IndependentLSTMCell"),
    precisions=FLOAT32,
    share=0.5,
)
def lstm_gates_are_four_rnns(subject: Subject, case: Case, check: Check) -> None:
    check.same("#gates", own_gate_count(subject, case), 4 * rnn_gate_count(case))


@FAMILY.claims(
    "The gates of a GRU on [x, h] have three times the parameters of an RNN's.",
    "#gates = 3 · #RNN",
    of=only("IndependentGRUCell"),
    precisions=FLOAT32,
    share=0.5,
)
def gru_gates_are_three_rnns(subject: Subject, case: Case, check: Check) -> None:
    check.same("#gates", own_gate_count(subject, case), 3 * rnn_gate_count(case))


@FAMILY.claims(
    "A kind with G gate blocks has G times the elements of an RNN in each weight and each bias.",
    "#W = 4 · #W of the RNN (LSTM), 3 · #W (GRU), and so #b, name by name",
    of=only("LSTM", "GRU", "LSTMCell", "GRUCell"),
    precisions=FLOAT32,
    share=0.5,
    proj_size=0,
)
def each_parameter_is_a_multiple_of_the_rnns(subject: Subject, case: Case, check: Check) -> None:
    own = {n: p.numel() for n, p in subject.construct(case).named_parameters()}
    gates = len(KINDS[case.kind].gates)
    rnn = {n: gates * p.numel() for n, p in torch_rnn(case).named_parameters()}
    check.same("the number of elements by name", own, rnn)


def _states(subject: Subject, case: Case) -> dict[str, tuple[int, ...]]:
    """Name → shape of each state that a call returns."""
    results = subject.run(case)
    return {name: tuple(t.shape) for name, t in results.items() if name != "output"}


@FAMILY.claims(
    "An LSTM returns a hidden and a cell state, an RNN and a GRU a hidden state alone.",
    "(h, c) of an LSTM, h of an RNN or a GRU",
    precisions=FLOAT32,
    share=0.5,
)
def number_of_states(subject: Subject, case: Case, check: Check) -> None:
    check.same("the states", list(_states(subject, case)), list(case.final_names))


def state_shape(case: Case) -> tuple[int, ...]:
    """(L·D, B, H) of a layer, (B, H) of a cell; without B when unbatched."""
    lead = () if case.cell else (case.num_layers * case.options.directions,)
    batch = () if case.batch is None else (case.batch,)
    return (*lead, *batch, case.hidden_size)


@FAMILY.claims(
    "The hidden and the cell state have one shape, whatever the layout of the input.",
    "shape(h_n) = shape(c_n) = (num_layers·num_directions, batch, hidden_size)",
    of=LSTMS,
    precisions=FLOAT32,
    share=0.5,
    proj_size=0,
)
def states_have_one_shape(subject: Subject, case: Case, check: Check) -> None:
    for name, shape in _states(subject, case).items():
        check.same(f"shape of {name}", shape, state_shape(case))


@FAMILY.claims(
    "A projection narrows the hidden state to proj_size and leaves the cell state as it is.",
    "shape(h_n) = (L·D, B, P), shape(c_n) = (L·D, B, H)",
    of=only("LSTM"),
    precisions=FLOAT32,
    share=0.5,
    least={"hidden": 2},
    proj_size=1,
)
def projection_narrows_the_hidden_state_alone(subject: Subject, case: Case, check: Check) -> None:
    case = case.but(proj_size=1 + case.seed % (case.hidden_size - 1))
    narrowed = (*state_shape(case)[:-1], case.proj_size)
    shapes = {"h_n": narrowed, "c_n": state_shape(case)}
    check.same("the shapes of the states", _states(subject, case), shapes)
