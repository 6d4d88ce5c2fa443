"""Determinism: the same call gives the same bits, and leaves the random generators alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import numpy as np
import torch
from torch import nn

from gatewise.reference.classes import ALL, LAYERS

from .. import process_state
from ..cases.case import Case
from ..checking.comparison import Check, agree, bits
from ..checking.oracle import expected
from ..devices import row_of
from ..levels import CONTRACT
from ..precisions import FLOAT32
from ..subjects.adapting.module import Adapted
from ..subjects.protocol import Results, Subject, Unsupported
from .property import Family

FAMILY = Family("determinism", CONTRACT, evaluates=True)


def _same(
    check: Check, subject: Subject, case: Case, first: Results, again: Results, when: str
) -> None:
    """Require the same bits on a CPU.

    On other devices atomic operations may reorder a sum, so results must agree within the bound.
    """
    check.same(f"the names of the results {when}", sorted(again), sorted(first))
    if row_of(subject.device).repeats_bits:
        for name, result in first.items():
            same = torch.equal(bits(result), bits(again[name]))
            check.same(f"{name} {when} has the same bits", same, True)
    else:
        for name, ball in expected(case).items():
            agree(check, f"{name} {when}", again[name], first[name], ball, ball)


@FAMILY.claims(
    "The same call twice gives the same bits on a CPU, and agrees within the bound elsewhere.",
    "f(x) = f(x)",
    of=ALL,
    share=0.3,
)
def repeated_call_gives_the_same_bits(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    first, second = subject.run(case, module), subject.run(case, module)
    _same(check, subject, case, first, second, "again")


@FAMILY.claims(
    "Two threads that call one module at once get the bits that one thread gets.",
    "f(x) in each of two threads = f(x)",
    of=ALL,
    share=0.15,
)
def two_threads_get_the_same_bits(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    if isinstance(module, Adapted) and not module.calling.function:
        raise Unsupported("an adapted module gets its weights at each call, in one thread")
    first = subject.run(case, module)
    other = case.but(seed=case.seed ^ 1)
    x, states = other.input_array, other.state_arrays
    alone = subject.run(case, module, x=x, state=states)
    together, threads = Barrier(2), torch.get_num_threads()

    def same() -> Results:
        # A new thread starts with OpenMP's default number, which may decide how a sum is split.
        torch.set_num_threads(threads)
        together.wait(60)
        return subject.run(case, module)

    def differs() -> Results:
        torch.set_num_threads(threads)
        together.wait(60)
        return subject.run(case, module, x=x, state=states)

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(same), pool.submit(differs)]
        results = [f.result() for f in futures]
    _same(check, subject, case, first, results[0], "in a thread")
    if row_of(subject.device).repeats_bits:
        _same(check, subject, other, alone, results[1], "of another input in a thread")


def _other_input(subject: Subject, case: Case, module: nn.Module) -> None:
    other = case.but(seed=case.seed ^ 1)
    subject.run(case, module, x=other.input_array, state=other.state_arrays)


def _other_sizes(subject: Subject, case: Case, module: nn.Module) -> None:
    batch = None if case.batch is None else case.batch + 1
    subject.run(case.but(batch=batch, time=case.time + 1, lengths=None), module)


def _other_module(subject: Subject, case: Case, module: nn.Module) -> None:
    subject.run(case.but(seed=case.seed ^ 1))


def _other_mode(subject: Subject, case: Case, module: nn.Module) -> None:
    module.train(not case.training)
    subject.run(case, module)
    module.train(case.training)


def _reseeded(subject: Subject, case: Case, module: nn.Module) -> None:
    process_state.seed(case.seed)


#: What happens between two calls, by its name in a message.
BETWEEN: dict[str, Callable[[Subject, Case, nn.Module], None]] = {
    "a call on another input": _other_input,
    "a call of other sizes": _other_sizes,
    "a call of another module": _other_module,
    "a call in the other mode": _other_mode,
    "new seeds of the generators": _reseeded,
}


@FAMILY.claims(
    "A module keeps no state: nothing that happens between two calls changes the second.",
    "f(x) after anything = f(x)",
    of=ALL,
    share=0.1,
)
def unrelated_calls_change_no_bit(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    first = subject.run(case, module)
    with _generators_kept():
        for what, happens in BETWEEN.items():
            happens(subject, case, module)
            second = subject.run(case, module)
            _same(check, subject, case, first, second, f"after {what}")


@FAMILY.claims(
    "A backward pass between two calls does not change the second.",
    "f(x) after ∂f/∂w = f(x)",
    of=ALL,
    precisions=FLOAT32,
    needs=("gradients",),
    share=0.1,
)
def backward_pass_changes_no_bit(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    first = subject.run(case, module)
    results = subject.call(case, module, *subject.given(case))
    torch.autograd.backward([r.sum() for r in results.values()])
    second = subject.run(case, module)
    _same(check, subject, case, first, second, "after a backward pass")


@FAMILY.claims(
    "In training, dropout draws from torch's generator alone; in evaluation it draws from none.",
    "states of the generators of NumPy and Python, and in evaluation of torch, before f = after f",
    of=LAYERS,
    precisions=FLOAT32,
    share=0.15,
    num_layers=2,
    dropout=0.5,
)
def dropout_draws_from_torch_alone(subject: Subject, case: Case, check: Check) -> None:
    module = subject.build(case)
    for mode in ("training", "evaluation"):
        module.train(mode == "training")
        before = process_state.generators()
        subject.run(case, module)
        for name, digest in process_state.generators().items():
            if mode == "evaluation" or "torch" not in name:
                check.same(f"{name} after a call in {mode}", digest, before[name])


@contextmanager
def _generators_kept() -> Iterator[None]:
    """Restore the generators of torch (on the CPU), NumPy and `random` at the end."""
    before = (torch.get_rng_state(), np.random.get_state(), random.getstate())
    try:
        yield
    finally:
        torch.set_rng_state(before[0])
        np.random.set_state(before[1])
        random.setstate(before[2])


@FAMILY.claims(
    "Torch's seed decides the initial weights, and construction draws from no other generator.",
    "seed s ⇒ the same weights, bit for bit",
    of=ALL,
    precisions=FLOAT32,
    share=0.15,
)
def initial_weights_follow_the_seed(subject: Subject, case: Case, check: Check) -> None:
    with _generators_kept():
        process_state.seed(case.seed)
        before = process_state.generators()
        first = subject.make(case).state_dict()
        for name, digest in process_state.generators().items():
            if "torch" not in name:
                check.same(f"{name} after construction", digest, before[name])
        process_state.seed(case.seed ^ 1)
        torch.manual_seed(case.seed)
        second = subject.make(case).state_dict()
    for name, weight in first.items():
        same = torch.equal(bits(weight), bits(second[name]))
        check.same(f"that {name} made twice from one seed has the same bits", same, True)
