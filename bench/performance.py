"""Makes docs/performance.json from a run of the benchmarks: ratios, and the machine they are of.

Usage: pytest bench --benchmark-json=FILE; python bench/performance.py FILE

`python docs/make.py` makes the page docs/performance.md from it.  No absolute time is kept, since
machines differ: a ratio is of the shortest times of one run.
"""

from __future__ import annotations

import argparse
import json
import sys
from math import log
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gatewise.properties.environment import environment

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "docs" / "performance.json"
#: Table → the column that the others are divided by.
OVER = {"reference": "forward", "impl": "torch.nn"}
#: What of the environment the page shows.
_SHOWN = ("processor", "cores", "python", "torch", "blas", "cpu_capability", "numpy", "hypothesis")

Row = dict[str, Any]


def tables(benchmarks: list[dict[str, Any]]) -> dict[str, dict[str, Row]]:
    """Table → row → column → what was measured, of pytest-benchmark's own records."""
    found: dict[str, dict[str, Row]] = {}
    for one in benchmarks:
        own = one["extra_info"]
        row = found.setdefault(own["table"], {}).setdefault(own["row"], {})
        row[own["column"]] = {**own, "seconds": one["stats"]["min"]}
    return found


def performance(benchmarks: list[dict[str, Any]]) -> dict[str, Any]:
    """The ratios of every table."""
    measured = tables(benchmarks)
    result: dict[str, Any] = {"cases": _cases(measured["cases"])}
    for table, base in OVER.items():
        result[table] = {
            row: {
                column: _short(own["seconds"] / columns[base]["seconds"])
                for column, own in columns.items()
                if column != base
            }
            for row, columns in measured[table].items()
        }
    result["growth"] = {
        row: {"exponent": _exponent(columns)} for row, columns in measured["growth"].items()
    }
    return result


def _cases(rows: dict[str, Row]) -> dict[str, dict[str, float]]:
    found = {}
    for row, columns in rows.items():
        own, plain = columns["Gatewise"], columns["plain suite"]
        per_case = own["seconds"] / own["cases"]
        found[row] = {
            "case over subject": _short(1 / own["subject"]),
            "subject": _short(own["subject"]),
            "reference": _short(own["reference"]),
            "cases per second over the plain suite's": _short(
                plain["seconds"] / plain["cases"] / per_case
            ),
        }
    return found


def _exponent(columns: Row) -> float:
    """The slope of log time by log size, fitted to the upper half of the sizes."""
    points = sorted((log(float(size)), log(own["seconds"])) for size, own in columns.items())
    points = points[len(points) // 2 - 1 :]
    x, y = (sum(p[k] for p in points) / len(points) for k in (0, 1))
    slope = sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)
    return _short(slope)


def _short(number: float) -> float:
    return float(f"{number:.3g}")


def main() -> int:
    """Write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="what pytest wrote with --benchmark-json")
    given = json.loads(parser.parse_args().file.read_text(encoding="utf-8"))
    here = environment()
    record = {"machine": {name: here[name] for name in _SHOWN}}
    record |= performance(given["benchmarks"])
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {RECORD.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
