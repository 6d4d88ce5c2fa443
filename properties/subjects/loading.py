"""Subjects from anywhere: `pkg.mod:Name` or `path/to/file.py:Name`."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch.nn

from .networks import subject
from .protocol import ALL_KINDS, KINDS, Subject

#: What the name of a module that was loaded from a file starts with.
FILE_MODULE = "gatewise_subject_"


class SubjectError(ValueError):
    """A `--subject` that cannot be used; the text is one line for a person."""


def load_subject(spec: str, like: str | None = None) -> Subject:
    """The subject that `spec` names; `like` is one of `ALL_KINDS` and overrides what its name says.

    `Name` is a class with torch.nn's constructor, or a factory that returns a module.
    Raises `SubjectError` when it cannot be imported, is neither, or its kind cannot be told.
    """
    where, colon, attribute = spec.rpartition(":")
    if not colon or not where or not attribute:
        raise SubjectError(
            f"--subject {spec!r}: expected package.module:Name or path/to/file.py:Name"
        )
    module = _from_file(spec, where) if where.endswith(".py") else _from_package(spec, where)
    target: Any = module
    for part in attribute.split("."):
        if not hasattr(target, part):
            names = ", ".join(n for n in vars(module) if not n.startswith("_")) or "nothing"
            raise SubjectError(f"--subject {spec!r}: {where} has no {attribute!r}; it has {names}")
        target = getattr(target, part)
    if isinstance(target, type):
        if not issubclass(target, torch.nn.Module):
            raise SubjectError(f"--subject {spec!r}: the class is not a torch.nn.Module")
    elif not callable(target) or isinstance(target, torch.nn.Module):
        raise SubjectError(
            f"--subject {spec!r}: a {type(target).__name__} was given; expected a class or a "
            "factory called with (input_size, hidden_size, **options)"
        )
    found = subject(spec, kind_of(spec, attribute, target, like), target)
    return replace(found, trusted=False)


def kind_of(spec: str, name: str, target: Callable[..., Any], like: str | None) -> str:
    """The kind by `like`, else by inheritance from torch.nn, else by the name.

    Raises `SubjectError` when none of them tells.
    """
    if like is not None:
        if like not in ALL_KINDS:
            raise SubjectError(f"--like {like!r}: expected one of {', '.join(ALL_KINDS)}")
        return like
    if inspect.isclass(target):
        for kind in KINDS:
            if issubclass(target, getattr(torch.nn, kind)):
                return kind
    folded = name.lower().replace("_", "")
    # Cells come first in KINDS, and RNN last of all since LSTM's users write "LSTMRNN".
    for kind in sorted(KINDS, key=lambda k: (not k.endswith("Cell"), k.startswith("RNN"))):
        if kind.lower() in folded:
            return kind
    raise SubjectError(
        f"--subject {spec!r}: its kind cannot be told from its base classes or its name; "
        f"give --like with one of {', '.join(ALL_KINDS)}"
    )


def _from_package(spec: str, where: str) -> ModuleType:
    try:
        return importlib.import_module(where)
    except Exception as error:
        raise SubjectError(
            f"--subject {spec!r}: cannot import {where}: {type(error).__name__}: {error}"
        ) from error


def _from_file(spec: str, where: str) -> ModuleType:
    path = Path(where)
    if not path.is_file():
        raise SubjectError(f"--subject {spec!r}: there is no file {where}")
    name = FILE_MODULE + path.stem
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise SubjectError(f"--subject {spec!r}: {where} is not a Python file")
    module = importlib.util.module_from_spec(found)
    # Pickle and dataclasses look a class's module up by name; a sibling import needs its folder.
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        found.loader.exec_module(module)
    except Exception as error:
        raise SubjectError(
            f"--subject {spec!r}: {where} fails on import: {type(error).__name__}: {error}"
        ) from error
    finally:
        sys.path.pop(0)
    return module
