"""Mutants that one family, or one claim, alone sees: what a suite without it would let pass.

Usage: python -m tests.mutation.alone [FAMILY or CLAIM ...] [--profile standard] [--jobs 2]

Puts the mutant of each row to every property, and prints which see it.  The status is 1 where that
is not the family's or the claim's own.  Without names every family is put.
"""

from __future__ import annotations

import argparse
import sys

from gatewise.properties.running.engine import run
from gatewise.properties.running.glance import GLANCE
from gatewise.properties.running.plans import plans
from gatewise.properties.running.profiles import EXAMPLES
from gatewise.properties.running.records import VACUOUS

from .all import MUTANTS
from .kill import PRECISIONS
from .run import parallel

#: Family of properties → the mutant that it alone sees.
ALONE = {
    "agreement": "GRUCell-hidden-past-128",
    "composition": "GRU-returned-state-read-twice",
    "packing": "GRU-sorted-indices-lost",
    "dropout": "GRU-not-scaled",
    "special_values": "GRUCell-one-scale-for-the-batch",
    "parameters": "GRUCell-initial-bound-rounded-up",
    "interface": "GRUCell-graph-without-grad-mode",
    "modes": "GRUCell-wrong-under-autocast",
    "life_cycle": "GRUCell-copy-shares-weights",
    "weights": "GRUCell-initial-weights-in-the-middle",
    "determinism": "GRUCell-weights-of-another-generator",
    "conduct": "GRUCell-deterministic-for-all",
    "compilation": "GRU-wrong-when-compiled",
    "memory": "GRU-quadratic-memory",
    "paths": "GRUCell-wrong-with-several-threads",
    "rejection": "GRU-wide-input-cut",
    "gradients": "RNNCell-relu-slope-at-zero",
    "autograd": "GRU-dense-upstream-only",
    "transforms": "GRUCell-second-derivative-wrong",
}
#: Claim → the mutant that it alone sees, at the profile `quick` and in the first cases of
#: `standard`.  A claim that is not here says something that another says too, or nobody looked.
ALONE_CLAIM = {
    "anomaly_mode_finds_nothing": "GRUCell-masked-nan",
    "autocast_dtype_follows_from_the_options": "RNN-autocast-dtype-by-the-lengths",
    "calls_leave_nothing_behind": "RNNCell-a-hook-for-each-call",
    "calls_of_any_kind_may_come_before": "RNN-packed-leaves-its-order",
    "calls_under_autocast_may_come_before": "GRUCell-cast-kept-from-no-grad",
    "checkpointing_gives_the_same_gradients": "GRUCell-recomputed-in-another-mode",
    "checkpointing_keeps_the_mask": "RNN-another-mask-with-grad",
    "compiled_graph_follows_the_mode": "GRU-compiled-keeps-its-first-mode",
    "compiled_graph_gives_every_gradient": "LSTM-compiled-state-detached",
    "compiled_graph_takes_any_size": "GRU-compiled-steps-past-three",
    "dropout_modifies_no_argument": "RNN-dropout-writes-its-input",
    "ensemble_equals_reference": "GRUCell-ensemble-of-one",
    "evaluation_batches_are_independent": "GRUCell-eval-adds-to-its-last-output",
    "exported_program_takes_any_time": "GRU-exported-steps-past-three",
    "full_backward_hooks_run_for_every_result": "RNN-hooks-see-the-output-alone",
    "gradients_are_right_for_any_upstream": "RNNCell-state-gradient-clipped",
    "gradients_equal_reference_given_their_mask": "RNN-dropout-scales-as-for-a-half",
    "graph_is_freed": "RNNCell-last-results-kept",
    "keyword_calls_equal_reference": "RNNCell-state-by-keyword-ignored",
    "large_sizes_equal_reference": "RNNCell-gates-of-hidden-1024-shift",
    "large_sizes_give_the_gradients": "RNN-gradient-cut-each-200-steps",
    "onnx_torchscript_takes_any_size": "GRU-onnx-time-fixed",
    "output_may_be_edited_on_every_path_alike": "RNN-packed-saves-its-output",
    "overwritten_tensors_never_spoil_a_gradient": "RNNCell-state-saved-by-data",
    "replicas_use_their_own_weights": "RNNCell-replica-reads-the-original",
    "reset_weights_are_used": "RNNCell-reset-leaves-its-copies",
    "saved_tensor_hooks_see_what_backward_reads": "RNNCell-state-out-of-sight-of-hooks",
    "scripted_module_equals_reference": "LSTMCell-scripted-without-c",
    "second_backward_needs_a_retained_graph": "RNNCell-copies-never-freed",
    "shallow_copy_shares_the_weights": "RNNCell-copy-by-sizes-alone",
    "subclass_equals_reference": "GRUCell-forward-overridden",
    "traced_module_equals_reference": "GRU-traced-reverse-results-in-reverse",
    "traced_module_takes_any_size": "GRU-traced-batch-fixed",
}


def seen(name: str, profile: str) -> tuple[str, dict[str, list[str]]]:
    """Family → its properties that do not hold of a mutant in some precision.

    Each property is put to the first cases of `standard`, and then to all of the profile.
    """
    found: dict[str, list[str]] = {}
    for plan in plans([MUTANTS[name].subject], ["cpu"], PRECISIONS):
        names = found.get(plan.prop.family, [])
        if plan.prop.name in names:
            continue
        record = run(plan, profile="standard", most=GLANCE, shrink=False)
        if record.passed or record.status == VACUOUS:  # so few cases may hold nothing to compare
            record = run(plan, profile=profile, shrink=False)
        if not record.passed:
            found[plan.prop.family] = [*names, plan.prop.name]
    return name, found


def main() -> int:
    """Run, print, and return the status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ALONE | ALONE_CLAIM))
    parser.add_argument("--profile", choices=sorted(EXAMPLES), default="standard")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    rows = ALONE | ALONE_CLAIM
    for name in args.names:
        if name not in rows:
            parser.error(f"NAME {name!r}: expected one of {', '.join(rows)}")
    owners = {rows[name]: name for name in args.names or ALONE}
    wrong = 0
    calls = [(mutant, args.profile) for mutant in owners]
    for mutant, found in parallel(seen, calls, args.jobs):
        own = owners[mutant]
        by = [own] if own in found else [p for names in found.values() for p in names]
        wrong += by != [own] or len(found) != 1
        text = "; ".join(f"{f} ({', '.join(names)})" for f, names in found.items())
        print(f"{own}: {mutant} is seen by {text or 'none'}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
