"""Writes a script for a failing case, which needs only torch, NumPy and the subject."""

from __future__ import annotations

from contextlib import suppress

from ..cases.case import Case
from ..families.property import Property
from ..subjects.protocol import Subject
from .plain_script import folder_of, plain_script
from .script_archive import bundled_script

_HEAD = '''"""{title}

{text}

Needs torch, NumPy and the subject.  The exit status is 1 if the subject has the fault, else 0.
Usage: python {name} [package.module:Name or path/to/file.py:Name]
"""
'''


def script(
    subject: Subject,
    case: Case,
    prop: Property,
    name: str,
    lines: list[str],
    *,
    called: bool = True,
) -> str:
    """The script of a falsified property for its case.

    If the forward results are wrong, or the gradients of a plain backward pass, the script has the
    expected arrays and is easy to read.  Otherwise it has the claim itself, in an archive.  To find
    out, the subject is called; if `called` is False it is not called, and the script has the
    archive.
    """
    title = f"{subject.name} falsifies {prop.name}: {prop.sentence}"
    text = "\n".join(line.replace("\\", "\\\\").replace('"""', "'''") for line in lines)
    head = _HEAD.format(title=title, text=text, name=name)
    plain = None
    if called:
        needs = "gradients" in prop.needs
        shown, masks = prop.one_call(case) if prop.one_call else (case, [])
        with suppress(Exception):  # the subject raises, or has no name that a script can import
            plain = plain_script(subject, shown, head, gradients=needs, masks=masks)
    return plain or bundled_script(subject, case, prop, head, folder_of(subject))
