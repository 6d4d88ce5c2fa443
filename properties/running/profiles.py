"""How many cases a run draws, by profile, and the seed of each property."""

from __future__ import annotations

import hashlib
import re

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.database import ExampleDatabase

#: Profile → examples of a property whose share is 1; the fuller ones later.
EXAMPLES = {"quick": 20, "standard": 60, "thorough": 1000}


def examples_of(profile: str, share: float) -> int:
    """How many cases a run of a profile draws for a property of this share."""
    return max(1, round(EXAMPLES[profile] * share))


def profile_settings(
    profile: str,
    share: float = 1.0,
    database: ExampleDatabase | None = None,
    *,
    most: int | None = None,
    shrink: bool = True,
) -> settings:
    """Hypothesis settings of a profile, with every field set: nothing is inherited.

    Hypothesis loads a profile of its own where it finds a CI, and a new one inherits from it.
    Raises `ValueError` for an unknown profile.
    """
    if profile not in EXAMPLES:
        raise ValueError(f"profile {profile!r} is not one of {', '.join(EXAMPLES)}")
    examples = examples_of(profile, share)
    phases = (Phase.explicit, Phase.reuse, Phase.generate, *([Phase.shrink] if shrink else []))
    return settings(
        max_examples=min(examples, most or examples),
        derandomize=False,
        database=database,
        verbosity=hypothesis.Verbosity.quiet,
        phases=phases,
        stateful_step_count=50,
        report_multiple_bugs=False,
        suppress_health_check=tuple(HealthCheck),
        deadline=None,
        print_blob=True,
        backend="hypothesis",
    )


def seed_of(run_seed: int, plan_id: str) -> int:
    """The seed of one property in a run: the same whatever worker runs it, and alone.

    A subject from a file has the same wherever the file lies.
    """
    own = re.split(r"[/\\]", plan_id)[-1]
    digest = hashlib.sha256(f"{run_seed}/{own}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
