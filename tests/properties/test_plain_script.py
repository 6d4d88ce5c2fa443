"""Scripts that a person can read: short, with torch and NumPy alone, for results and gradients."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gatewise.properties.families.catalogue import CATALOGUE
from gatewise.properties.running.engine import run
from gatewise.properties.running.plans import Plan
from gatewise.properties.session import diagnosed
from gatewise.properties.subjects.loading import load_subject
from tests.mutation.by_command import module_of

#: The most lines of a script that a person reads.
READABLE = 80

#: Mutant → the property that finds it.
FOUND = {
    "LSTM-input-and-forget-swapped": "equals_reference",
    "LSTM-initial-state-not-sorted": "equals_reference",
    "LSTM-h0-detached": "gradient_of_h_0",
    "GRU-weight-ih-not-trained": "gradient_of_weight_ih",
    "RNN-bias-hh-gradient-dropped": "gradient_of_bias_hh",
    "LSTMCell-bias-ih-gradient-doubled": "gradient_of_bias_ih",
    "GRUCell-update-gate-detached": "gradient_of_weight_ih",
    "LSTM-cell-path-detached": "gradient_of_weight_ih",
    "LSTM-projection-not-trained": "gradient_of_weight_hr",
    "LSTM-drops-in-eval": "evaluation_drops_nothing",
    "LSTM-on-the-input": "certain_dropout_silences_between_layers",
    "GRU-never-drops": "certain_dropout_silences_between_layers",
    "GRU-after-the-last-layer": "single_layer_drops_nothing",
}


@pytest.mark.parametrize("name", FOUND)
def test_a_script_is_short_and_shows_the_fault_and_no_fault_of_torch(
    name: str, tmp_path: Path
) -> None:
    like = name.partition("-")[0]
    file = tmp_path / "mine.py"
    file.write_text(module_of(name), encoding="utf-8")
    plan = Plan(CATALOGUE[FOUND[name]], load_subject(f"{file}:Wrong", like), "float32")
    record = run(plan, seed=1)
    assert record.status == "falsified"
    script = Path(diagnosed(plan, record, tmp_path).script)
    text = script.read_text(encoding="utf-8")
    assert "base64" not in text
    assert len(text.splitlines()) < READABLE
    compile(text, str(script), "exec")
    for subject, status in ((f"{file}:Wrong", 1), (f"torch.nn:{like}", 0)):
        done = subprocess.run(
            [sys.executable, str(script), subject],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "elements are wrong" in done.stdout
