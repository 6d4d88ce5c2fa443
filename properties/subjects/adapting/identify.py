"""Finds an implementation's conventions by probing it with chosen weights.

The shapes of its weights allow a set of hypotheses: a kind, an order of gates, which bias is
which, the form of the GRU, the order of the states.  The implementation is called in each way in
which it may be called, with chosen weights, no two of which are equal.  The weights mean something
else under each hypothesis.  So the reference computes for each hypothesis the results that the
implementation must return, and a bound on the rounding error.  A hypothesis is accepted if every
result lies within the bound.  If exactly one is accepted, it is the answer.  If none or more than
one is accepted, `SubjectError` is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gatewise.reference.ball import Ball, exact
from gatewise.reference.formats import PRECISIONS, Array, Precision
from gatewise.reference.kinds import KINDS
from gatewise.reference.options import Options
from gatewise.reference.steps import cell
from gatewise.reference.unroll import layer

from ...cases.values import seeded, values
from ..capabilities import SubjectError
from .adapter import Adapter
from .conventions import torch_names
from .hypotheses import BATCH, HIDDEN, INPUT, TIME, Hypothesis, Style, hypotheses
from .module import flat, own_arrays, plain_call

#: One call with the weights and inputs of each seed, for each way of calling.
SEEDS = (1, 2)
_STYLES = [
    Style(False, major, states, axis)
    for axis in (True, False)
    for major in (False, True)
    for states in ("h", "hc", "ch")
] + [Style(True, False, states) for states in ("h", "hc", "ch")]


@dataclass(frozen=True)
class Identified:
    """The answer: the accepted hypothesis, and the adapter that states it."""

    hypothesis: Hypothesis
    adapter: Adapter

    @property
    def like(self) -> str:
        """The class of torch.nn that it computes."""
        return self.hypothesis.like

    @property
    def sentence(self) -> str:
        """The conventions in words."""
        return self.hypothesis.sentence()

    @property
    def drop_in(self) -> bool:
        """Whether these are torch.nn's own conventions, names included."""
        return not self.stated()

    def stated(self) -> dict[str, Any]:
        """The adapter's arguments that are not the default."""
        optional = [f for f in fields(Adapter) if f.default is not MISSING]
        values = {f.name: getattr(self.adapter, f.name) for f in optional}
        return {f.name: values[f.name] for f in optional if values[f.name] != f.default}

    def text(self) -> str:
        """The adapter as code."""
        shown = [f"{n}={v!r}" for n, v in {"like": self.like, **self.stated()}.items()]
        return f"Adapter({', '.join([self.adapter.label, *shown])})"


def identify(target: Callable[..., Any], name: str = "", like: str | None = None) -> Identified:
    """The conventions of a class or factory that is called with (input_size, hidden_size).

    With `like` only one class of torch.nn is considered.  Raises `SubjectError`, one line, if no
    hypothesis is accepted, or more than one.
    """
    label = name or getattr(target, "__name__", "the subject")
    probe = _Probe(target, label)
    accepted: list[Hypothesis] = []
    nearest: tuple[float, Hypothesis] | None = None
    for style in _STYLES:
        if not probe.answers(style):
            continue
        for hypothesis in hypotheses(probe.shapes, style, like):
            ratio = probe.distance(hypothesis, SEEDS[0])
            if ratio <= 1 and all(probe.distance(hypothesis, seed) <= 1 for seed in SEEDS[1:]):
                accepted.append(hypothesis)
            if nearest is None or ratio < nearest[0]:
                nearest = ratio, hypothesis
    if len(accepted) == 1:
        return Identified(accepted[0], _adapter(target, probe, accepted[0]))
    if accepted:
        texts = " or ".join(h.sentence() for h in accepted[:4])
        why = f"its results fit more than one hypothesis: {texts}"
    elif nearest is not None:
        ratio, hypothesis = nearest
        why = (
            f"the nearest hypothesis is {hypothesis.sentence()}, but its results differ from that "
            f"by {ratio:.3g} × the bound"
        )
    else:
        why = probe.why_none()
    raise SubjectError(f"{label} cannot be identified: {why}")


def _adapter(target: Callable[..., Any], probe: _Probe, found: Hypothesis) -> Adapter:
    options = found.options
    standard = torch_names(found.like)
    torch_like = {n.format(layer=0, direction=""): p for n, p in standard.items()}
    torch_like.pop("weight_hr_l0", None), torch_like.pop("weight_hr", None)
    gates = "" if found.layout.gates == "".join(KINDS[options.kind].gates) else found.layout.gates
    return Adapter(
        target,
        found.like,
        weights=None if found.weights == torch_like else found.weights,
        gates=gates,
        transposed=bool(found.layout.transposed),
        state="ch" if found.style.states == "ch" else "",
        layout="batch-major" if found.style.batch_major else "",
        layer_axis=found.style.layer_axis,
        arrays=probe.arrays,
        reset_after=options.reset_after,
        update_keeps=options.update_keeps,
        nonlinearity="relu" if options.nonlinearity == "relu" else "",
    )


class _Probe:
    """An implementation of the probe's sizes, and the distance of its results from a hypothesis."""

    def __init__(self, target: Callable[..., Any], label: str) -> None:
        if isinstance(target, Adapter):
            raise SubjectError(
                f"{label} is an Adapter, which states its conventions; expected a class or factory"
            )
        if not callable(target):
            raise SubjectError(
                f"{label} cannot be identified: expected a class or factory, not a "
                f"{type(target).__name__}"
            )
        try:
            with torch.random.fork_rng(devices=[]):
                self.own = target(INPUT, HIDDEN)
        except Exception as error:
            raise SubjectError(
                f"{label} cannot be identified: called with ({INPUT}, {HIDDEN}) it raises "
                f"{type(error).__name__}: {error}"
            ) from error
        held = self._held()
        self.arrays = "numpy" if any(isinstance(v, np.ndarray) for v in held.values()) else "torch"
        self.shapes = {n: tuple(v.shape) for n, v in held.items()}
        self.precision = PRECISIONS["float64"]
        self.errors: list[str] = []
        self.returned: dict[tuple[Style, int], dict[str, Array]] = {}
        if not any(self.answers(style) for style in _STYLES):
            self.precision = PRECISIONS["float32"]

    def _held(self) -> dict[str, Any]:
        own = self.own
        return dict(own.named_parameters()) if isinstance(own, nn.Module) else own_arrays(own)

    def weights(self, seed: int) -> dict[str, Array]:
        """Own name → values; no two are equal, and no gate saturates."""
        rng, fmt = seeded(seed, 0), self.precision.storage
        return {
            n: fmt.round(values(rng, "spread", s, fmt) / np.sqrt(max(s, default=1)))
            for n, s in self.shapes.items()
        }

    def inputs(self, style: Style, seed: int) -> tuple[Array, list[Array]]:
        """Input and the states h (and c), exact in the format."""
        rng, fmt = seeded(seed, 1), self.precision.storage
        lead = () if style.cell else (1,)  # the reference's axis of layers
        x = values(rng, "spread", (TIME, BATCH, INPUT), fmt)
        states = [values(rng, "spread", (*lead, BATCH, HIDDEN), fmt) for _ in style.states]
        return (x[0] if style.cell else x), states

    def answers(self, style: Style) -> bool:
        """Whether a way of calling gives results of the right number and shapes."""
        return all(self._run(style, seed) is not None for seed in SEEDS)

    def _run(self, style: Style, seed: int) -> dict[str, Array] | None:
        key = style, seed
        if key not in self.returned:
            try:
                self.returned[key] = self._call(style, seed)
            except Exception as error:
                self.errors.append(f"{type(error).__name__}: {error}".splitlines()[0])
        return self.returned.get(key)

    def _call(self, style: Style, seed: int) -> dict[str, Array]:
        x, states = self.inputs(style, seed)
        if style.batch_major:
            x = np.ascontiguousarray(np.swapaxes(x, 0, 1))
        named = dict(zip("hc", states, strict=False))
        dtype = torch.float64 if self.precision.name == "float64" else torch.float32
        convert = self._as_tensor if self.arrays == "torch" else self._as_array
        self._set(self.weights(seed), dtype)
        axis = style.cell or style.layer_axis
        given = tuple(convert(named[n] if axis else named[n][0], dtype) for n in style.states)
        with torch.no_grad():
            returned = flat(plain_call(self.own, convert(x, dtype), given))
        names = (() if style.cell else ("output",)) + tuple(style.states)
        if len(returned) != len(names):
            raise ValueError(f"it returns {len(returned)} arrays, expected {len(names)}")
        results = {}
        for name, value in zip(names, returned, strict=True):
            array = np.asarray(value.double() if isinstance(value, Tensor) else value, np.float64)
            if style.batch_major and name == "output":
                array = np.swapaxes(array, 0, 1)
            if not axis and name != "output":
                array = array[None]
            shape = (TIME, BATCH, HIDDEN) if name == "output" else states[0].shape
            if array.shape != shape:
                raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
            results[name] = array
        return results

    def _set(self, weights: dict[str, Array], dtype: torch.dtype) -> None:
        if isinstance(self.own, nn.Module):
            self.own.eval().to(dtype)
        for name, held in self._held().items():
            if isinstance(held, Tensor):
                held.data.copy_(torch.from_numpy(weights[name]))
            else:
                setattr(self.own, name, self._as_array(weights[name], dtype))

    @staticmethod
    def _as_tensor(array: Array, dtype: torch.dtype) -> Any:
        return torch.from_numpy(array.copy()).to(dtype)

    @staticmethod
    def _as_array(array: Array, dtype: torch.dtype) -> Any:
        return array.astype(np.float64 if dtype is torch.float64 else np.float32)

    def distance(self, guess: Hypothesis, seed: int) -> float:
        """The largest error / bound of the results under a hypothesis; ∞ if one is not finite.

        The first step is compared before the rest.  It refutes nearly all hypotheses, at the cost
        of one step.
        """
        got = self.returned[guess.style, seed]
        w = guess.layout.canonical(guess.options, self.weights(seed))
        x, states = self.inputs(guess.style, seed)
        worst = 0.0
        for result, ball in self._expected(guess, w, x, states):
            with np.errstate(all="ignore"):
                error = np.abs(got[result][: len(ball.v)] - ball.v)
                ratio = np.where(np.isfinite(ball.radius), error / ball.radius, np.inf)
            worst = max(worst, float(np.nan_to_num(ratio, nan=np.inf).max()))
            if worst > 1:
                break
        return worst

    def _expected(
        self, guess: Hypothesis, w: dict[str, Array], x: Array, states: list[Array]
    ) -> Iterator[tuple[str, Ball]]:
        p: Precision = self.precision
        options: Options = guess.options
        balls = [exact(s, p) for s in states]
        if guess.style.cell:
            yield from cell(options, w, exact(x, p), tuple(balls)).items()
            return
        yield "output", layer(options, w, exact(x[:1], p), balls).output
        whole = layer(options, w, exact(x, p), balls)
        yield "output", whole.output
        yield from whole.states.items()

    def why_none(self) -> str:
        """Why no result could be compared with a hypothesis."""
        if not self.returned:
            error = "; ".join(self.errors[:1])
            return f"it can be called neither as a layer nor as a cell ({error})"
        shapes = ", ".join(f"{n} {s}" for n, s in self.shapes.items()) or "none at all"
        return f"no known layout has weights {shapes} for input_size={INPUT}, hidden_size={HIDDEN}"
