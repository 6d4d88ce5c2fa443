"""The report of an exception: the error, and only the frames of the subject's own code."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

from gatewise import properties, reference

#: The folders of the code between the test and the subject: this package, and the reference.
_OURS = tuple(f"{Path(str(p.__file__)).parent}{os.sep}" for p in (properties, reference))
#: The frames of torch between the call of a module and its `forward`.
_CALLS = ("_call_impl", "_wrapped_call_impl")
#: The number of innermost frames that are shown.
_MOST = 8


def told(error: BaseException) -> str:
    """`the subject raised IndexError: …`, then the frames from the subject's code to the error.

    If no frame is outside of this package, all frames are shown.  In this case the claim could not
    use what the subject returned, or the claim itself has a fault.
    """
    frames = traceback.extract_tb(error.__traceback__)
    ours = [k for k, frame in enumerate(frames) if frame.filename.startswith(_OURS)]
    inward = frames[max(ours, default=-1) + 1 :]
    own = [frame for frame in inward if frame.name not in _CALLS] or frames
    shown = "".join(traceback.format_list(own[-_MOST:])).rstrip()
    return f"the subject raised {type(error).__name__}: {error}\n{shown}".rstrip()
