"""Writes a script for a failing case of any property: the case, and Gatewise's modules in it."""

from __future__ import annotations

import base64
import importlib.util
import io
import zipfile
from pathlib import Path

from gatewise import reference
from gatewise.reference.kinds import KINDS

from ..cases.case import Case
from ..families.property import Property
from ..subjects.loading import AUTO
from ..subjects.protocol import Subject

#: The folder of the reference, whose kinds are in the archive.
_OWN = str(Path(str(reference.__file__)).parent)

#: The packages in the archive of a script.
PACKAGES = ("gatewise.reference", "gatewise.impl", "gatewise.properties", "gatewise.peers")

_BUNDLED = '''
from __future__ import annotations

import atexit
import base64
import os
import sys
import tempfile
import traceback
import types

try:
    import hypothesis.strategies  # noqa: F401
except ImportError:  # the case is given below, so nothing is drawn

    class _Absent:
        def __getattr__(self, name):
            return self

        def __call__(self, *args, **kwargs):
            return self

        def __getitem__(self, item):
            return self

        def __iter__(self):
            return iter(())

        def __mro_entries__(self, bases):
            return ()

    class _Module(types.ModuleType):
        __path__ = []

        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return _Absent()

    for _name in ("hypothesis", "hypothesis.strategies", "hypothesis.database"):
        sys.modules[_name] = _Module(_name)

#: The modules of Gatewise, which state this property, as a zip archive.
ARCHIVE = """
{archive}
"""

with tempfile.NamedTemporaryFile(suffix=".zip", delete=False) as file:
    file.write(base64.b64decode(ARCHIVE))
atexit.register(os.unlink, file.name)
sys.path.insert(0, file.name)

import numpy as np  # noqa: E402

from gatewise.properties.families.catalogue import CATALOGUE  # noqa: E402
from gatewise.properties.checking.comparison import Check  # noqa: E402
from gatewise.properties.cases.case import Case  # noqa: E402
from gatewise.properties.subjects.builtin import BUILTIN  # noqa: E402
from gatewise.properties.subjects.loading import load_subject  # noqa: E402

#: The folder of the subject's package.
FOLDER = {folder!r}
if FOLDER:
    sys.path.insert(1, FOLDER)
spec = sys.argv[1] if len(sys.argv) > 1 else {spec!r}
subject = BUILTIN[spec] if spec in BUILTIN else load_subject(spec, {like!r})
case = {case}
try:
    with np.errstate(all="ignore"):
        CATALOGUE[{prop!r}].claim(subject.on({device!r}), case, Check())
except Exception:
    traceback.print_exc()
    sys.exit(1)
print("the property holds for this case")
'''


def bundled_script(subject: Subject, case: Case, prop: Property, head: str, folder: str) -> str:
    """The script of a property for a case.

    `head` is the docstring of the script, `folder` the folder of the subject's package.
    """
    where, colon, attribute = subject.name.rpartition(":")
    spec = f"{Path(where).resolve()}:{attribute}" if where.endswith(".py") else subject.name
    body = _BUNDLED.format(
        archive=_archive(),
        spec=spec,
        folder=folder,
        like=_like(subject) if colon else None,
        case=repr(case),
        prop=prop.name,
        device=subject.device,
    )
    return head + body


def _like(subject: Subject) -> str:
    """What `load_subject` takes for the class of a subject; a kind in a file is named with it."""
    if subject.probed:
        return AUTO
    declared = KINDS[subject.kind].declared
    ours = declared is None or declared.source.startswith(_OWN)
    return subject.like if declared is None or ours else f"{declared.source}:{subject.like}"


def _archive() -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        _write(archive, "gatewise", recursive=False)
        for package in PACKAGES:
            _write(archive, package)
    text = base64.b64encode(buffer.getvalue()).decode()
    return "\n".join(text[i : i + 100] for i in range(0, len(text), 100))


def _write(archive: zipfile.ZipFile, package: str, recursive: bool = True) -> None:
    """Write a package into an archive, in the folder that its import name needs."""
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).parent
    for path in sorted(folder.rglob("*.py") if recursive else folder.glob("*.py")):
        inside = path.relative_to(folder).as_posix()
        archive.write(path, f"{package.replace('.', '/')}/{inside}")
