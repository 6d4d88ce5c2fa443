"""Wrong subjects whose fault is in a mode, in the life of a module, or in its weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

# ----------------------------------------------------------------------------------- modes


class WrongInEval(nn.LSTM):
    """Scales its input by 1.01 in evaluation mode."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if not self.training and isinstance(input, Tensor):
            input = 1.01 * input
        return super().forward(input, hx)


class WrongInInference(nn.GRUCell):
    """Scales its input by 1.01 in inference mode."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return super().forward(1.01 * input if torch.is_inference_mode_enabled() else input, hx)


def autocast_dtype() -> torch.dtype | None:
    """The dtype of autocast on the CPU, where it is on."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None


class CoarseUnderAutocast(nn.LSTMCell):
    """Under autocast it rounds its input to three bits, as an eight-bit format may."""

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        if autocast_dtype() is not None:
            mantissa, exponent = torch.frexp(input)
            input = torch.ldexp(torch.round(mantissa * 8) / 8, exponent)
        return super().forward(input, hx)


class CastsFloat64(nn.LSTMCell):
    """Under autocast a float64 input is rounded as well."""

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        dtype = autocast_dtype()
        return super().forward(input if dtype is None else input.to(dtype).to(input.dtype), hx)


class FrozenUnderAutocast(nn.GRUCell):
    """Under autocast the recurrent weight gets no gradient."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if autocast_dtype() is None:
            return super().forward(input, hx)
        return torch.func.functional_call(
            nn.GRUCell(self.input_size, self.hidden_size, self.bias, device="meta"),
            {n: p.detach() if n == "weight_hh" else p for n, p in self.named_parameters()},
            (input, hx),
        )


class TruncatesOnConversion(nn.RNNCell):
    """Conversion to another dtype moves each weight by some units in the last place."""

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        before = self.weight_ih.dtype
        super()._apply(fn, recurse)
        if self.weight_ih.dtype != before:
            for p in self.parameters():
                p.data.mul_(1 + 4 * torch.finfo(p.dtype).eps)
        return self


class AlwaysFloat32(nn.GRU):
    """Is made in float32, whatever the default dtype is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "dtype": torch.float32})


class ZerosOfTheDefault(nn.RNNCell):
    """Makes its own zeros on the default device, in the dtype of the input."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        zeros = torch.zeros((*input.shape[:-1], self.hidden_size), dtype=input.dtype)
        return super().forward(input, zeros if hx is None else hx + zeros)


# ------------------------------------------------------------------------------ life cycle


class CopySharesWeights(nn.LSTM):
    """deepcopy copies all but the weights."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.copy(self)


class PickleDropsBias(nn.GRU):
    """A pickled module comes back with one bias of zeros."""

    def __getstate__(self) -> Any:
        state = super().__getstate__()
        own = dict(state["_parameters"])
        if self.bias:
            own["bias_hh_l0"] = nn.Parameter(torch.zeros_like(own["bias_hh_l0"]))
        return {**state, "_parameters": own}


class LoadsLeniently(nn.LSTMCell):
    """load_state_dict passes over what is missing or strange."""

    def load_state_dict(self, state: Any, strict: bool = True, assign: bool = False) -> Any:
        return super().load_state_dict(state, False, assign)


class LoadsNoBias(nn.LSTMCell):
    """load_state_dict leaves the second bias as it was."""

    def load_state_dict(self, state: Any, strict: bool = True, assign: bool = False) -> Any:
        own = {n: p.detach().clone() for n, p in self.named_parameters() if n == "bias_hh"}
        return super().load_state_dict({**state, **own}, strict, assign)


class ReadsOnMeta(nn.GRUCell):
    """Looks at the values of its input, which the meta device does not have."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return super().forward(input if bool((input == input).any()) else 0 * input, hx)


class WithoutHooks(nn.GRU):
    """Calls its forward past torch's hooks."""

    def __call__(self, *args: Any) -> Any:
        return self.forward(*args)


class SilentOnBias(nn.LSTM):
    """Its repr does not say that it has no bias."""

    def extra_repr(self) -> str:
        return super().extra_repr().replace(", bias=False", "")


class BiasIfThere(nn.RNNCell):
    """Takes a bias that was deleted for one that it was made without."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        own = dict(self.named_parameters())
        for name in ("bias_ih", "bias_hh"):
            own.setdefault(name, self.weight_hh.new_zeros(self.hidden_size))
        plain = nn.RNNCell(
            self.input_size, self.hidden_size, True, self.nonlinearity, device="meta"
        )
        return torch.func.functional_call(plain, own, (input, hx))


class HoldsWeakly(nn.GRUCell):
    """Holds weak references to its weights, as torch.nn's layers do."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        import weakref

        self.held = [weakref.ref(p) for p in self.parameters()]
        return super().forward(input, hx)


# --------------------------------------------------------------------------------- weights


class CachesWeights(nn.LSTMCell):
    """Computes for ever with the weights of its first call."""

    cached: dict[str, Tensor] | None = None

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        if self.cached is None:
            self.cached = {n: p.detach().clone() for n, p in self.named_parameters()}
        plain = nn.LSTMCell(self.input_size, self.hidden_size, self.bias, device="meta")
        return torch.func.functional_call(plain, self.cached, (input, hx))


class BreaksTies(nn.GRU):
    """A copy has weights of its own where the original has two names for one."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        twin = copy.copy(self)
        own = {n: nn.Parameter(p.detach().clone()) for n, p in self._parameters.items()}
        twin.__dict__["_parameters"] = own
        twin._init_flat_weights()
        return twin


class HalfTied(nn.GRUCell):
    """Detaches a weight that it has had before in the same call."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        own, seen = {}, set()
        for name, p in self._parameters.items():
            if p is not None:
                own[name] = p.detach() if id(p) in seen else p
                seen.add(id(p))
        plain = nn.GRUCell(self.input_size, self.hidden_size, self.bias, device="meta")
        return torch.func.functional_call(plain, own, (input, hx))


class ReadsOriginals(nn.RNNCell):
    """Computes with what a parametrization is given, and not with what it gives."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        found = {
            n.removeprefix("parametrizations.").removesuffix(".original"): p
            for n, p in self.named_parameters()
        }
        own = {n: p for n, p in found.items() if "original" not in n}
        for n in {n.partition(".")[0] for n in found if "original" in n}:
            own[n] = getattr(self, n)
        plain = nn.RNNCell(
            self.input_size, self.hidden_size, self.bias, self.nonlinearity, device="meta"
        )
        return torch.func.functional_call(plain, own, (input, hx))


class KeepsWeightAndGraph(nn.GRUCell):
    """Keeps the last value of its weight, with the graph that led to it."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        self.last = [self.weight_hh, self.weight_ih]
        return super().forward(input, hx)


class EvaluatesAgain(nn.LSTMCell):
    """Evaluates the parametrization of a weight past torch's cache, once more for each call."""

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        for parametrization in getattr(self, "parametrizations", {}).values():
            parametrization.forward()
        return super().forward(input, hx)


class ThawsWeights(nn.LSTM):
    """Has every weight trained, frozen or not."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        self.requires_grad_(torch.is_grad_enabled())
        return super().forward(input, hx)


class NormalInit(nn.LSTM):
    """Initial weights from a normal distribution of the right width, cut at ±1/√H."""

    def reset_parameters(self) -> None:
        edge = self.hidden_size**-0.5
        for p in self.parameters():
            nn.init.trunc_normal_(p, std=edge / 3**0.5, a=-edge, b=edge)


class WideInit(nn.GRU):
    """Initial weights twice too wide."""

    def reset_parameters(self) -> None:
        super().reset_parameters()
        with torch.no_grad():
            for p in self.parameters():
                p.mul_(2)


class OneSeedForAll(nn.RNN):
    """Every weight is drawn from the same seed."""

    def reset_parameters(self) -> None:
        edge = self.hidden_size**-0.5
        for p in self.parameters():
            nn.init.uniform_(p, -edge, edge, generator=torch.Generator().manual_seed(7))
