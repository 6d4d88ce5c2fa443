"""Dropout: where it acts, how it scales, and how often it drops.

The module `masks` reads the dropout masks from the results.  Statistical claims are exact binomial
tests (`checking.binomial`): a run of a correct subject fails any of them once in 10⁹ runs.
"""

from __future__ import annotations

import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from gatewise.reference.classes import LAYERS, NAMED_LAYERS
from gatewise.reference.formats import Array

from ...cases.case import Case
from ...cases.values import ORDINARY
from ...checking.binomial import check_rate
from ...checking.comparison import Check, bits
from ...checking.oracle import compare_all, expected, expected_gradients, upstream_arrays
from ...devices import row_of
from ...precisions import PLAIN
from ...subjects.protocol import Subject, Unsupported
from ..property import Family
from .masks import (
    Mask,
    nearest,
    outputs_with,
    read,
    run_showing,
    scale,
    seeded_generators,
    seeded_run,
    showing_input,
    showing_states,
    showing_weights,
)

FAMILY = Family("dropout")

#: Multiples of 1/8, for which 1 − p is exact.
PROBABILITIES = ("0.5", "0.25", "0.75")


def with_dropout(case: Case) -> Case:
    """The case with the probability that its variant is."""
    return case.but(dropout=float(case.variant))


def _evaluated(case: Case) -> tuple[Case, list[Array]]:
    return with_dropout(case).but(num_layers=2 + case.seed % 2, training=False), []


def _deep(case: Case) -> tuple[Case, list[Array]]:
    return case.but(num_layers=2 + case.seed % 2), []


def _silenced(case: Case) -> tuple[Case, list[Array]]:
    case, _ = _deep(case)
    batch = 1 if case.batch is None else case.batch
    zeros = np.zeros((case.time, batch, case.options.output_size))
    return case, [zeros] * (case.num_layers - 1)


@FAMILY.claims(
    "In evaluation nothing is dropped, whatever the probability, and also after a call in "
    "training.",
    "eval: f_p(x) = f_0(x), before and after f_p(x) in train()",
    of=LAYERS,
    share=0.2,
    num_layers=2,
    variants=(*PROBABILITIES, "1.0"),
    one_call=_evaluated,
)
def evaluation_drops_nothing(subject: Subject, case: Case, check: Check) -> None:
    case, _ = _evaluated(case)
    module, want = subject.build(case), expected(case)
    compare_all(check, seeded_run(subject, case, module, case.seed), want)
    seeded_run(subject, case, module.train(), case.seed)
    again = seeded_run(subject, case, module.eval(), case.seed)
    compare_all(check, again, want, "after a call in training: ")


@FAMILY.claims(
    "With probability 0 nothing is dropped in training, and the generator's seed does not matter.",
    "p = 0: f_p(x) = f(x)",
    of=LAYERS,
    share=0.15,
    num_layers=2,
    dropout=0.0,
    regimes=ORDINARY,
    one_call=_deep,
)
def zero_probability_drops_nothing(subject: Subject, case: Case, check: Check) -> None:
    case, _ = _deep(case)
    module, want = subject.build(case).train(), expected(case)
    first, second = (seeded_run(subject, case, module, case.seed + k) for k in (0, 1))
    compare_all(check, first, want)
    compare_all(check, second, want, "under another seed, ")
    if row_of(subject.device).repeats_bits:
        for name, result in first.items():
            same = torch.equal(bits(result), bits(second[name]))
            check.same(f"{name} is the same under another seed", same, True)


@FAMILY.claims(
    "With probability 1 each layer above the first reads zeros, and nothing else is dropped: not "
    "the input, the states, or the last layer's output.",
    "p = 1: x^(l+1) = 0, and 0 · 1/(1−p) is no NaN",
    of=LAYERS,
    share=0.2,
    num_layers=2,
    dropout=1.0,
    one_call=_silenced,
)
def certain_dropout_silences_between_layers(subject: Subject, case: Case, check: Check) -> None:
    case, masks = _silenced(case)
    got = seeded_run(subject, case, subject.build(case).train(), case.seed)
    compare_all(check, got, expected(case, masks=masks))


@FAMILY.claims(
    "With one layer nothing is dropped in training: the last layer's output is never dropped.",
    "L = 1: f_p(x) = f(x)",
    of=LAYERS,
    share=0.2,
    num_layers=1,
    variants=(*PROBABILITIES, "1.0"),
    one_call=lambda case: (with_dropout(case), []),
)
def single_layer_drops_nothing(subject: Subject, case: Case, check: Check) -> None:
    case = with_dropout(case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that the option has no effect here
        module = subject.build(case).train()
    compare_all(check, seeded_run(subject, case, module, case.seed), expected(case))


def _showing(subject: Subject, case: Case) -> tuple[Any, dict[str, Array]]:
    """A module in training mode, with weights that show its mask, and these weights."""
    weights = showing_weights(case)
    return subject.build(case, weights).train(), weights


@FAMILY.claims(
    "Each output of a layer reaches the next layer either as 0 or scaled by 1/(1−p). The states "
    "are not dropped, nor are the first layer's final states.",
    "x^(2)_tbj ∈ {0, h^(1)_tbj / (1−p)}",
    of=NAMED_LAYERS,
    precisions=PLAIN,
    share=0.2,
    num_layers=2,
    bias=True,
    variants=PROBABILITIES,
)
def survivors_are_scaled(subject: Subject, case: Case, check: Check) -> None:
    case = with_dropout(case)
    module, weights = _showing(subject, case)
    with seeded_generators(subject, case.seed):
        mask, got = run_showing(subject, case, module, check, weights)
    x, states = showing_input(case), showing_states(case)
    want = expected(case, x=x, state=states, weights=weights, masks=[scale(case, mask.shape, mask)])
    compare_all(check, got, want)


@FAMILY.claims(
    "The seed decides the mask whatever the weights are, also after a call in evaluation, and "
    "every result equals the reference under that mask.",
    "f_p(x; W, seed) = reference(x; W, mask(seed)), also after f_p(x) in eval()",
    of=NAMED_LAYERS,
    precisions=PLAIN,
    share=0.2,
    num_layers=2,
    bias=True,
    regimes=ORDINARY,
    variants=PROBABILITIES,
)
def equals_reference_given_its_mask(subject: Subject, case: Case, check: Check) -> None:
    case = with_dropout(case)
    module, weights = _showing(subject, case)
    with seeded_generators(subject, case.seed):
        mask, _ = run_showing(subject, case, module, check, weights)
    trained = subject.build(case)
    if case.seed % 2:
        subject.run(case, trained.eval())
    got = seeded_run(subject, case, trained.train(), case.seed)
    compare_all(check, got, expected(case, masks=[scale(case, mask.shape, mask)]))


@FAMILY.claims(
    "The backward pass applies the mask of the forward pass, with the same scale.",
    "∂L/∂(x, W) = BPTT of the reference under m/(1−p), with m read from the output",
    of=NAMED_LAYERS,
    precisions=PLAIN,
    share=0.2,
    needs=("gradients",),
    num_layers=2,
    bias=True,
    variants=PROBABILITIES,
)
def backward_uses_the_forward_mask(subject: Subject, case: Case, check: Check) -> None:
    # Each unit reads an input of its own, so the gradient of each input belongs to one unit.
    case = with_dropout(case)
    case = case.but(input_size=case.options.output_size, layout="contiguous")
    module, weights = _showing(subject, case)
    inputs, start = showing_input(case), showing_states(case)
    x, states = subject.given(case, x=inputs, state=start)
    x.requires_grad_()
    with seeded_generators(subject, case.seed):
        output = subject.call(case, module, x, states)["output"]
    upstream = upstream_arrays(case)["output"]
    given = {"input": x, **dict(module.named_parameters())}
    found = torch.autograd.grad(output, tuple(given.values()), subject.tensor(upstream, case))
    mask = read(check, case, output, weights)
    want = expected_gradients(
        case,
        {"output": upstream},
        x=inputs,
        state=start,
        weights=weights,
        masks=[scale(case, mask.shape, mask)],
    )
    for name, gradient in zip(given, found, strict=True):
        check.close(f"gradient of {name}", gradient, want[name])


def _many(case: Case, num_layers: int = 2) -> Case:
    """The case with 2048 units in a mask, or twice as many when bidirectional."""
    hidden = 16 + (case.proj_size > 0)
    return with_dropout(case).but(
        num_layers=num_layers,
        input_size=4,
        hidden_size=hidden,
        proj_size=16 if case.proj_size else 0,
        time=8,
        batch=16,
        layout="contiguous",
    )


def _masks(subject: Subject, case: Case, check: Check, calls: int) -> list[Mask]:
    """The masks of several calls of one module, one after another, from the case's seed."""
    module, weights = _showing(subject, case)
    with seeded_generators(subject, case.seed):
        return [run_showing(subject, case, module, check, weights)[0] for _ in range(calls)]


def equal_by_chance(case: Case) -> Fraction:
    """The probability that two independent draws are both kept or both dropped."""
    p = Fraction(case.dropout)
    return p * p + (1 - p) * (1 - p)


@FAMILY.claims(
    "Units are kept at the rate 1 − p, by an exact binomial test at one false alarm in 10⁹ runs.",
    "#kept ~ Binomial(T·B·D·R, 1−p)",
    of=NAMED_LAYERS,
    share=0.1,
    num_layers=2,
    bias=True,
    forms=("dense",),
    variants=PROBABILITIES,
)
def keep_rate_is_binomial(subject: Subject, case: Case, check: Check) -> None:
    case = _many(case)
    (mask,) = _masks(subject, case, check, 1)
    kept = int(np.count_nonzero(mask))
    check_rate(check, "units kept", kept, mask.size, 1 - Fraction(case.dropout))


@FAMILY.claims(
    "Each unit of each row and step is dropped independently: neighbours agree as often as "
    "independent draws do, by an exact binomial test at one false alarm in 10⁹ runs.",
    "#{m_a = m_b} ~ Binomial(pairs, p² + (1−p)²), pairs disjoint in t, in b and in j",
    of=NAMED_LAYERS,
    share=0.1,
    num_layers=2,
    bias=True,
    forms=("dense",),
    variants=PROBABILITIES,
)
def units_are_dropped_independently(subject: Subject, case: Case, check: Check) -> None:
    case = _many(case)
    (mask,) = _masks(subject, case, check, 1)
    for axis, name in enumerate(("steps", "rows", "units")):
        even, odd = (np.take(mask, np.arange(k, mask.shape[axis], 2), axis) for k in (0, 1))
        label = f"neighbouring {name} kept or dropped together"
        equal = int(np.count_nonzero(even == odd))
        check_rate(check, label, equal, even.size, equal_by_chance(case))


@FAMILY.claims(
    "A second call draws a new mask, by an exact binomial test at one false alarm in 10⁹ runs.",
    "#{m_1 = m_2} ~ Binomial(T·B·D·R, p² + (1−p)²)",
    of=NAMED_LAYERS,
    share=0.1,
    num_layers=2,
    bias=True,
    forms=("dense",),
    variants=PROBABILITIES,
)
def each_call_draws_its_mask(subject: Subject, case: Case, check: Check) -> None:
    case = _many(case)
    first, second = _masks(subject, case, check, 2)
    equal = int(np.count_nonzero(first == second))
    label = "units kept or dropped in both of two calls"
    check_rate(check, label, equal, first.size, equal_by_chance(case))


@FAMILY.claims(
    "Each pair of adjacent layers draws a mask of its own, by an exact binomial test at one false "
    "alarm in 10⁹ runs.",
    "#{m^(1) kept | m^(2) kept} ~ Binomial(#{m^(2) kept}, 1−p)",
    of=NAMED_LAYERS,
    share=0.1,
    num_layers=3,
    bias=True,
    forms=("dense",),
    variants=("0.5",),
)
def each_layer_draws_its_mask(subject: Subject, case: Case, check: Check) -> None:
    # A bias of 1 keeps the second layer's output away from 0.  So the third layer reads 0 only
    # where the second mask drops a unit, and elsewhere the value tells the first mask.
    case = _many(case, num_layers=3)
    weights = showing_weights(case, lifted=True)
    module = subject.build(case, weights).train()
    with seeded_generators(subject, case.seed):
        got = subject.run(case, module, x=showing_input(case), state=showing_states(case))
    hypotheses = {
        "kept twice": outputs_with(case, weights, [True, True]),
        "dropped below the second layer": outputs_with(case, weights, [False, True]),
        "dropped above it": outputs_with(case, weights, [True, False]),
    }
    found = nearest(check, case, "output", got["output"], hypotheses)
    twice, seen = int(np.count_nonzero(found == 0)), int(np.count_nonzero(found != 2))
    label = "units kept by the first mask of those that the second kept"
    check_rate(check, label, twice, seen, 1 - Fraction(case.dropout))


@FAMILY.claims(
    "The same seed gives the same mask, and on a CPU results with the same bits.",
    "mask(seed) = mask(seed)",
    of=NAMED_LAYERS,
    share=0.15,
    num_layers=2,
    bias=True,
    variants=PROBABILITIES,
)
def seed_reproduces_the_mask(subject: Subject, case: Case, check: Check) -> None:
    case = with_dropout(case)
    module, weights = _showing(subject, case)
    runs = []
    for _ in range(2):
        with seeded_generators(subject, case.seed):
            runs.append(run_showing(subject, case, module, check, weights))
    (first, one), (second, other) = runs
    check.same("units whose mask differs", int(np.count_nonzero(first != second)), 0)
    if row_of(subject.device).repeats_bits:
        for name, result in one.items():
            same = torch.equal(bits(result), bits(other[name]))
            check.same(f"{name} is the same under one seed", same, True)


@FAMILY.claims(
    "The next call uses a probability that was set after construction.",
    "m.dropout = p, then x^(2)_tbj ∈ {0, h^(1)_tbj / (1−p)}; none at p = 0, all at p = 1",
    of=NAMED_LAYERS,
    share=0.2,
    num_layers=2,
    bias=True,
    variants=("0.0", "0.25", "0.75", "1.0"),
)
def probability_may_be_changed(subject: Subject, case: Case, check: Check) -> None:
    module, weights = _showing(subject, case.but(dropout=0.5))
    if not hasattr(module, "dropout"):
        raise Unsupported(f"{subject.name} has no attribute dropout")
    x, states = showing_input(case), showing_states(case)
    with seeded_generators(subject, case.seed):
        subject.run(case, module, x=x, state=states)
        module.dropout = float(case.variant)
        output = subject.run(case, module, x=x, state=states)["output"]
    case = with_dropout(case)
    if case.dropout in (0.0, 1.0):
        kept = case.dropout == 0.0
        fate = f"all {'kept' if kept else 'dropped'}"
        want = outputs_with(case.but(dropout=0.0), weights, [kept])
        name = f"output with dropout set to {case.dropout:g} after construction"
        nearest(check, case, name, output, {fate: want})
    else:
        read(check, case, output, weights)
