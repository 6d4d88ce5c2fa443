"""A subject that ends, hangs or changes its process is falsified, and nothing else suffers."""

from __future__ import annotations

import gc
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gatewise.properties import process_state
from gatewise.properties.cases.case import Case, case_from
from gatewise.properties.checking.comparison import Check, Mismatch
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.families.property import Property
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.running.records import FALSIFIED, HOLDS, UNSUPPORTED, Record
from gatewise.properties.running.sandbox import cpu_wait
from gatewise.properties.running.sandbox import parent as sandbox
from gatewise.properties.running.sandbox.cpu_wait import Patience
from gatewise.properties.session import diagnosed
from gatewise.properties.subjects.loading import load_subject
from gatewise.properties.subjects.protocol import Subject, SubjectFault, Unsupported

FILE = str(Path(__file__).with_name("misbehaving.py"))
RIGHT = Subject("torch.nn.LSTM", "LSTM", nn.LSTM)
STARTS = ("fork", "forkserver", "spawn") if sys.platform == "linux" else ("spawn",)
needs_fork = pytest.mark.skipif(sys.platform != "linux", reason="there is no fork")


def of(name: str) -> Subject:
    return load_subject(f"{FILE}:{name}")


def record_of(name: str, prop: str = "equals_reference", timeout: float = 30.0) -> Record:
    plan = Plan(CATALOGUE[prop], of(name), "float32")
    return run(plan, profile="standard", seed=1, case_timeout=timeout)


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    before = process_state.settings()
    yield
    assert process_state.settings() == before
    sandbox.close()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Segfaults", "the subject ended the process with SIGSEGV"),
        ("Aborts", "the subject ended the process with SIGABRT; it wrote: terminate called after"),
        ("ExitsWith0", "the subject ended the process: it exited with status 0"),
        ("ExitsWith3", "the subject ended the process: it exited with status 3"),
        ("IsKilled", "the subject ended the process with SIGKILL"),
        ("AsksToExit", "SystemExit: 3"),
    ],
)
@needs_fork
def test_a_death_is_falsified_with_its_name_and_shrunk(name: str, words: str) -> None:
    record = record_of(name)
    assert record.status == FALSIFIED
    assert words in record.message
    case = case_from(record.case)
    assert (case.num_layers, case.batch, case.time, case.input_size) == (2, 1, 1, 1)
    # The next property of the same subject is none the worse.
    assert record_of(name, "count_is_exact").status == HOLDS


def test_the_frame_of_a_segfault_is_named() -> None:
    assert "misbehaving.py" in record_of("Segfaults").message


@pytest.mark.parametrize("name", ["LoopsForEver", "Sleeps", "WaitsForALock"])
def test_a_hang_is_stopped_once_and_the_run_goes_on(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = []

    def answer(box: sandbox.Sandbox, channel: Connection, seconds: float) -> Any:
        answers.append(plainly(box, channel, seconds))
        return answers[-1]

    plainly = sandbox.Sandbox._answer
    monkeypatch.setattr(sandbox.Sandbox, "_answer", answer)
    record = record_of(name, timeout=1.5)
    assert answers.count(None) == 1  # not shrunk: one wait, and the cases before it
    assert record.status == FALSIFIED
    assert record.message == "the subject did not answer within 1.5 s"
    assert case_from(record.case).num_layers > 1
    assert record_of(name, "count_is_exact").status == HOLDS


@pytest.mark.parametrize(
    ("name", "prop", "words"),
    [
        ("Prints", "the_process_is_left_as_found", "standard output is 'two layers\\n'"),
        ("PrintsBelowPython", "the_process_is_left_as_found", "output is 'two layers\\n'"),
        ("ChangesDefaultDtype", "the_process_is_left_as_found", "the default dtype is torch.f"),
        ("ChangesDefaultDevice", "the_process_is_left_as_found", "device is 'meta', expected"),
        ("ChangesThreads", "the_process_is_left_as_found", "number of threads is 2, expected 1"),
        ("ChangesGradMode", "the_process_is_left_as_found", "grad mode is False, expected True"),
        ("ChangesDirectory", "the_process_is_left_as_found", "the current directory is '"),
        ("SeedsTorch", "a_call_draws_no_random_number", "state of torch's random generator"),
        ("SeedsNumPy", "a_call_draws_no_random_number", "state of NumPy's random generator"),
        ("SeedsPython", "a_call_draws_no_random_number", "state of Python's random generator"),
    ],
)
def test_a_change_of_the_process_is_falsified(name: str, prop: str, words: str) -> None:
    record = record_of(name, prop)
    assert record.status == FALSIFIED
    assert words in record.message
    assert case_from(record.case).num_layers == 2


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("Prints", "the subject wrote to its output: 'two layers\\n"),
        ("ChangesDefaultDtype", "the subject changed the default dtype"),
        ("ChangesThreads", "the subject changed the number of threads"),
        ("ReadsStandardInput", ""),
        ("SeedsTorch", ""),
    ],
)
def test_what_a_subject_does_beside_its_work_is_undone_and_noted(name: str, note: str) -> None:
    record = record_of(name, "result_shapes")
    assert record.status == HOLDS
    assert record.message.startswith(note) if note else not record.message


def one(subject: Subject, case: Case, check: Check) -> None:
    check.same("one", 1, 1)


def raising(subject: Subject, case: Case, check: Check) -> None:
    check.same("one", 1, 1)
    if case.variant == "mismatch":
        check.same("two", 2, 3)
    if case.variant == "fault":
        raise SubjectFault("no module")
    if case.variant == "unsupported":
        raise Unsupported("not offered")
    if case.variant == "other":
        raise ZeroDivisionError("by zero")


@pytest.mark.parametrize("start", STARTS)
def test_counts_and_exceptions_come_back_however_the_process_is_made(start: str) -> None:
    check = Check()
    with sandbox.Sandbox(RIGHT, start=start) as box:
        claim = raising if start == "fork" else CATALOGUE["result_shapes"].claim
        box.put(claim, Case("LSTM"), check)
        assert check.comparisons == (1 if start == "fork" else 3)
        if start == "fork":
            for variant, kind in (
                ("mismatch", Mismatch),
                ("fault", SubjectFault),
                ("unsupported", Unsupported),
            ):
                with pytest.raises(kind):
                    box.put(claim, Case("LSTM", variant=variant), check)
            with pytest.raises(sandbox.Raised) as caught:
                box.put(claim, Case("LSTM", variant="other"), check)
            assert type(caught.value).__name__ == "ZeroDivisionError"
            assert "in raising" in caught.value.told
            assert check.comparisons == 6  # one was compared before each failure, two fail
        box.put(CATALOGUE["equals_reference"].claim, Case("LSTM"), check)
        assert 0 < check.worst < 1


@pytest.mark.parametrize("start", STARTS)
def test_a_death_is_survived_however_the_process_is_made(start: str) -> None:
    claim = CATALOGUE["result_shapes"].claim
    with sandbox.Sandbox(of("ExitsWith3"), start=start) as box:
        for _ in range(2):
            with pytest.raises(sandbox.Death, match="exited with status 3") as caught:
                box.put(claim, Case("LSTM", num_layers=2), Check())
            assert caught.value.costly == (start == "spawn")
            box.put(claim, Case("LSTM"), Check())


@needs_fork
def test_a_claim_or_subject_without_a_name_is_put_by_a_fork() -> None:
    counted = []

    def local(subject: Subject, case: Case, check: Check) -> None:
        counted.append(case)
        check.same("one", 1, 1)

    check = Check()
    nameless = replace(RIGHT, factory=lambda *a, **k: nn.LSTM(*a, **k))
    with sandbox.Sandbox(nameless, start="forkserver") as box:
        box.put(local, Case("LSTM"), check)
        box.put(CATALOGUE["result_shapes"].claim, Case("LSTM"), check)
    assert check.comparisons == 4
    assert counted == []  # it was counted in the other process


@pytest.mark.parametrize("prop", CATALOGUE.values(), ids=list(CATALOGUE))
def test_a_claim_of_the_catalogue_can_be_sent(prop: Property) -> None:
    pickle.dumps(prop.claim)


def test_what_cannot_be_isolated_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "method", lambda device: "spawn")
    monkeypatch.setattr(sandbox.sys, "platform", "win32")
    nameless = replace(RIGHT, factory=lambda *a, **k: nn.LSTM(*a, **k))
    prop = Property(name="one", family="none", sentence="s", formula="f", claim=one, isolated=True)
    record = run(Plan(prop, nameless, "float32"), profile="quick")
    assert record.status == UNSUPPORTED
    assert "cannot be sent to a process" in record.message
    # What only comes from elsewhere is run here then: nothing says that it is dangerous.
    plan = Plan(replace(prop, isolated=False), replace(nameless, trusted=False), "float32")
    assert run(plan, profile="quick").status == HOLDS


def test_a_fork_is_not_made_where_native_threads_run(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        assert sandbox.method("cpu") == "spawn"
        return
    assert sandbox.method("cuda") == "forkserver"
    monkeypatch.setattr(os, "listdir", lambda path: ["1"] * (len(sys._current_frames()) + 1))
    assert sandbox.method("cpu") == "forkserver"


class _Cycle:
    """Garbage whose collection needs CPython's lock of all threads, as `threading.local` does."""

    def __init__(self) -> None:
        self.own = self
        self.local = threading.local()
        self.local.value = 1


@needs_fork
@pytest.mark.parametrize("allocations", range(6))
def test_threads_are_counted_whenever_a_collection_is_due(allocations: int) -> None:
    child = os.fork()
    if not child:  # it may hang
        signal.alarm(20)
        gc.collect()
        gc.disable()
        _Cycle()
        gc.set_threshold(gc.get_count()[0] + allocations)
        gc.enable()
        process_state.native_threads()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def generators(subject: Subject, case: Case, check: Check) -> None:
    """Fails with the first numbers of each generator, which tells them to the test."""
    numbers = float(torch.rand(())), random.random()
    torch.rand(100)
    raise SubjectFault(repr(numbers))


@needs_fork
def test_a_wait_for_a_core_is_not_the_subjects_time() -> None:
    """Four processes share a core, and each has what is left by the others."""
    loops = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nwhile True: pass"
    busy = [subprocess.Popen([sys.executable, "-c", loops]) for _ in range(4)]
    asleep = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1e6)"])
    try:
        time.sleep(0.5)  # until they loop
        crowded, alone = (Patience(p.pid, 100.0) for p in (busy[0], asleep))
        before = crowded.left(), alone.left()
        time.sleep(2.0)
        had = [b - p.left() for b, p in zip(before, (crowded, alone), strict=True)]
    finally:
        for process in (*busy, asleep):
            process.kill()
            process.wait()
    assert had[0] <= had[1] / 2
    assert had[1] >= 2.0 - had[0]


def test_no_wait_for_a_core_is_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_wait, "waits", lambda _: {"1": time.monotonic()})
    one = Patience(os.getpid(), 0.01)
    one.left()
    time.sleep(0.01 * cpu_wait.MOST)
    assert one.left() == 0


def test_every_case_starts_from_the_same_random_numbers() -> None:
    seen = set()
    with sandbox.Sandbox(RIGHT) as box:
        for _ in range(2):
            with pytest.raises(SubjectFault) as caught:
                box.put(generators, Case("LSTM", seed=5), Check())
            seen.add(str(caught.value))
    assert len(seen) == 1


def test_the_price_of_a_case_is_under_a_millisecond() -> None:
    with sandbox.Sandbox(RIGHT) as box:
        box.put(one, Case("LSTM"), Check())
        laps = []
        for _ in range(5):
            start = time.perf_counter()
            for _ in range(100):
                box.put(one, Case("LSTM"), Check())
            laps.append((time.perf_counter() - start) / 100)
    assert min(laps) < 1e-3


@needs_fork
def test_a_death_has_a_script_that_dies_in_the_same_way(tmp_path: Path) -> None:
    plan = Plan(CATALOGUE["equals_reference"], of("Segfaults"), "float32")
    record = diagnosed(plan, run(plan, profile="quick", seed=1), tmp_path)
    assert record.diagnosis.note == "the process ended, so there are no results to look at"
    command = [sys.executable, record.script]
    done = subprocess.run(command, capture_output=True, check=False, timeout=100)
    assert done.returncode == -signal.SIGSEGV


class DiesOfManyRows(nn.LSTM):
    """Wrong on one row, and dead on more: of what the diagnosis tries."""

    def forward(self, input: torch.Tensor, hx: object = None) -> object:
        if input.dim() == 3 and input.shape[1] > 1:
            os.abort()
        output, state = super().forward(input, hx)
        return output + 1, state


@needs_fork
def test_a_death_while_it_is_diagnosed_is_told(tmp_path: Path) -> None:
    subject = Subject("mine", "LSTM", DiesOfManyRows, trusted=False)
    plan = Plan(CATALOGUE["equals_reference"], subject, "float32")
    record = Record("mine", "cpu", "float32", "equals_reference", "agreement", FALSIFIED, 0)
    record = diagnosed(plan, replace(record, case="Case('LSTM')", message="wrong"), tmp_path)
    assert record.diagnosis.note.startswith("during the diagnosis, the subject ended the process")
    assert Path(record.script).is_file()


_PROGRAM = """
import torch
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.subjects.loading import as_subject

class Own(torch.nn.LSTM):
    pass

torch.set_num_threads(2)
torch.randn(500, 500) @ torch.randn(500, 500)
plan = Plan(CATALOGUE["several_threads_give_the_same"], as_subject({subject}), "float32")
print("says", run(plan, profile="quick").status)
"""


@pytest.mark.parametrize(
    ("subject", "code", "words"),
    [
        (f'"{FILE}:Prints"', 0, "says holds"),
        ("Own", 1, "put the code that checks it under `if __name__ == '__main__':` in the file"),
    ],
)
def test_a_program_without_a_guard_is_run_once(
    subject: str, code: int, words: str, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM.replace("{subject}", subject), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(program)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == code, done.stderr
    assert words in done.stdout + done.stderr
    assert done.stdout.count("says") == (code == 0)
