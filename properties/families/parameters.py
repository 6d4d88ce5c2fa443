"""Parameters: exact names, shapes and counts, and the range of their initial values."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from gatewise.reference.classes import GRUS, LSTMS, NAMED, TORCH, only
from gatewise.reference.formats import PRECISIONS
from gatewise.reference.parameters import count, projection_departure, weight_shapes

from ..cases.arrays import as_array
from ..cases.case import Case
from ..checking.comparison import Check
from ..checking.oracle import compare_all, expected
from ..levels import CONTRACT
from ..precisions import FLOAT32, dtype_of
from ..subjects.builtin import torchs
from ..subjects.capabilities import options_in_order, takes_by_position
from ..subjects.protocol import Subject, Unsupported, called, load
from .property import Family

FAMILY = Family("parameters", CONTRACT)

#: What these claims need, since a subject behind an adapter holds its parameters in another form.
NAMES = ("torch_names",)


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def torch_rnn(case: Case) -> nn.Module:
    """torch.nn's RNN of the same options, on the meta device, where it costs no memory."""
    if case.cell:
        return nn.RNNCell(case.input_size, case.hidden_size, case.bias, device="meta")
    return nn.RNN(
        case.input_size,
        case.hidden_size,
        case.num_layers,
        bias=case.bias,
        bidirectional=case.bidirectional,
        device="meta",
    )


@FAMILY.claims(
    "Every weight has torch.nn's name, shape and place in the order.",
    "names and shapes of reference.parameters.weight_shapes",
    precisions=FLOAT32,
    needs=NAMES,
)
def names_and_shapes(subject: Subject, case: Case, check: Check) -> None:
    own = {n: tuple(p.shape) for n, p in subject.construct(case).named_parameters()}
    check.same("parameters", list(own.items()), list(weight_shapes(case.options).items()))


@FAMILY.claims(
    "A class takes its options by position in torch.nn's order.",
    "F(I, H, L, b, …)(x) = F(I, H, num_layers=L, bias=b, …)(x)",
    of=TORCH,
    precisions=FLOAT32,
    needs=NAMES,
    share=0.25,
)
def options_may_be_given_by_position(subject: Subject, case: Case, check: Check) -> None:
    order = options_in_order(subject.like)
    left = [subject.unsupported[name] for name in order if name in subject.unsupported]
    if left or not isinstance(subject.factory, type):
        raise Unsupported(left[0] if left else "it is no class")
    if not takes_by_position(subject.factory, 2 + len(order)):
        raise Unsupported("its constructor takes options by name alone")
    values = [getattr(case, name) for name in order]
    module = called(subject.factory, case.input_size, case.hidden_size, *values)
    module = module.to(device=subject.torch_device, dtype=dtype_of(case.precision))
    load(module, case.weight_arrays)
    module.train(case.training)
    compare_all(check, subject.run(case, module), expected(case), "with options by position, ")


@FAMILY.claims(
    "The number of parameters is exact for every option.",
    "Σ over weights of the product of its shape",
    precisions=FLOAT32,
    needs=NAMES,
)
def count_is_exact(subject: Subject, case: Case, check: Check) -> None:
    check.same("the number of parameters", _count(subject.construct(case)), count(case.options))


@FAMILY.claims(
    "An LSTM has four times the parameters of an RNN with the same options.",
    "#LSTM = 4 · #RNN, for every size, layers, bias and direction",
    of=LSTMS,
    precisions=FLOAT32,
    proj_size=0,
    needs=NAMES,
)
def lstm_is_four_rnns(subject: Subject, case: Case, check: Check) -> None:
    rnn = _count(torch_rnn(case))
    check.same("the number of parameters", _count(subject.construct(case)), 4 * rnn)


@FAMILY.claims(
    "A GRU has three times the parameters of an RNN with the same options.",
    "#GRU = 3 · #RNN, for every size, layers, bias and direction",
    of=GRUS,
    precisions=FLOAT32,
    needs=NAMES,
)
def gru_is_three_rnns(subject: Subject, case: Case, check: Check) -> None:
    rnn = _count(torch_rnn(case))
    check.same("the number of parameters", _count(subject.construct(case)), 3 * rnn)


@FAMILY.claims(
    "With a projection, the number of an LSTM's parameters differs from that of four RNNs by an "
    "exact number.",
    "#LSTM − 4·#RNN = LD(PH − 4H(H−P)) − (L−1)·4HD²(H−P)",
    of=only("LSTM"),
    precisions=FLOAT32,
    least={"hidden": 2},
    proj_size=1,
    needs=NAMES,
)
def projection_departs_exactly(subject: Subject, case: Case, check: Check) -> None:
    case = case.but(proj_size=1 + case.seed % (case.hidden_size - 1))
    departure = _count(subject.construct(case)) - 4 * _count(torch_rnn(case))
    check.same("#LSTM − 4·#RNN", departure, projection_departure(case.options))


@FAMILY.claims(
    "Initial weights lie between −1/√H and 1/√H for a hidden size of H, and are not all equal.",
    "w ~ U(−1/√H, 1/√H)",
    of=NAMED,
    precisions=FLOAT32,
    needs=NAMES,
)
def initial_within_inverse_root_hidden(subject: Subject, case: Case, check: Check) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(case.seed)
        first = dict(subject.construct(case).named_parameters())
        second = dict(subject.construct(case).named_parameters())
    u = PRECISIONS["float32"].storage.u
    edge = 1.0 / np.sqrt(case.hidden_size)
    for name, p in first.items():
        # 1/√H, the span 2/√H and the affine map of the draw are each rounded once.
        limit = np.full(tuple(p.shape), edge)
        check.between(name, p, -limit, limit, 3 * u * limit)
        if p.numel() > 8:
            check.same(f"{name} drawn twice is equal", torch.equal(p, second[name]), False)
            check.same(f"{name} is constant", bool((p == p.flatten()[0]).all()), False)


@FAMILY.claims(
    "The state_dict loads strictly into torch.nn's module and back, bit for bit.",
    "load(state_dict(m)) = m",
    of=TORCH,
    precisions=FLOAT32,
    share=0.5,
    needs=NAMES,
)
def state_dict_round_trips(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    peer = torchs(subject.like)
    other = peer.construct(case).to(subject.torch_device)
    check.same("load_state_dict", str(other.load_state_dict(module.state_dict())), _ALL_MATCHED)
    back = subject.construct(case)
    check.same("load_state_dict", str(back.load_state_dict(other.state_dict())), _ALL_MATCHED)
    for (name, p), (_, q) in zip(module.named_parameters(), back.named_parameters(), strict=True):
        check.same(f"{name} comes back", torch.equal(p, q), True)


_ALL_MATCHED = "<All keys matched successfully>"


@FAMILY.claims(
    "Where a module has reset_parameters, a further call of it draws new weights, and the module "
    "computes with them.",
    "f.reset_parameters(); θ = weights(f) ⇒ f(x) = F(x; θ), the same θ from the same seed",
    precisions=FLOAT32,
    share=0.2,
    needs=NAMES,
)
def reset_weights_are_used(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    reset = getattr(module, "reset_parameters", None)
    if reset is None:
        raise Unsupported("the module has no reset_parameters")
    compare_all(check, subject.run(case, module), expected(case), "before the reset: ")
    drawn = []
    for turn in ("first", "second"):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(case.seed)
            reset()
        drawn.append({n: as_array(p) for n, p in module.named_parameters()})
        want = expected(case, weights=drawn[-1])
        compare_all(check, subject.run(case, module), want, f"after the {turn} reset: ")
    for name, values in drawn[0].items():
        check.same(f"the values of {name} from one seed", drawn[1][name].tolist(), values.tolist())
