"""The page of a run: whole in a browser, on a narrow and a wide screen, and harmless."""

from __future__ import annotations

import importlib.util
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gatewise.properties.environment import environment
from gatewise.properties.families.catalogue import properties_for
from gatewise.properties.reporting.page import making
from gatewise.properties.running.plans import plans
from gatewise.properties.running.record_file import RunRecords, head
from gatewise.properties.running.records import (
    FALSIFIED,
    HOLDS,
    KNOWN_ISSUE,
    UNSUPPORTED,
    Diagnosis,
    Record,
)
from gatewise.properties.subjects.builtin import BUILTIN

if making.missing():
    pytest.skip(making.missing(), allow_module_level=True)

LOUD = "<script>alert('x')</script> \"quoted\" & \x1b[31m\x00" + "y" * 5_000


def runs(script: Path) -> list[RunRecords]:
    """The records of a default run in its size: every built-in subject, every precision."""
    records: list[Record] = []
    for number, plan in enumerate(plans(BUILTIN.values(), ["cpu"])):
        histogram = [number % 7, *([0] * 12), *range(11)]
        record = plan.record((HOLDS, KNOWN_ISSUE, UNSUPPORTED)[number % 3], 1)
        record = replace(
            record,
            cases=62,
            comparisons=62,
            histogram=tuple(histogram),
            by_step=(0.1, 0.2, 0.0, 0.5, *([0.0] * 9)),
            combined={"1fyyydntt": 40, "2byynrntt": 20, "2fnnyentt": 2},
            drawn={"form=ragged": 12, "form=dense": 50, "time=2–8": 60, "time=above 1024": 2},
            message="name (https://example.org/1): Words." if number % 3 == 1 else "",
        )
        records.append(record)
    for number in range(40):
        records[number] = replace(
            records[number],
            status=FALSIFIED,
            subject=f"mine.py:{LOUD[:30]}",
            message=LOUD,
            case="Case('LSTM')",
            diagnosis=Diagnosis(faults=("input gate and forget gate swapped",)),
            script=str(script),
        )
    return [RunRecords(head(environment(), {"seed": 1, "profile": "standard"}), records)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The page, and the seconds that it took."""
    folder = tmp_path_factory.mktemp("page")
    script = folder / "script.py"
    script.write_text("print('<b>1 & 2</b>')\n" * 20, encoding="utf-8")
    given = runs(script)
    start = time.process_time()
    path = making.write(folder, given)
    return path, time.process_time() - start


def test_the_page_says_what_was_never_drawn_together(made: tuple[Path, float]) -> None:
    text = made[0].read_text(encoding="utf-8")
    # Values met: 2 of layers, direction, bias, batch_first and state, 3 forms, 1 of each other.
    pairs = 10 * 4 + 5 * 6 + 3 * (5 * 2 + 3) + 3
    assert f"of {pairs} pairs" in text
    assert "layers 1 with direction both" in text
    assert "layers 2 with form ragged" not in text
    assert "Largest error over bound by step of time" in text


def test_the_page_is_small_and_soon_made(made: tuple[Path, float]) -> None:
    path, seconds = made
    assert path.stat().st_size < 2_000_000
    assert seconds < 10


def test_what_a_subject_says_is_text_on_the_page(made: tuple[Path, float]) -> None:
    text = made[0].read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert "\x1b" not in text
    assert "\x00" not in text
    assert "http" not in text.replace("https://example.org/1", "").replace(
        "http://www.w3.org", ""
    ).replace("http://purl.org", "").replace("http://creativecommons.org", "").replace(
        "https://matplotlib.org", ""
    )


def test_every_family_is_in_the_matrix(made: tuple[Path, float]) -> None:
    text = made[0].read_text(encoding="utf-8")
    for family in {p.family for p in properties_for("LSTM", "float32")}:
        assert f'<th scope="row">{family}</th>' in text


def browser() -> str:
    """The path of Chromium, or a skip that says what is missing."""
    for module in ("playwright", "axe_playwright_python"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs the package {module.replace('_', '-')}")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("needs chromium, of the system's packages")
    return path


def test_a_browser_shows_all_of_it(made: tuple[Path, float]) -> None:
    path = browser()
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for width, scheme in ((1280, "light"), (390, "light"), (390, "dark"), (1920, "dark")):
            page: Any = chromium.new_page(
                viewport={"width": width, "height": 900},
                color_scheme=scheme,
            )
            errors: list[str] = []
            page.on("pageerror", lambda error, into=errors: into.append(str(error)))
            page.on(
                "console",
                lambda line, into=errors: into.append(line.text) if line.type == "error" else None,
            )
            page.goto(made[0].as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            violations = Axe().run(page).response["violations"]
            assert [v["id"] for v in violations if v["impact"] in ("serious", "critical")] == []
            # The keyboard alone reaches and opens each script.
            summaries = page.locator("article summary")
            assert summaries.count() == 25
            summaries.nth(3).focus()
            page.keyboard.press("Enter")
            assert page.locator("article details[open]").count() == 1
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.textContent") == "Copy the script"
            page.screenshot(path=made[0].with_name(f"page-{width}-{scheme}.png"))
            assert errors == []
        chromium.close()
