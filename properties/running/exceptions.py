"""An exception of a subject, told to its author: the error, and the author's own frames."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

from gatewise import properties, reference

#: What stands between the test and the subject: this package, and the reference.
_OURS = tuple(f"{Path(str(p.__file__)).parent}{os.sep}" for p in (properties, reference))
#: torch's frames between a call of a module and its `forward`.
_CALLS = ("_call_impl", "_wrapped_call_impl")
#: Innermost frames that are shown.
_MOST = 8


def told(error: BaseException) -> str:
    """`the subject raised IndexError: …`, then the frames from the subject's code inward.

    Where none lies outside of this package, all are shown: what the subject returned is then of
    no use to the claim, or the claim itself is at fault.
    """
    frames = traceback.extract_tb(error.__traceback__)
    ours = [k for k, frame in enumerate(frames) if frame.filename.startswith(_OURS)]
    inward = frames[max(ours, default=-1) + 1 :]
    own = [frame for frame in inward if frame.name not in _CALLS] or frames
    shown = "".join(traceback.format_list(own[-_MOST:])).rstrip()
    return f"the subject raised {type(error).__name__}: {error}\n{shown}".rstrip()
