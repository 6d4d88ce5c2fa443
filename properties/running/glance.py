"""The order in which a run puts its properties, and the glance that comes before it.

Most faults show in the first few cases of some property, which may be the last of a long run.  So a
run that wants a verdict soon puts a few cases of every property first, and then all cases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from operator import itemgetter

from ..levels import LEVELS
from .plans import Plan
from .profiles import examples_of

#: The number of cases of a property that a glance draws.
GLANCE = 5
#: What the id of a pytest test of a glance ends with.
GLANCED = "-glance"

#: The family that sees most faults: it is put in every precision before any other.
FIRST = "agreement"
#: The properties that saw most mutants first, after agreement (`docs/strength.jsonl` counts them).
#: They are put next, in one precision, whatever their level.
SEES_MOST = (
    "large_sizes_equal_reference",
    "backward_uses_the_forward_mask",
    "calls_leave_nothing_behind",
    "nan_leaves_other_rows_gradients",
    "overwritten_tensors_never_spoil_a_gradient",
    "initial_within_inverse_root_hidden",
    "gradients_are_right_for_any_upstream",
    "certain_dropout_silences_between_layers",
    "initial_weights_are_uniform",
    "nonfinite_value_stays_in_its_row",
    "replicas_use_their_own_weights",
    "batch_rows_are_independent",
    "deep_copy_is_equal_and_independent",
    "input_of_wrong_rank_is_refused",
    "output_may_be_edited_on_every_path_alike",
    "grad_modes_give_the_same",
    "parametrized_weights_are_used",
    "autocast_dtype_follows_from_the_options",
    "batch_permutation",
    "calls_of_any_kind_may_come_before",
    "checkpointing_keeps_the_mask",
    "autocast_trains",
    "compiled_by_eager_equals_reference",
    "evaluation_drops_nothing",
    "call_ignores_the_defaults",
    "tied_weights_gather_their_gradients",
    "state_of_wrong_batch_is_refused",
    "infinite_input_saturates",
    "batch_first_leaves_packed_alone",
)
#: Families whose cases take long; they come last within their level.
SLOW = ("sizes", "compilation")


def in_rounds(plans: Iterable[Plan]) -> list[Plan]:
    """Every property's first precision, then every one's second, and so on."""
    rounds: Counter[str] = Counter()
    placed = []
    for plan in plans:
        placed.append((rounds[plan.prop.name], plan))
        rounds[plan.prop.name] += 1
    return [plan for _, plan in sorted(placed, key=itemgetter(0))]


def as_faults_show(plans: Iterable[Plan]) -> list[Plan]:
    """Agreement in every precision, then what sees most, and then each level in rounds."""
    ordered, levels = in_rounds(plans), list(LEVELS)
    first: dict[str, str] = {}
    for plan in ordered:
        first.setdefault(plan.prop.name, plan.id)

    def place(plan: Plan) -> tuple[int, int, bool]:
        prop = plan.prop
        if prop.family == FIRST:
            return 0, 0, False
        if prop.name in SEES_MOST and first[prop.name] == plan.id:
            return 1, SEES_MOST.index(prop.name), False
        return 2, levels.index(prop.level), prop.family in SLOW

    return sorted(ordered, key=place)


def is_whole(plan: Plan, profile: str) -> bool:
    """Whether a glance at a property draws as many cases as a run of a profile."""
    return examples_of(profile, plan.prop.share) <= GLANCE
