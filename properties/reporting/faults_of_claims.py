"""Named faults that a claim itself tells: what it found wrong is the fault, in its message.

These are claims about autograd's graph, hooks and a module's life cycle, where no number is wrong
in a plain call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_COPIES = {
    r"that (\S+) of the copy by (\S+) shares storage": "{0} shared with the copy by {1}",
    r"^after a change of the copy by (\S+):": r"memory shared with the copy by {0}",
    r"of the copy by (\S+), changed:": r"a copy by {0} that does not use its own weights",
}

#: Property → pattern of its message → the fault, with the groups of the pattern in it.
_TOLD: Mapping[str, Mapping[str, str]] = {
    "overwritten_tensors_never_spoil_a_gradient": {
        r"^after (\w+) was overwritten, gradient of": (
            r"a backward pass that reads {0} as it is then, which autograd does not see"
        ),
    },
    "saved_tensor_hooks_see_what_backward_reads": {
        r"^with hooks that copy, gradient of": (
            "a backward pass that reads tensors which save_for_backward has not saved"
        ),
    },
    "second_backward_needs_a_retained_graph": {
        r"is False, expected True": "a graph that a backward pass does not free",
    },
    "graph_is_freed": {
        r"that live after (.+?) is \[(.+?)\]": r"a graph that keeps {1} alive after: {0}",
    },
    "output_may_be_edited_on_every_path_alike": {
        r"in place, (.+?), is '(\w+)'": (
            r"an output that is saved for the backward pass on some paths alone: {0} an edit {1}"
        ),
    },
    "full_backward_hooks_run_for_every_result": {
        r"uses (\w+) alone is": r"a backward hook that does not run where the loss uses {0} alone",
        r"^what the hook got": "a backward hook that gets another gradient than the input's",
    },
    "anomaly_mode_finds_nothing": {
        r"nan": "a NaN in the backward pass, which is replaced before it ends",
    },
    "only_what_requires_a_gradient_gets_one": {
        r"^(\S+)\.grad, which requires none,": r"a gradient for {0}, which requires none",
        r"^gradient of (\S+)": r"a gradient of {0} that depends on what else requires one",
    },
    "relu_has_slope_zero_at_zero": {
        r"^gradient of": "a slope of relu at 0 that is not 0",
    },
    "packed_gives_packed": {
        r"^(\w+) of the output is": "{0} of the packed output lost or changed",
        r"^the type of the output is": "an output that is not packed, for a packed input",
        r"^the input": "a call that changes its packed input",
    },
    "deep_copy_is_equal_and_independent": _COPIES,
    "stored_module_is_equal_and_independent": _COPIES,
    "loaded_weights_are_used": {
        r"weights (.+?): ": r"the old weights used after load_state_dict ({0})",
    },
    "hooks_run_once_and_may_replace_the_result": {
        r"^the hooks that ran": "a call that does not run each hook once",
    },
    "deleted_weight_is_missed": {
        r"after (\S+) was deleted": r"another copy of {0} used after {0} was deleted",
    },
}

#: Pattern of the message of any property → the fault.
_RAISED = {
    r"modified by an inplace operation": "a tensor changed in place that the backward pass needs",
    r"backward through the graph a second time": "a graph that is freed before its backward pass",
    r"does not require grad and does not have a grad_fn": "a result that is cut from the graph",
}


def told_faults(prop: str, message: str) -> tuple[str, ...]:
    """The fault that the message of a falsified property tells; empty if it tells none."""
    for pattern, words in {**_TOLD.get(prop, {}), **_RAISED}.items():
        match = re.search(pattern, message)
        if match:
            groups = [g.replace("'", "") for g in match.groups()]
            return (words.format(*groups),)
    return ()
