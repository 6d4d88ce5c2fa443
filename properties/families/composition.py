"""Composition: a layer is made of steps, halves, layers and directions."""

from __future__ import annotations

import numpy as np

from gatewise.reference.classes import LAYERS, TORCH_LAYERS, class_of

from ..cases.case import Case
from ..checking.comparison import Check, agree
from ..checking.oracle import expected
from ..subjects.builtin import torchs
from ..subjects.protocol import Subject, Unsupported
from .interface import final_states
from .property import UNPACKED, Family

FAMILY = Family("composition", evaluates=True)


@FAMILY.claims(
    "A layer equals the torch.nn cell of its kind applied step by step.",
    "output_t = h_t with s_{t+1} = cell(x_t, s_t)",
    of=TORCH_LAYERS,
    forms=UNPACKED,
    num_layers=1,
    bidirectional=False,
    batch_first=False,
    proj_size=0,
)
def layer_equals_unrolled_cell(subject: Subject, case: Case, check: Check) -> None:
    if not (case.reset_after and case.update_keeps):
        raise Unsupported("torch.nn has no GRU of this form")
    cell = torchs(class_of(case.kind, cell=True), subject.device)
    one = case.but(cell=True, time=1, with_state=True, biases=("ih", "hh"))
    w = {name.removesuffix("_l0"): v for name, v in case.weight_arrays.items()}
    for name, shape in one.weight_shapes.items():
        w.setdefault(name, np.zeros(shape))  # a bias that the subject does not have
    got, module = subject.run(case), cell.build(one, w)
    want = expected(case)
    state = [s[0] for s in case.state_arrays]
    steps = []
    for x in case.input_array:
        results = cell.run(one, module, x=x, state=state)
        state = [results[n].double().cpu().numpy() for n in one.final_names]
        steps.append(state[0])
    agree(check, "output", got["output"], np.stack(steps), want["output"], want["output"])
    for name, last in zip(case.final_names, state, strict=True):
        agree(check, name, got[name], last[None], want[name], want[name])


@FAMILY.claims(
    "A sequence run in two parts equals the whole, where the second part starts from the final "
    "state of the first.",
    "f(x, s) = [f(x_{<k}, s), f(x_{>=k}, s_k)]",
    of=LAYERS,
    least={"time": 2},
    forms=UNPACKED,
    bidirectional=False,
    batch_first=False,
)
def time_split(subject: Subject, case: Case, check: Check) -> None:
    k = 1 + case.seed % (case.time - 1)
    module, x = subject.build(case), case.input_array
    whole = subject.run(case, module)
    first = subject.run(case.but(time=k), module, x=x[:k])
    second_case = case.but(time=case.time - k, with_state=True)
    second = subject.run(second_case, module, x=x[k:], state=final_states(case, first))
    want = expected(case)
    parts = np.concatenate([first["output"].double().cpu(), second["output"].double().cpu()])
    agree(check, "output", whole["output"], parts, want["output"], want["output"])
    for name in case.final_names:
        agree(check, name, whole[name], second[name], want[name], want[name])


@FAMILY.claims(
    "L layers equal L single layers stacked.",
    "f_L = f^(L) ∘ … ∘ f^(1), each with its own weights and state",
    of=LAYERS,
    forms=UNPACKED,
    batch_first=False,
    num_layers=2,
)
def layers_stack(subject: Subject, case: Case, check: Check) -> None:
    got, want = subject.run(case), expected(case)
    directions = case.options.directions
    x, ends = case.input_array, []
    for index in range(case.num_layers):
        rows = slice(index * directions, (index + 1) * directions)
        one = case.but(num_layers=1, input_size=x.shape[-1], with_state=True)
        w = {
            name.replace(f"_l{index}", "_l0"): v
            for name, v in case.weight_arrays.items()
            if f"_l{index}" in name
        }
        state = [s[rows] for s in case.state_arrays]
        results = subject.run(one, x=x, state=state, weights=w)
        x = results["output"].double().cpu().numpy()
        ends.append(final_states(one, results))
    agree(check, "output", got["output"], x, want["output"], want["output"])
    for i, name in enumerate(case.final_names):
        stacked = np.concatenate([end[i] for end in ends])
        agree(check, name, got[name], stacked, want[name], want[name])


@FAMILY.claims(
    "A bidirectional layer equals two layers side by side: one reads the input forward, the other "
    "in reverse order.",
    "output = [f(x), reverse(f′(reverse(x)))]",
    of=LAYERS,
    forms=UNPACKED,
    bidirectional=True,
    num_layers=1,
    batch_first=False,
)
def directions_are_independent(subject: Subject, case: Case, check: Check) -> None:
    got, want = subject.run(case), expected(case)
    one = case.but(bidirectional=False, with_state=True)
    halves, ends = [], []
    for d, end in enumerate(("", "_reverse")):
        x = case.input_array[::-1] if d else case.input_array
        w = {
            name.removesuffix("_reverse"): v
            for name, v in case.weight_arrays.items()
            if name.endswith("_reverse") == bool(end)
        }
        state = [s[d : d + 1] for s in case.state_arrays]
        results = subject.run(one, x=np.ascontiguousarray(x), state=state, weights=w)
        output = results["output"].double().cpu().numpy()
        halves.append(output[::-1] if d else output)
        ends.append(final_states(one, results))
    both = np.concatenate(halves, axis=-1)
    agree(check, "output", got["output"], both, want["output"], want["output"])
    for i, name in enumerate(case.final_names):
        stacked = np.concatenate([end[i] for end in ends])
        agree(check, name, got[name], stacked, want[name], want[name])


@FAMILY.claims(
    "The final hidden state is the last output of the forward direction and the first output of "
    "the reverse direction.",
    "h_n[-D] = output[T−1, :, :R],  h_n[-1] = output[0, :, R:]",
    of=LAYERS,
    forms=("dense", "unbatched", "ragged"),
    batch_first=False,
)
def final_state_is_a_slice_of_the_output(subject: Subject, case: Case, check: Check) -> None:
    got, want = subject.run(case), expected(case)
    width, directions = case.options.state_size, case.options.directions
    output, ball = got["output"].double().cpu().numpy(), want["output"]
    if case.lengths is None:
        last, last_ball = output[-1], ball[-1]
    else:
        at = (np.asarray(case.lengths) - 1, np.arange(len(case.lengths)))
        last, last_ball = output[at], ball[at]
    finals, h_n = got["h_n"], want["h_n"]
    row = -directions
    agree(
        check,
        "h_n of the forward direction",
        finals[row],
        last[..., :width],
        h_n[row],
        last_ball[..., :width],
    )
    if directions == 2:
        agree(
            check,
            "h_n of the reverse direction",
            finals[-1],
            output[0][..., width:],
            h_n[-1],
            ball[0][..., width:],
        )
