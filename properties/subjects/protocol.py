"""A subject: an implementation under test, and how a case is put to it."""

from __future__ import annotations

import dis
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gatewise.reference.classes import CLASSES, DROP_IN
from gatewise.reference.formats import Array
from gatewise.reference.kinds import KINDS

from ..cases.case import Case
from ..cases.layouts import place
from ..clock import SUBJECT, running
from ..devices import for_torch
from ..precisions import dtype_of
from .adapting.module import drop_in
from .capabilities import OPTIONS
from .capabilities import SubjectFault as SubjectFault  # met by all who know subjects
from .capabilities import Unsupported as Unsupported

Results = dict[str, Tensor]

#: torch's message where an operator has no kernel for a format of 16 bits.
_NO_KERNEL = re.compile(r"not implemented for '(Half|BFloat16)'")


@dataclass(frozen=True)
class Subject:
    """An implementation, by a factory with torch.nn's constructor arguments.

    `like` is the class that it stands in for, a name of `reference.classes.CLASSES`: LSTM,
    LSTMCell.  `factory(input_size, hidden_size, **options)` is called with those options only
    that differ from torch.nn's defaults, and the module is then moved `.to(device, dtype)`.
    `unsupported` names what it does not offer, with the reasons; `form` are the Case fields that
    it has no choice in (a GRU that resets before the matmul); `computes` names the row of
    `reference.formats.PRECISIONS` that it computes a precision in, where that is another.
    `probed` says that its conventions were found by probing, as `--like auto` does.  `extras` are
    the names of `capabilities.EXTRAS` that it offers beyond torch.nn.  `shapes` are the only ones
    of its cases, (I, H, B) of a cell and (I, H, B, T) of a layer; empty are all shapes.
    A subject that is not `trusted` may end or hang its process, or change its state.
    """

    name: str
    like: str
    factory: Callable[..., nn.Module]
    device: str = "cpu"
    trusted: bool = True
    unsupported: Mapping[str, str] = field(default_factory=dict, hash=False)
    form: Mapping[str, Any] = field(default_factory=dict, hash=False)
    computes: Mapping[str, str] = field(default_factory=dict, hash=False)
    probed: bool = False
    extras: frozenset[str] = frozenset()
    shapes: tuple[tuple[int, ...], ...] = ()

    @property
    def cell(self) -> bool:
        """Whether it is a single step."""
        return CLASSES[self.like].cell

    @property
    def kind(self) -> str:
        """The kind of its cell: RNN, LSTM, GRU."""
        return CLASSES[self.like].kind

    @property
    def states(self) -> tuple[str, ...]:
        """The letters of its states: h, and c where there is a cell state."""
        return KINDS[self.kind].states

    @property
    def torch_device(self) -> str:
        """Its device as torch names it."""
        return for_torch(self.device)

    def on(self, device: str) -> Subject:
        """The same implementation on a device."""
        return replace(self, device=device)

    def arguments(self, case: Case) -> tuple[tuple[int, ...], dict[str, Any]]:
        """What the factory is called with: sizes, and the options that are not the default."""
        options = {
            name: getattr(case, name)
            for name, default in OPTIONS.items()
            if getattr(case, name) != default and name not in self.form
        }
        return (case.input_size, case.hidden_size), options

    def make(self, case: Case, **placing: Any) -> nn.Module:
        """What the factory returns for the case's options and `placing` (`device`, `dtype`)."""
        sizes, options = self.arguments(case)
        for name in options:
            if name in self.unsupported:
                raise Unsupported(self.unsupported[name])
        try:
            module = called(partial(self.factory, **options, **placing), *sizes)
        except NotImplementedError as error:
            # `orthogonal_`, say, needs a kernel that torch has in no format of 16 bits.
            if not _NO_KERNEL.search(str(error)):
                raise
            raise Unsupported(f"the constructor needs what torch lacks: {error}") from error
        return drop_in(module, case.options) if self.like in DROP_IN else module

    def construct(self, case: Case) -> nn.Module:
        """A fresh module in training mode, with the case's options and its own initial weights.

        Raises `Unsupported` for a precision that the subject states it does not offer: a claim may
        compare a case with another in that precision.
        """
        if case.precision in self.unsupported:
            raise Unsupported(self.unsupported[case.precision])
        return self.make(case).to(device=self.torch_device, dtype=dtype_of(case.precision))

    def build(self, case: Case, weights: Mapping[str, Array] | None = None) -> nn.Module:
        """A module in the case's mode that holds the case's weights, or those given."""
        module = self.construct(case)
        load(module, case.weight_arrays if weights is None else weights)
        return module if case.training else module.eval()

    def tensor(self, values: Array, case: Case, layout: str | None = None) -> Tensor:
        """`values` on the subject's device, in the case's dtype and layout."""
        return place(values, layout or case.layout, dtype_of(case.precision), self.torch_device)

    def input_tensor(self, values: Array, case: Case) -> Tensor:
        """The input on the subject's device, in the case's dtype and layout."""
        return self.tensor(values, case)

    def run(
        self,
        case: Case,
        module: nn.Module | None = None,
        *,
        x: Array | None = None,
        state: Sequence[Array] | None = None,
        weights: Mapping[str, Array] | None = None,
    ) -> Results:
        """The results of one call by name: output, h_n, c_n of a layer; h, c of a cell.

        Arrays that are given replace the case's own.  A packed output is padded with zeros.
        """
        module = self.build(case, weights) if module is None else module
        inputs, states = self.given(case, x=x, state=state)
        with torch.no_grad():
            results = self.call(case, module, inputs, states)
        # Whether a graph was recorded is for the claims that ask it of `call`.
        return {n: r.detach() if isinstance(r, Tensor) else r for n, r in results.items()}

    def given(
        self, case: Case, *, x: Array | None = None, state: Sequence[Array] | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...] | None]:
        """Input and states as tensors, the case's own or those given; None where it passes none."""
        inputs = self.input_tensor(case.input_array if x is None else x, case)
        if not case.with_state:
            return inputs, None
        arrays = case.state_arrays if state is None else state
        return inputs, tuple(self.tensor(s, case) for s in arrays)

    def call(
        self, case: Case, module: nn.Module, x: Tensor, states: tuple[Tensor, ...] | None
    ) -> Results:
        """Call the module on tensors as they are, packing the input where the case says so.

        Raises `Unsupported` for a form of call that the subject states it does not offer: a claim
        may go on from a case that was drawn to another.
        """
        for word, asked in (
            ("state", states is not None),
            ("unbatched", case.batch is None),
            ("packed", case.lengths is not None),
        ):
            if asked and word in self.unsupported:
                raise Unsupported(self.unsupported[word])
        if self.cell:
            given = _passed(states)
            returned = called(module, x) if given is None else called(module, x, given)
            return self._named_cell(returned)
        if case.lengths is None:
            return self.returned(module, x, states)
        results = self.returned(module, self.pack(case, x), states)
        return padded(results, case.batch_first, x.shape[1 if case.batch_first else 0])

    def _named_cell(self, returned: Any) -> Results:
        """The new states of a cell by name, and its output where that is none of them."""
        if KINDS[self.kind].output < len(self.states):
            return named_tensors(_named_states("the result", returned, self.states))
        output, state = _tuple("the result", returned, ("output", "state"))
        states = _named_states("the state", state, self.states)
        return named_tensors({**states, "output": output})

    def pack(self, case: Case, x: Tensor) -> PackedSequence:
        """A padded input packed by the case's lengths, which it must have."""
        lengths = torch.tensor(case.lengths)
        return pack_padded_sequence(x, lengths, case.batch_first, case.enforce_sorted)

    def returned(
        self,
        module: nn.Module,
        sequence: Tensor | PackedSequence,
        states: tuple[Tensor, ...] | None,
        **named: Tensor,
    ) -> dict[str, Any]:
        """What a layer returns by name; a packed output is left as it is.

        `named` are the `lengths`, `steps` or `resets` of a module that takes them.
        """
        given = _passed(states)
        arguments = (sequence,) if given is None else (sequence, given)
        returned = called(module, *arguments, **named)
        return _named_layer(KINDS[self.kind].final_names(False), returned)


def called(callee: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What a module or a factory returns for some arguments.

    Raises `Unsupported` where the subject's own code raises `NotImplementedError`: so it says that
    it does not offer an option or a form of call.  torch raises that class too, for an operator
    that lacks a kernel; such an error is left as it is.
    """
    try:
        with running(SUBJECT):
            return callee(*arguments, **named)
    except NotImplementedError as reason:
        if not _raised_by_python(reason):
            raise
        raise Unsupported(str(reason) or "the call raises NotImplementedError") from reason


def _raised_by_python(error: BaseException) -> bool:
    """Whether a `raise` in the subject's code raised an error, and not an operator of torch."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None or str(last.tb_frame.f_globals.get("__name__", "")).startswith("torch."):
        return False
    return dis.opname[last.tb_frame.f_code.co_code[last.tb_lasti]] == "RAISE_VARARGS"


def padded(results: dict[str, Any], batch_first: bool, total_length: int) -> Results:
    """The results with their packed output padded with zeros to `total_length` steps.

    Raises `SubjectFault` when the output is not packed.
    """
    packed = results["output"]
    if not isinstance(packed, PackedSequence):
        raise SubjectFault(
            f"output for a PackedSequence is {type(packed).__name__}, expected a PackedSequence"
        )
    output, _ = pad_packed_sequence(packed, batch_first, total_length=total_length)
    return {**results, "output": output}


def load(module: nn.Module, weights: Mapping[str, Array]) -> None:
    """Copy float64 arrays into the parameters of the same names; for a module that has torch.nn's
    names in its state_dict alone, `adapted.drop_in` has made parameters of them.

    Raises `SubjectFault` when names or shapes differ from torch.nn's.
    """
    own = dict(module.named_parameters())
    if set(own) != set(weights):
        raise SubjectFault(
            f"parameters are {sorted(own)}, expected torch.nn's names {sorted(weights)}"
        )
    with torch.no_grad():
        for name, values in weights.items():
            if tuple(own[name].shape) != values.shape:
                raise SubjectFault(
                    f"parameter {name} has shape {tuple(own[name].shape)}, expected {values.shape}"
                )
            own[name].copy_(torch.from_numpy(values.copy()))


def _passed(states: tuple[Tensor, ...] | None) -> Any:
    """The states as torch.nn takes them: a single one as it is, several as a tuple."""
    return states[0] if states is not None and len(states) == 1 else states


def _tuple(what: str, value: Any, names: tuple[str, ...]) -> Any:
    if not isinstance(value, tuple) or len(value) != len(names):
        shown = ", ".join(names)
        raise SubjectFault(f"{what} is {_describe(value)}, expected the tuple ({shown})")
    return value


def _describe(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def _named_states(what: str, value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """States by name; a single one is returned as it is, several in a tuple."""
    parts = (value,) if len(names) == 1 else _tuple(what, value, names)
    return dict(zip(names, parts, strict=True))


def _named_layer(names: tuple[str, ...], returned: Any) -> Results:
    output, final = _tuple("the result", returned, ("output", "state"))
    return named_tensors({"output": output, **_named_states("the state", final, names)})


def named_tensors(results: dict[str, Any]) -> Results:
    """The results as given; raises `SubjectFault` where one is no tensor."""
    for name, value in results.items():
        if not isinstance(value, Tensor | PackedSequence):
            raise SubjectFault(f"result {name} is {_describe(value)}, expected a Tensor")
    return results
