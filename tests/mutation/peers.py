"""What others check a recurrent network with, put to the mutants: each check with its own defaults.

A check returns nothing where a class passes, and raises where it does not.  A class that raises in
a check has failed it.  No tolerance here is this project's: each is the default of its owner.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

Check = Callable[[str, Any], None]

#: Rows of ONNX's order of gates, in torch's order.
_FROM_ONNX = {"RNN": (0,), "LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2)}


class NotOffered(Exception):
    """The check has nothing to put to a kind."""


def _example(
    kind: str, sizes: tuple[int, int], time: int, batch: int, dtype: torch.dtype, seed: int = 0
) -> tuple[nn.Module, Tensor, Any]:
    """torch.nn's module, an input and a state from one seed; two layers, as in torch's pages."""
    torch.manual_seed(seed)
    options = {"dtype": dtype}
    if kind.endswith("Cell"):
        module = getattr(nn, kind)(*sizes, **options)
        x, shape = torch.randn(batch, sizes[0], **options), (batch, sizes[1])
    else:
        module = getattr(nn, kind)(*sizes, 2, **options)
        x, shape = torch.randn(time, batch, sizes[0], **options), (2, batch, sizes[1])
    state = torch.randn(shape, **options)
    return module, x, (state, torch.randn(shape, **options)) if "LSTM" in kind else state


def _same_weights(kind: str, factory: Any, module: nn.Module, sizes: tuple[int, int]) -> Any:
    """The class under test with the weights of torch.nn's module."""
    own = factory(*sizes) if kind.endswith("Cell") else factory(*sizes, num_layers=2)
    own = own.to(next(module.parameters()).dtype)
    own.load_state_dict(module.state_dict())
    return own


def one_example(kind: str, factory: Any) -> None:
    """The example of torch.nn's page of the kind, sizes 10 and 20, against torch.nn's module."""
    module, x, state = _example(kind, (10, 20), 5, 3, torch.float32)
    own = _same_weights(kind, factory, module, (10, 20))
    torch.testing.assert_close(own(x, state), module(x, state))


def with_gradcheck(kind: str, factory: Any) -> None:
    """The same, and gradcheck on a small example, of the input, the states and each weight."""
    one_example(kind, factory)
    module, x, state = _example(kind, (2, 3), 3, 2, torch.float64)
    own = _same_weights(kind, factory, module, (2, 3))
    names = [name for name, _ in own.named_parameters()]
    weights = [p.detach().clone().requires_grad_() for p in own.parameters()]
    states = [s.requires_grad_() for s in (state if isinstance(state, tuple) else (state,))]

    def call(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        given, values = rest[: len(states)], rest[len(states) :]
        hx = given if isinstance(state, tuple) else given[0]
        got = torch.func.functional_call(own, dict(zip(names, values, strict=True)), (x, hx))
        return tuple(_flat(got))

    torch.autograd.gradcheck(call, (x.requires_grad_(), *states, *weights))


def _flat(results: Any) -> list[Tensor]:
    if isinstance(results, Tensor):
        return [results]
    return [tensor for part in results for tensor in _flat(part)]


@cache
def onnx_vectors(kind: str) -> tuple[list[Any], list[str]]:
    """ONNX's published node vectors of a layer that torch.nn's module passes, and names of others.

    Those that it does not pass ask for what it does not offer: peepholes, a reverse direction
    alone, or a reset gate before the matmul.
    """
    from onnx.backend.test.case import node

    # Importing an operator's module collects its vectors; collect_testcases() imports all 200.
    import_module(f"onnx.backend.test.case.node.{kind.lower()}")
    usable, others = [], []
    for case in node._NodeTestCases:
        if [n.op_type for n in case.model.graph.node] != [kind]:
            continue
        try:
            _put_onnx(kind, getattr(nn, kind), case)
        except Exception:
            others.append(case.name)
        else:
            usable.append(case)
    return usable, others


def _put_onnx(kind: str, factory: Any, case: Any) -> None:
    """One vector: weights ported from ONNX's order, results put into its layout."""
    from onnx.backend.test.runner import Runner
    from onnx.helper import get_attribute_value

    node = case.model.graph.node[0]
    attributes = {a.name: get_attribute_value(a) for a in node.attribute}
    given, wanted = case.data_sets[0]
    arrays = dict(zip([n for n in node.input if n], given, strict=True))
    direction = attributes.get("direction", b"forward")
    if "P" in arrays or direction == b"reverse":
        raise NotOffered(case.name)
    both, first = direction == b"bidirectional", bool(attributes.get("layout", 0))
    X, W, R = (torch.tensor(arrays[n]) for n in ("X", "W", "R"))
    options = {"bias": "B" in arrays, "bidirectional": both, "batch_first": first}
    default = {"bias": True, "bidirectional": False, "batch_first": False}
    options = {k: v for k, v in options.items() if v != default[k]}
    module = factory(W.shape[-1], R.shape[-1], **options)
    ported = {}
    for d, end in enumerate(("", "_reverse")[: W.shape[0]]):
        ported |= {f"weight_ih_l0{end}": W[d], f"weight_hh_l0{end}": R[d]}
        if "B" in arrays:
            b_ih, b_hh = torch.tensor(arrays["B"][d]).chunk(2)
            ported |= {f"bias_ih_l0{end}": b_ih, f"bias_hh_l0{end}": b_hh}
    module.load_state_dict({n: _from_onnx(kind, w) for n, w in ported.items()})
    axis = 0 if first else 1  # of the batch, in ONNX's states as well
    states = [torch.tensor(arrays[n]) for n in ("initial_h", "initial_c") if n in arrays]
    states = [s.transpose(0, 1) if first else s for s in states]
    state = None if not states else tuple(states) if kind == "LSTM" else states[0]
    with torch.no_grad():
        output, last = module(X) if state is None else module(X, state)
    Y = output.unflatten(-1, (W.shape[0], -1))
    Y = Y if first else Y.transpose(1, 2)
    ends = list(last) if kind == "LSTM" else [last]
    got = [Y, *(e.transpose(0, 1) if axis == 0 else e for e in ends)]
    names = ("Y", "Y_h", "Y_c")
    results = [got[names.index(n)].numpy() for n in node.output if n]
    Runner.assert_similar_outputs(wanted, results, case.rtol, case.atol)


def _from_onnx(kind: str, w: Tensor) -> Tensor:
    parts = w.chunk(len(_FROM_ONNX[kind]))
    return torch.cat([parts[k] for k in _FROM_ONNX[kind]])


def onnx_published(kind: str, factory: Any) -> None:
    """ONNX's published vectors of the operator, by ONNX's comparison and its tolerances."""
    if kind.endswith("Cell"):
        raise NotOffered("ONNX has no operator of a cell")
    for case in onnx_vectors(kind)[0]:
        _put_onnx(kind, factory, case)


def module_info(kind: str, factory: Any) -> None:
    """PyTorch's ModuleInfo: its samples with their references, and its samples of errors.

    As in its tests: float32 and float64, in training and in eval.  An error must be of the class
    that the sample states; the texts are torch.nn's own and no fault of a class that has others.
    """
    from torch.testing._internal.common_modules import ModuleErrorEnum, module_db

    (info,) = [m for m in module_db if m.module_cls is getattr(nn, kind)]
    for dtype, training in product((torch.float32, torch.float64), (True, False)):
        torch.manual_seed(0)
        asked = {"device": "cpu", "dtype": dtype, "requires_grad": False, "training": training}
        for sample in info.module_inputs_func(info, **asked):
            made, given = sample.constructor_input, sample.forward_input
            module = factory(*made.args, **made.kwargs).to(dtype).train(training)
            got = module(*given.args, **given.kwargs)
            if sample.reference_fn is not None:
                want = sample.reference_fn(module, *given.args, **given.kwargs)
                torch.testing.assert_close(got, want, equal_nan=True)
        for wrong in info.module_error_inputs_func(info, **asked):
            made = wrong.module_error_input.constructor_input
            given = wrong.module_error_input.forward_input
            if any(isinstance(a, str) for a in made.args):
                continue  # a nonlinearity in the place of `bias`: a slip of the sample
            construct = wrong.error_on is ModuleErrorEnum.CONSTRUCTION_ERROR
            try:
                module = factory(*made.args, **made.kwargs)
                if not construct:
                    module.to(dtype)(*given.args, **given.kwargs)
            except wrong.error_type:
                continue
            else:
                raise AssertionError(f"accepted what raises {wrong.error_regex!r}")


def kernelbench(kind: str, factory: Any) -> None:
    """KernelBench's check of float32: five random inputs of one shape, forward alone.

    The shape is that of the one example; its own problems of recurrent networks are larger.
    """
    for seed in range(5):
        module, x, state = _example(kind, (10, 20), 5, 3, torch.float32, seed)
        own = _same_weights(kind, factory, module, (10, 20))
        for got, want in zip(_flat(own(x, state)), _flat(module(x, state)), strict=True):
            if got.shape != want.shape or not torch.allclose(got, want, rtol=1e-4, atol=1e-4):
                raise AssertionError("the results differ")


def flashrnn(kind: str, factory: Any) -> None:
    """The tolerance of FlashRNN's tests, on the results and every gradient of the one example."""
    module, x, state = _example(kind, (10, 20), 5, 3, torch.float32)
    own = _same_weights(kind, factory, module, (10, 20))
    for got, want in zip(
        _with_gradients(own, x, state), _with_gradients(module, x, state), strict=True
    ):
        torch.testing.assert_close(got, want, rtol=0.2, atol=0.1)


def _with_gradients(module: Any, x: Tensor, state: Any) -> list[Tensor]:
    """The results, then the gradients of their sum: of the input, the states and each weight."""
    leaves = [t.clone().requires_grad_() for t in _flat((x, state))]
    given = tuple(leaves[1:]) if isinstance(state, tuple) else leaves[1]
    results = _flat(module(leaves[0], given))
    weights = [p for _, p in sorted(module.named_parameters())]
    return [*results, *torch.autograd.grad(sum(r.sum() for r in results), [*leaves, *weights])]


#: What compares the results of the one example.
COMPARISON = "torch.testing.assert_close"

#: Name of a column → check.
PEERS: dict[str, Check] = {
    "one example": one_example,
    "gradcheck": with_gradcheck,
    "ONNX vectors": onnx_published,
    "ModuleInfo": module_info,
    "KernelBench": kernelbench,
    "FlashRNN": flashrnn,
}


def warm() -> None:
    """Import what the checks need and collect the vectors, so that no mutant is charged for it."""
    import torch.testing._internal.common_modules  # noqa: F401

    for kind in _FROM_ONNX:
        onnx_vectors(kind)
