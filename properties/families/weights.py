"""Weights: updates, ties, parametrizations, freezing, and the distribution of initial weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, vector_to_parameters

from gatewise.reference.classes import ALL, NAMED
from gatewise.reference.formats import PRECISIONS, Array

from ..cases.case import Case
from ..cases.values import ORDINARY
from ..checking.comparison import Check, bits
from ..checking.derivatives import Recorded, compare_gradients, may_be_left_out, tensors
from ..checking.oracle import compare_all, expected, expected_gradients, upstream_arrays
from ..checking.uniformity import check_uniform
from ..levels import CONTRACT
from ..precisions import FLOAT32, dtype_of
from ..subjects.capabilities import torch_lacks
from ..subjects.protocol import Results, Subject, Unsupported
from .life_cycle import PLACES, chosen, other_weights, owner, placed
from .property import Family

FAMILY = Family("weights", CONTRACT, needs=("torch_names",), evaluates=True)

Arrays = dict[str, Array]


def _tensors(subject: Subject, case: Case, weights: Arrays) -> dict[str, Tensor]:
    dtype = dtype_of(case.precision)
    return {
        n: torch.from_numpy(w.copy()).to(subject.torch_device, dtype) for n, w in weights.items()
    }


def _replace(module: nn.Module, new: dict[str, Tensor]) -> None:
    for name, t in new.items():
        holder, leaf = owner(module, name)
        setattr(holder, leaf, nn.Parameter(t))


def _data(module: nn.Module, new: dict[str, Tensor]) -> None:
    for name, p in module.named_parameters():
        p.data = new[name]


def _data_in_place(module: nn.Module, new: dict[str, Tensor]) -> None:
    for name, p in module.named_parameters():
        p.data.copy_(new[name])


def _in_place(module: nn.Module, new: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, p in module.named_parameters():
            p.copy_(new[name])


def _vector(module: nn.Module, new: dict[str, Tensor]) -> None:
    parts = [new[name].flatten() for name, _ in module.named_parameters()]
    vector_to_parameters(torch.cat(parts), module.parameters())


#: How weights are changed, by the name in a message.
UPDATES: dict[str, Callable[[nn.Module, dict[str, Tensor]], None]] = {
    "in place": _in_place,
    "replaced": _replace,
    ".data in place": _data_in_place,
    ".data replaced": _data,
    "vector_to_parameters": _vector,
}


@FAMILY.claims(
    "The next call uses weights that were changed after a call, in place or by replacement.",
    "f(x; w′) after f(x; w)",
    of=ALL,
    share=0.15,
)
def weight_updates_are_seen(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    subject.run(case, module)
    for i, (how, update) in enumerate(UPDATES.items()):
        weights = case.but(seed=case.seed ^ (i + 1)).weight_arrays
        want = expected(case, weights=weights)
        update(module, _tensors(subject, case, weights))
        compare_all(check, subject.run(case, module), want, f"weights {how}: ")
    new = _tensors(subject, case, case.weight_arrays)
    results = _called_with(subject, case, module, new)
    compare_all(check, results, expected(case), "weights by functional_call: ")
    compare_all(check, subject.run(case, module), want, "after functional_call: ")


class Stateless(nn.Module):
    """A module called with other weights, or weights and buffers, than its own."""

    def __init__(self, module: nn.Module, *state: dict[str, Tensor]) -> None:
        super().__init__()
        self.module, self.state = module, state

    def forward(self, *args: Any) -> Any:
        return torch.func.functional_call(self.module, self.state, args)


def _called_with(
    subject: Subject, case: Case, module: nn.Module, weights: dict[str, Tensor]
) -> Results:
    with torch.no_grad():
        return subject.call(case, Stateless(module, weights), *subject.given(case))


@FAMILY.claims(
    "Two tied weights stay tied: in calls, after updates, in copies and in another dtype.",
    "w_b := w_a ⇒ f(x; w_a, w_a), for every later w_a",
    precisions=FLOAT32,
    share=0.2,
    bias=True,  # so that torch.nn's kinds have two weights of one shape
)
def tied_weights_stay_tied(subject: Subject, case: Case, check: Check) -> None:
    module, weights = subject.build(case), dict(case.weight_arrays)
    a, b = _pair(case, weights)
    subject.run(case, module)
    setattr(module, b, getattr(module, a))
    weights[b] = weights[a]
    tie = f"with {b} tied to {a}"
    compare_all(check, subject.run(case, module), expected(case, weights=weights), f"{tie}: ")
    weights[a] = weights[b] = other_weights(case).weight_arrays[a]
    with torch.no_grad():
        getattr(module, a).copy_(torch.from_numpy(weights[a].copy()))
    twin = copy.deepcopy(module)
    for what, m in (("", module), ("copied, ", twin)):
        after = f"{what}{tie} and then changed: "
        compare_all(check, subject.run(case, m), expected(case, weights=weights), after)
    for what, m in (("deepcopy", twin), (".to(dtype)", module.to(torch.float16))):
        check.same(f"that {b} is {a} after {what}", getattr(m, b) is getattr(m, a), True)


@FAMILY.claims(
    "The gradient of two tied weights is the sum of the gradients by each of them.",
    "∂L/∂w with w_a = w_b = w is ∂L/∂w_a + ∂L/∂w_b",
    precisions=FLOAT32,
    needs=("gradients",),
    share=0.15,
    bias=True,
)
def tied_weights_gather_their_gradients(subject: Subject, case: Case, check: Check) -> None:
    module, weights, upstream = subject.build(case), dict(case.weight_arrays), upstream_arrays(case)
    a, b = _pair(case, weights)
    setattr(module, b, getattr(module, a))
    weights[b] = weights[a]
    results = subject.call(case, module, *subject.given(case))
    Recorded({}, results).backward(tensors(subject, case, upstream))
    want = expected_gradients(case, upstream, weights=weights)
    gradient = {a: getattr(module, a).grad}
    compare_gradients(check, gradient, {a: want[a] + want[b]}, f"with {b} tied to it, gradient of ")


def _pair(case: Case, weights: Arrays) -> tuple[str, str]:
    """Two weights of one shape, chosen by the case's seed."""
    pairs = [p for p in combinations(weights, 2) if weights[p[0]].shape == weights[p[1]].shape]
    if not pairs:
        raise Unsupported("no two weights have one shape")
    return pairs[case.seed % len(pairs)]


class _Doubled(nn.Module):
    """W = 2V, which is exact in binary."""

    def forward(self, v: Tensor) -> Tensor:
        return 2.0 * v


def _parametrized(module: nn.Module, name: str, how: str) -> tuple[nn.Module, str]:
    """Parametrize one weight; returns the submodule that holds it, and its name there."""
    holder, leaf = owner(module, name)
    if how == "weight_norm":
        if not hasattr(parametrizations, "weight_norm"):
            raise torch_lacks("parametrizations.weight_norm")
        parametrizations.weight_norm(holder, leaf)
    else:
        parametrize.register_parametrization(holder, leaf, _Doubled())
    return holder, leaf


def _with_value(case: Case, name: str, value: Tensor) -> Arrays:
    return {**case.weight_arrays, name: value.detach().double().cpu().numpy()}


@FAMILY.claims(
    "A call uses the current value of a parametrized weight, its backward pass gives the originals "
    "gradients, and the next call uses their updates.",
    "W = g(V): f(x; g(V)), ∂L/∂V ≠ None, f(x; g(V′)) after V ← V′",
    of=ALL,
    precisions=FLOAT32,
    needs=("gradients",),
    share=0.1,
    regimes=ORDINARY,
)
def parametrized_weights_are_used(subject: Subject, case: Case, check: Check) -> None:
    name = chosen(case)
    for how in ("doubled", "weight_norm"):
        module = subject.build(case)
        subject.run(case, module)
        holder, leaf = _parametrized(module, name, how)
        originals = dict(holder.parametrizations.named_parameters())  # type: ignore[union-attr]
        for label in (f"with {name} {how}", f"with {name} {how} and changed"):
            results = subject.call(case, module, *subject.given(case))
            weights = _with_value(case, name, getattr(holder, leaf))
            compare_all(check, results, expected(case, weights=weights), f"{label}: ")
            torch.autograd.backward([r.sum() for r in results.values()])
            for original, p in originals.items():
                has = p.grad is not None or may_be_left_out(case, name)
                check.same(f"{label}, that the original {original} has a gradient", has, True)
            with torch.no_grad():
                for p in originals.values():
                    p.mul_(-0.5)


@FAMILY.claims(
    "A module with a parametrized weight may be copied after a call that records gradients.",
    "f_copy(x) = f(x)",
    of=ALL,
    precisions=FLOAT32,
    needs=("gradients",),
    share=0.1,
    variants=PLACES,
    regimes=ORDINARY,
)
def parametrized_module_may_be_copied(subject: Subject, case: Case, check: Check) -> None:
    module, name = subject.build(case), placed(case)
    holder, leaf = _parametrized(module, name, "doubled")
    weights = _with_value(case, name, getattr(holder, leaf))
    subject.call(case, module, *subject.given(case))
    want = expected(case, weights=weights)
    compare_all(check, subject.run(case, copy.deepcopy(module)), want, "of the copy: ")


class _Changing(nn.Module):
    """Gives another value at each evaluation, like a random mask: V, V/2, V/4, V/8, V, …"""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[Tensor] = []

    def forward(self, v: Tensor) -> Tensor:
        self.values.append(v.detach() * 2.0 ** -(len(self.values) % 4))
        return self.values[-1]


@FAMILY.claims(
    "Within parametrize.cached() a parametrization is evaluated at most once for a whole forward "
    "pass.",
    "h_t = f(x_t, h_{t−1}; g(V)) with one g(V) for every t",
    of=ALL,
    precisions=FLOAT32,
    share=0.2,
    regimes=ORDINARY,
)
def cached_parametrization_is_evaluated_once(subject: Subject, case: Case, check: Check) -> None:
    """Outside of that context nothing is claimed about the number of evaluations.

    torch.nn.utils.parametrize says that every access evaluates, and offers `cached` to avoid this.
    A layer may read a weight at each step, which costs time and is not wrong.  (torch.nn's own
    layers read a weight four times in a forward pass and use the last value.)  Dropout on weights
    needs one mask for a whole sequence, and so it needs this context.

    A weight that meets zeros alone, as that of a missing state, need not be read: then the results
    are the same for every value of it, so also for twice its own.
    """
    module, name, changing = subject.build(case), chosen(case), _Changing()
    holder, leaf = owner(module, name)
    own = getattr(holder, leaf).detach()
    parametrize.register_parametrization(holder, leaf, changing, unsafe=True)
    changing.values.clear()
    with parametrize.cached():
        results = subject.run(case, module)
    count = len(changing.values)
    most = min(count, 1)
    check.same(f"the number of evaluations of {name} within parametrize.cached()", count, most)
    weights = _with_value(case, name, changing.values[0] if count else 2.0 * own)
    compare_all(check, results, expected(case, weights=weights), "with its only value: ")


@FAMILY.claims(
    "A frozen weight gets no gradient and keeps its value; the others train.",
    "requires_grad_(False) ⇒ grad = None and w after a step = w before; |∂L/∂w − v| ≤ r of others",
    of=ALL,
    precisions=FLOAT32,
    needs=("gradients",),
    share=0.2,
)
def frozen_weights_stay(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    parameters = dict(module.named_parameters())
    trained = {n for i, n in enumerate(parameters) if case.seed >> i & 1} or {chosen(case)}
    for name, p in parameters.items():
        p.requires_grad_(name in trained)
    before = {name: bits(p) for name, p in parameters.items()}
    results = subject.call(case, module, *subject.given(case))
    compare_all(check, results, expected(case), f"with only {sorted(trained)} trained: ")
    upstream = upstream_arrays(case)
    Recorded({}, results).backward(tensors(subject, case, upstream))
    gradients = {name: p.grad for name, p in parameters.items() if name in trained}
    label = f"with only {sorted(trained)} trained: gradient of "
    compare_gradients(check, gradients, expected_gradients(case, upstream), label)
    torch.optim.SGD(module.parameters(), lr=1.0).step()
    for name, p in parameters.items():
        if name not in trained:
            label = f"with {sorted(trained)} trained, that {name}"
            check.same(f"{label} has a gradient", p.grad is not None, False)
            check.same(f"{label} keeps its bytes", torch.equal(before[name], bits(p)), True)


@FAMILY.claims(
    "Initial weights are uniform, each alone and all together, and no two begin with the same "
    "draws.",
    "sup|Fₙ − F| ≤ √(ln(2/α)/2n) for F of U(−1/√H, 1/√H)",
    of=NAMED,
    precisions=FLOAT32,
    share=0.1,
)
def initial_weights_are_uniform(subject: Subject, case: Case, check: Check) -> None:
    size = 64 + case.seed % 17
    proj_size = size // 2 if case.proj_size else 0
    case = case.but(hidden_size=size, input_size=size + 1, proj_size=proj_size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(case.seed)
        weights = {n: p.detach() for n, p in subject.make(case).named_parameters()}
    # torch draws multiples of 2⁻²⁴ in [0, 1) and rounds the map to [−1/√H, 1/√H) three times.
    grain = 4 * PRECISIONS["float32"].storage.u
    edge = size**-0.5
    for name, w in weights.items():
        check_uniform(check, name, w, edge, grain)
    together = torch.cat([w.flatten() for w in weights.values()])
    check_uniform(check, "all weights together", together, edge, grain)
    for a, b in combinations(weights, 2):
        n = min(weights[a].numel(), weights[b].numel())
        same = torch.equal(weights[a].flatten()[:n], weights[b].flatten()[:n])
        check.same(f"that {a} and {b} begin with the same draws", same, False)
