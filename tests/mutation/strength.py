"""How strong the suite is beside checks of others, on the same mutants: a record, and its page.

Usage: python -m tests.mutation.run --report DIR [--jobs 2]
       python -m tests.mutation.strength --report DIR [--jobs 2]
       python docs/make.py

The first puts this suite to every mutant and leaves DIR/mutation.jsonl.  The second puts the checks
of `peers` to every mutant, each mutant in a process of its own, adds to DIR/peers.jsonl as they
come (so that a run that was interrupted goes on where it stopped), and when all are there writes
docs/strength.jsonl, from which the page is made.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Lock
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "docs" / "strength.jsonl"
#: Seconds that the checks of one mutant may take together.
LIMIT = 300.0
SUITE = "Gatewise"
#: The columns of the page, this suite's first.
COLUMNS = (
    SUITE,
    "one example",
    "gradcheck",
    "ONNX vectors",
    "ModuleInfo",
    "KernelBench",
    "FlashRNN",
)

Outcome = dict[str, Any]
_ONE_FORK = Lock()


def _put(kind: str, factory: Any, checks: list[str], pipe: Any) -> None:
    """Put checks to a class, and send each outcome when it is there."""
    import torch

    from .peers import PEERS, NotOffered

    torch.set_num_threads(1)
    # What a mutant writes is no part of a report.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    for check in checks:
        start, by = time.perf_counter(), ""
        try:
            PEERS[check](kind, factory)
        except NotOffered:
            pipe.send((check, None))
            continue
        except Exception as error:
            by = type(error).__name__
        pipe.send((check, {"killed": bool(by), "by": by, "seconds": time.perf_counter() - start}))
    pipe.close()


def outcomes(kind: str, factory: Any) -> dict[str, Outcome | None]:
    """What each check of others says of a class; one that ends or hangs its process is killed."""
    found: dict[str, Outcome | None] = {}
    # A fork has the imports of its parent, which has run no kernel and so has no threads of them.
    context = multiprocessing.get_context("fork")
    begin = time.perf_counter()
    while left := [c for c in COLUMNS[1:] if c not in found]:
        with _ONE_FORK:  # another's process must not hold this pipe open
            receive, send = context.Pipe(duplex=False)
            process = context.Process(target=_put, args=(kind, factory, left, send), daemon=True)
            start = time.perf_counter()
            process.start()
            send.close()
        try:
            while receive.poll(max(0.0, begin + LIMIT - time.perf_counter())):
                check, outcome = receive.recv()
                found[check] = outcome
                start = time.perf_counter()
        except EOFError:
            ended = "its process ended"
        else:
            ended = "no answer in time"
            process.kill()
        process.join()
        rest = [c for c in left if c not in found]
        if rest:
            seconds = time.perf_counter() - start
            found[rest[0]] = {"killed": True, "by": ended, "seconds": seconds}
    return {check: found[check] for check in COLUMNS[1:]}


def all_outcomes(names: list[str], jobs: int) -> Iterator[tuple[str, dict[str, Outcome | None]]]:
    """The outcomes of mutants as they come."""
    from .all import MUTANTS

    with ThreadPoolExecutor(jobs) as pool:
        calls = {
            pool.submit(outcomes, MUTANTS[name].like, MUTANTS[name].factory): name for name in names
        }
        try:
            for done in as_completed(calls):
                yield calls[done], done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The records of a file of JSON lines; none where there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _rounded(outcome: Outcome | None) -> Outcome | None:
    return outcome and {**outcome, "seconds": round(outcome["seconds"], 3)}


def assemble(folder: Path) -> list[dict[str, Any]]:
    """One record a mutant from both runs; raises `ValueError` where one of them lacks a mutant."""
    from .all import MUTANTS

    own = {v["name"].removeprefix("mutant."): v for v in lines_of(folder / "mutation.jsonl")}
    others = {v["mutant"]: v["checks"] for v in lines_of(folder / "peers.jsonl")}
    for label, known in (("mutation.jsonl", own), ("peers.jsonl", others)):
        missing = [n for n in MUTANTS if n not in known]
        if missing:
            raise ValueError(f"{label} lacks {len(missing)} of {len(MUTANTS)}: {missing[0]} …")
    records = []
    for name, mutant in sorted(MUTANTS.items()):
        verdict = own[name]
        suite = {
            "killed": bool(verdict["killed_by"]),
            "by": verdict["killed_by"],
            "seconds": verdict["seconds"],
        }
        checks = {SUITE: suite, **others[name]}
        records.append(
            {
                "mutant": name,
                "class": mutant.fault_class,
                "checks": {c: _rounded(o) for c, o in checks.items()},
            }
        )
    return records


def alarms(folder: Path) -> dict[str, int]:
    """How many runs of correct subjects there were, of how many subjects, and false alarms."""
    from .all import MUTANTS

    lines = lines_of(folder / "mutation.jsonl")
    runs = [v for v in lines if v["name"].removeprefix("mutant.") not in MUTANTS]
    return {
        "subjects": len({v["name"].partition(" seed ")[0] for v in runs}),
        "runs": len(runs),
        "false": sum(bool(v["killed_by"]) for v in runs),
    }


def versions() -> dict[str, str]:
    """The packages whose checks are run."""
    import onnx
    import torch

    return {"torch": str(torch.__version__).partition("+")[0], "onnx": onnx.__version__}


def main() -> int:
    """Put the checks to what has none yet, and write the record when nothing is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path, required=True, help="the folder of mutation.jsonl")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--names", default="", help="only those whose name has this text")
    parser.add_argument("--record", type=Path, default=RECORD, help="where the record is written")
    args = parser.parse_args()
    from .all import MUTANTS
    from .kill import start_up
    from .registry import FAULT_CLASSES

    path = args.report / "peers.jsonl"
    args.report.mkdir(parents=True, exist_ok=True)
    done = {v["mutant"] for v in lines_of(path)}
    names = [n for n in MUTANTS if n not in done and args.names in n]
    if names:
        warm_up()
    with path.open("a", encoding="utf-8") as file:
        try:
            for name, found in all_outcomes(names, args.jobs):
                file.write(json.dumps({"mutant": name, "checks": found}) + "\n")
                file.flush()
                seen = [c for c, o in found.items() if o and o["killed"]]
                print(f"{name:48} {', '.join(seen) or 'survives'}", flush=True)
        except KeyboardInterrupt:
            print("interrupted; the same command goes on from here", flush=True)
            return 1
    try:
        records = assemble(args.report)
    except ValueError as error:
        print(f"no record is written: {error}")
        return 1
    head = {
        "versions": versions(),
        "classes": list(FAULT_CLASSES),
        "alarms": alarms(args.report),
        "start_up": start_up(),
    }
    text = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in (head, *records))
    args.record.write_text(text, encoding="utf-8", newline="\n")
    print(f"wrote {args.record}; now python docs/make.py")
    return 0


def warm_up() -> None:
    """In a thread-free parent: imports, and ONNX's vectors, for all forks.

    It is for a process of its own: torch.testing._internal forbids later changes of backend flags.
    """
    import torch

    from . import peers

    torch.set_num_threads(1)
    peers.warm()


if __name__ == "__main__":
    sys.exit(main())
