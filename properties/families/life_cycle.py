"""Life cycle: copies, files, loading, the meta device, hooks, the repr and deleted weights."""

from __future__ import annotations

import copy
import io
import pickle
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from gatewise.reference.classes import ALL, DROP_IN

from ..cases.case import Case
from ..checking.comparison import Check, bits
from ..checking.oracle import compare_all, expected
from ..levels import CONTRACT, HARDENING
from ..precisions import FLOAT32, dtype_of
from ..subjects.capabilities import OPTIONS, torch_lacks
from ..subjects.protocol import Subject, Unsupported, load
from .modes import made
from .property import STATEFUL, UNPACKED, Family

FAMILY = Family("life_cycle", CONTRACT, needs=("torch_names",))


def owner(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The submodule that holds a parameter, and the parameter's name in it."""
    path, _, leaf = name.rpartition(".")
    return module.get_submodule(path), leaf


def chosen(case: Case) -> str:
    """The name of one weight, chosen by the case's seed."""
    names = list(case.weight_arrays)
    return names[case.seed % len(names)]


#: Variants that say which weight a claim changes: a known issue may concern some weights alone.
PLACES = ("first", "middle", "last")


def placed(case: Case) -> str:
    """The name of the weight at the place of the variant, one of `PLACES`."""
    names = list(case.weight_arrays)
    return names[{"first": 0, "middle": len(names) // 2, "last": -1}[case.variant]]


def other_weights(case: Case) -> Case:
    """The same call with other values: weights, input and states."""
    return case.but(seed=case.seed ^ 1)


Copies = Mapping[str, Callable[[nn.Module], nn.Module]]


def _through_pickle(module: nn.Module) -> nn.Module:
    found: nn.Module = pickle.loads(pickle.dumps(module))
    return found


def _through_file(module: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    found: nn.Module = torch.load(file, weights_only=False)
    return found


def _copied(subject: Subject, case: Case, check: Check, copies: Copies) -> None:
    """Compare a module with each copy, before and after the copy's weights are changed."""
    module, want = subject.build(case).train(bool(case.seed % 2)), expected(case)
    other = other_weights(case)
    changed = expected(case, weights=other.weight_arrays)
    subject.run(case, module)
    for name, copied in copies.items():
        twin, how = copied(module), f"of the copy by {name}"
        check.same(f"the class {how}", type(twin), type(module))
        check.same(f"training {how}", twin.training, module.training)
        check.same(f"the repr {how}", repr(twin), repr(module))
        own, its = dict(module.named_parameters()), dict(twin.named_parameters())
        check.same(f"the parameters {how}", list(its), list(own))
        for weight, p in own.items():
            same = torch.equal(bits(p), bits(its[weight]))
            check.same(f"that {weight} {how} has the same bits", same, True)
            shared = p.untyped_storage().data_ptr() == its[weight].untyped_storage().data_ptr()
            check.same(f"that {weight} {how} shares storage", shared, False)
        compare_all(check, subject.run(case, twin), want, f"{how}: ")
        load(twin, other.weight_arrays)
        compare_all(check, subject.run(case, module), want, f"after a change {how}: ")
        compare_all(check, subject.run(case, twin), changed, f"{how}, changed: ")


@FAMILY.claims(
    "A deep copy equals the module and shares no memory with it: a change of one does not change "
    "the other.",
    "f_copy(x) = f(x), also after w_copy ← w′",
    of=ALL,
    precisions=FLOAT32,
    share=0.15,
)
def deep_copy_is_equal_and_independent(subject: Subject, case: Case, check: Check) -> None:
    _copied(subject, case, check, {"copy.deepcopy": copy.deepcopy})


@FAMILY.claims(
    "A module that is stored and loaded by pickle or by torch.save equals the first one and "
    "shares no memory with it.",
    "f_copy(x) = f(x), also after w_copy ← w′",
    of=ALL,
    precisions=FLOAT32,
    share=0.12,
)
def stored_module_is_equal_and_independent(subject: Subject, case: Case, check: Check) -> None:
    for part in subject.make(case).modules():
        cls = type(part)
        found: Any = sys.modules.get(cls.__module__)
        for step in cls.__qualname__.split("."):
            found = getattr(found, step, None)
        if found is not cls:  # pickle's own limit, and no fault of the module
            raise Unsupported(f"pickle finds no class {cls.__qualname__} in {cls.__module__}")
    stored = {"pickle": _through_pickle, "torch.save": _through_file}
    _copied(subject, case, check, stored)


def _state(subject: Subject, case: Case) -> dict[str, Tensor]:
    """A state_dict of the case's weights, which shares no memory with a module."""
    state = subject.build(case).state_dict()
    return {name: t.clone() for name, t in state.items()}


def _from_file(module: nn.Module, state: dict[str, Tensor]) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return module.load_state_dict(torch.load(file, weights_only=True))


def _assigned(module: nn.Module, state: dict[str, Tensor]) -> Any:
    try:
        return module.load_state_dict(state, assign=True)
    except TypeError as error:  # torch before 2.1
        raise Unsupported(str(error)) from error


LOADS: dict[str, Callable[[nn.Module, dict[str, Tensor]], Any]] = {
    "copied": lambda module, state: module.load_state_dict(state),
    "assigned": _assigned,
    "from a file": _from_file,
}


@FAMILY.claims(
    "After load_state_dict, the next call uses the loaded weights.",
    "f(x; w′) after load_state_dict(w′)",
    of=ALL,
    precisions=FLOAT32,
    share=0.16,
)
def loaded_weights_are_used(subject: Subject, case: Case, check: Check) -> None:
    state, want = _state(subject, case), expected(case)
    for how, loaded in LOADS.items():
        module = subject.build(other_weights(case))
        subject.run(case, module)
        loaded(module, state)
        for name, p in module.named_parameters():
            check.same(f"that {name} is a Parameter", isinstance(p, nn.Parameter), True)
        compare_all(check, subject.run(case, module), want, f"weights {how}: ")


@FAMILY.claims(
    "load_state_dict refuses a missing weight, an unexpected weight and a weight of a wrong shape, "
    "and names it.",
    "RuntimeError with the weight's name",
    of=ALL,
    precisions=FLOAT32,
    share=0.1,
)
def load_state_dict_is_strict(subject: Subject, case: Case, check: Check) -> None:
    module, state, name = subject.build(case), _state(subject, case), chosen(case)
    missing = {n: t for n, t in state.items() if n != name}
    strange, misshapen = torch.zeros(1), torch.zeros((*state[name].shape, 2))
    for what, bad, named in (
        ("missing", missing, name),
        ("strange", {**state, f"{name}_strange": strange}, f"{name}_strange"),
        ("misshapen", {**state, name: misshapen}, name),
    ):
        try:
            module.load_state_dict(bad)
            said = "nothing"
        except RuntimeError as error:
            said = str(error)
        label = f"that load_state_dict names {named}, which is {what}, and says {said!r},"
        check.same(label, named in said, True)


@contextmanager
def _swapping() -> Iterator[None]:
    """Make torch swap parameters instead of copying into them."""
    future = torch.__future__
    if not hasattr(future, "set_swap_module_params_on_conversion"):
        raise torch_lacks("set_swap_module_params_on_conversion")
    before = future.get_swap_module_params_on_conversion()
    future.set_swap_module_params_on_conversion(True)
    try:
        yield
    finally:
        future.set_swap_module_params_on_conversion(before)


@FAMILY.claims(
    "Parameters may be swapped, as torch will do by default, while no autograd graph holds one.",
    "f(x; w′) after load_state_dict(w′) or .to(dtype) under set_swap_module_params_on_conversion",
    of=ALL,
    precisions=FLOAT32,
    share=0.12,
    variants=("load_state_dict", ".to(dtype)"),
)
def parameters_may_be_swapped(subject: Subject, case: Case, check: Check) -> None:
    first, state = case, _state(subject, case)
    if case.variant == ".to(dtype)":
        first = case.but(precision="float64" if case.precision == "float32" else "float32")
    module = subject.construct(first)
    subject.run(first, module)
    with _swapping():
        if case.variant == ".to(dtype)":
            module.to(dtype_of(case.precision))
            subject.run(case, module)
        else:
            module.load_state_dict(state)
    load(module, case.weight_arrays)
    compare_all(check, subject.run(case, module), expected(case), f"after {case.variant}: ")


@FAMILY.claims(
    "On the meta device a module gives the shapes of its results; after to_empty and with weights "
    "it computes.",
    "shape f_meta(x) = shape f(x), and after to_empty and load: |f − v| ≤ r",
    of=ALL,
    precisions=FLOAT32,
    share=0.1,
    variants=("with torch.device", "device="),
    forms=UNPACKED,  # on meta pack_padded_sequence has no data to sort
)
def meta_module_gives_shapes_then_computes(subject: Subject, case: Case, check: Check) -> None:
    if case.variant == "device=":
        module = made(subject, case, device="meta")
    else:
        with torch.device("meta"):
            module = subject.make(case)
    module.to(dtype_of(case.precision))
    places = {p.device.type for p in module.parameters()}
    check.same(f"devices of parameters made {case.variant}", places, {"meta"})
    x, states = subject.given(case)
    on_meta = None if states is None else tuple(s.to("meta") for s in states)
    want = expected(case)
    for name, result in subject.call(case, module, x.to("meta"), on_meta).items():
        check.same(f"device of {name} on meta", result.device.type, "meta")
        check.same(f"shape of {name} on meta", tuple(result.shape), want[name].shape)
    module.to_empty(device=subject.torch_device)
    load(module, case.weight_arrays)
    compare_all(check, subject.run(case, module), want, "after to_empty: ")


@FAMILY.claims(
    "Each hook runs once, and the value that a forward hook returns is the result of the call.",
    "pre-hook, hook, backward pre-hook, backward hook; f(x) = 0 if the hook says so",
    of=ALL,
    precisions=FLOAT32,
    needs=("gradients",),
    share=0.2,
    forms=UNPACKED,  # torch's backward hooks do not look into a PackedSequence
)
def hooks_run_once_and_may_replace_the_result(subject: Subject, case: Case, check: Check) -> None:
    module, ran = subject.build(case), []
    module.register_forward_pre_hook(lambda m, args: ran.append("forward pre-hook"))
    module.register_forward_hook(lambda m, args, out: ran.append("forward hook"))
    module.register_full_backward_pre_hook(lambda m, grad: ran.append("backward pre-hook"))
    module.register_full_backward_hook(lambda m, g, grad: ran.append("backward hook"))
    x, states = subject.given(case)
    results = subject.call(case, module, x.requires_grad_(x.is_floating_point()), states)
    with warnings.catch_warnings():
        # Where no input is differentiable, torch warns that a backward hook gets outputs only.
        warnings.simplefilter("ignore")
        torch.autograd.backward([r.sum() for r in results.values()])
    order = ["forward pre-hook", "forward hook", "backward pre-hook", "backward hook"]
    check.same("the hooks that ran", ran, order)
    module.register_forward_hook(lambda m, args, out: _zeros(out))
    for name, result in subject.call(case, module, x, states).items():
        zero = bool((result == 0).all())
        check.same(f"{name} is the zero that a forward hook returned", zero, True)


def _zeros(out: Any) -> Any:
    return torch.zeros_like(out) if isinstance(out, Tensor) else tuple(map(_zeros, out))


@FAMILY.claims(
    "The module is called with the value that a forward pre-hook returns.",
    "f(x) = f(0) if the pre-hook says so",
    of=STATEFUL,
    precisions=FLOAT32,
    share=0.1,
    forms=UNPACKED,
)
def pre_hook_may_replace_the_input(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    module.register_forward_pre_hook(lambda m, args: (torch.zeros_like(args[0]), *args[1:]))
    want = expected(case, x=0.0 * case.input_array)
    compare_all(check, subject.run(case, module), want, "with a pre-hook that gives zeros: ")


@FAMILY.claims(
    "The repr gives the sizes and each option that differs from its default, and no other.",
    "name=value ∈ repr ⇔ value ≠ default",
    of=DROP_IN,
    precisions=FLOAT32,
    share=0.4,
)
def repr_names_what_differs(subject: Subject, case: Case, check: Check) -> None:
    if case.num_layers > 1 and case.seed % 2:
        case = case.but(dropout=0.25)
    module = subject.make(case)
    if not module.extra_repr():
        raise Unsupported(f"{subject.name} has no extra_repr")
    text, (sizes, options) = repr(module), subject.arguments(case)
    # The name of a class may have digits as well: a number stands alone, after the name.
    shown = _NUMBER.findall(text.removeprefix(type(module).__name__))
    check.same(f"the sizes in {text}", [int(n) for n in shown[:2]], [*sizes])
    for name in ("num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size"):
        _named(check, text, name, options)
    _named(check, text, "nonlinearity", options)


_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.])")


def _named(check: Check, text: str, name: str, options: dict[str, Any]) -> None:
    found = re.search(rf"\b{name}=(['\"]?)([\w.]+)\1", text)
    shown = found and found[2]
    if name in options:
        check.same(f"{name} in {text}", shown, str(options[name]))
    elif shown is not None:  # torch.nn leaves a default out; to show it is no less true
        check.same(f"{name} in {text}", shown, str(OPTIONS[name]))


@FAMILY.claims(
    "A call after a weight was deleted raises, and does not compute with the old weight.",
    "del w ⇒ f(x) raises",
    of=ALL,
    precisions=FLOAT32,
    share=0.25,
    variants=PLACES,
    level=HARDENING,
    beyond="A module may keep its weights in another place too, and use them after a deletion.",
)
def deleted_weight_is_missed(subject: Subject, case: Case, check: Check) -> None:
    module, name = subject.build(case), placed(case)
    subject.run(case, module)
    holder, leaf = owner(module, name)
    delattr(holder, leaf)
    try:
        subject.run(case, module)
        raised = False
    except Exception:
        raised = True
    check.same(f"that a call after {name} was deleted raises", raised, True)
