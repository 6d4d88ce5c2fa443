"""Subjects from anywhere: `pkg.mod:Name`, `path/to/file.py:Name`, or an object in hand."""

from __future__ import annotations

import difflib
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

import gatewise.reference.published  # noqa: F401  (its kinds stand in the tables)
from gatewise.reference.classes import ALL, CLASSES, DECLARED, TORCH
from gatewise.reference.kinds import KINDS, Kind

from .adapting.adapter import Adapter
from .adapting.identify import identify
from .builtin import BUILTIN
from .capabilities import SHAPES, gaps_of, shapes_of
from .capabilities import SubjectError as SubjectError
from .networks import subject
from .protocol import Subject

#: The value of `like` that finds the conventions by probing.
AUTO = "auto"

#: What the name of a module that was loaded from a file starts with.
FILE_MODULE = "gatewise_subject_"


def load_subject(spec: str, like: str | None = None) -> Subject:
    """The subject that `spec` names.

    `Name` is a class with torch.nn's constructor, a factory that returns a module, or an `Adapter`.
    `like` is a name of `CLASSES` and overrides what the name says, or "auto", which finds the
    conventions by probing.  Raises `SubjectError` when it cannot be imported, is none of these,
    its kind cannot be told, or what it states of itself contradicts it.
    """
    return as_subject(find(spec), like, spec)


def find(spec: str, option: str = "--subject") -> Any:
    """The object that `spec` names; raises `SubjectError` where there is none.

    `option` is the one that has the text, for the message.
    """
    where, colon, attribute = spec.rpartition(":")
    if not colon or not where or not attribute:
        raise SubjectError(
            f"{option} {spec!r}: expected package.module:Name or path/to/file.py:Name"
        )
    module = (
        _from_file(spec, where, option)
        if where.endswith(".py")
        else _from_package(spec, where, option)
    )
    target: Any = module
    for part in attribute.split("."):
        if not hasattr(target, part):
            names = ", ".join(n for n in vars(module) if not n.startswith("_")) or "nothing"
            raise SubjectError(f"{option} {spec!r}: {where} has no {attribute!r}; it has {names}")
        target = getattr(target, part)
    return target


def as_subject(target: Any, like: str | None = None, name: str = "") -> Subject:
    """A subject from what a person has in hand: a class, a factory, an adapter, a subject, a spec
    as `load_subject` takes it, or the name of a built-in subject.

    Raises `SubjectError`, as `load_subject` does.
    """
    if isinstance(target, str):
        known = target in BUILTIN and like is None
        return BUILTIN[target] if known else load_subject(target, like)
    found = _subject(target, like, name or _name(target))
    if isinstance(target, Subject):
        return found
    return replace(found, probed=like == AUTO, trusted=False)


def _subject(target: Any, like: str | None, name: str) -> Subject:
    if isinstance(target, Subject):
        return target
    if isinstance(target, Adapter):
        if like not in (None, AUTO, target.like):
            raise SubjectError(f"--like {like!r}: {name} is an adapter like {target.like}")
        return target.subject(name)
    if isinstance(target, type):
        if not issubclass(target, torch.nn.Module):
            raise SubjectError(
                f"--subject {name!r}: the class is not a torch.nn.Module; an Adapter takes others"
            )
    elif not callable(target) or isinstance(target, torch.nn.Module):
        raise SubjectError(
            f"--subject {name!r}: a {type(target).__name__} was given; expected a class or a "
            "factory called with (input_size, hidden_size, **options), or an Adapter"
        )
    if like == AUTO:
        found = identify(target, name)
        if not found.drop_in:
            return found.adapter.subject(name)
        like = found.like
    like = class_of_subject(name, name.rpartition(":")[2], target, like)
    label, given = f"{name}: {SHAPES}: shapes", getattr(target, SHAPES, ())
    shapes = shapes_of(label, given, CLASSES[like].cell)
    gaps = gaps_of(target, like)
    return replace(subject(name, like, target), unsupported=gaps, shapes=shapes)


def _name(target: Any) -> str:
    if isinstance(target, Subject):
        return target.name
    own = target.own if isinstance(target, Adapter) else target
    return f"{getattr(own, '__module__', '')}:{getattr(own, '__qualname__', type(own).__name__)}"


def class_of_subject(spec: str, name: str, target: Callable[..., Any], like: str | None) -> str:
    """The class by `like`, else by inheritance from torch.nn, else by the name.

    Raises `SubjectError` when none of them tells.
    """
    if like is not None:
        like = _declared(like) if ":" in like else like
        if like not in ALL:
            near = difflib.get_close_matches(like, list(ALL), 3, 0.6)
            nearest = f"the nearest names are {', '.join(near)}; " if near else ""
            raise SubjectError(f"--like {like!r}: {nearest}expected one of {_either()}")
        return like
    own = name.rpartition(":")[2]
    if own in DECLARED:
        return own
    if inspect.isclass(target):
        for base in TORCH:
            if issubclass(target, getattr(torch.nn, base)):
                return base
    folded = name.lower().replace("_", "")
    for known in sorted(TORCH, key=_rank):
        if known.lower() in folded:
            return known
    raise SubjectError(
        f"--subject {spec!r}: what it is like cannot be told from its base classes or its name; "
        f"give --like with one of {_either()}"
    )


def _either() -> str:
    """What `--like` takes, in words."""
    named = ", ".join(name for name in ALL if name not in DECLARED)
    return f"{named}, a kind of docs/kinds.md, a declared kind as kinds.py:Name, {AUTO}"


def _declared(spec: str) -> str:
    """The class of `mine.py:PeepholeLSTM` or `mine.py:PeepholeLSTMCell`: a declared kind in a file.

    Raises `SubjectError` where there is none.
    """
    attribute = spec.rpartition(":")[2]
    kind = find(spec.removesuffix("Cell"), "--like")
    if not isinstance(kind, Kind):
        raise SubjectError(f"--like {spec!r}: {attribute} is no kind that gatewise.kind declares")
    return f"{kind.name}Cell" if attribute.endswith("Cell") else kind.name


def _rank(name: str) -> tuple[bool, int]:
    """Cells come first, and an RNN last, since some write "LSTMRNN" for an LSTM."""
    return not CLASSES[name].cell, -len(KINDS[CLASSES[name].kind].gates)


#: Module of gatewise.peers → the extra that installs its library, where that has another name.
EXTRAS = {
    "flax_nnx": "flax",
    "geometric_temporal": "geometric-temporal",
    "jax_vjp": "flax",
    "keras3": "keras",
    "onnx_runtime": "onnx",
    "pytorch_forecasting": "forecasting",
    "torchrecurrent": "peers",
}
_PEERS = "gatewise.peers."


def _from_package(spec: str, where: str, option: str) -> ModuleType:
    try:
        return importlib.import_module(where)
    except Exception as error:
        needs = ""
        if where.startswith(_PEERS) and isinstance(error, ModuleNotFoundError):
            own = where.removeprefix(_PEERS)
            if not str(error).endswith(f"{where}'"):  # the module is there, and its library is not
                needs = f"; it needs the extra `{EXTRAS.get(own, own)}` of gatewise"
        raise SubjectError(
            f"{option} {spec!r}: cannot import {where}: {type(error).__name__}: {error}{needs}"
        ) from error


def _from_file(spec: str, where: str, option: str) -> ModuleType:
    path = Path(where)
    if not path.is_file():
        raise SubjectError(f"{option} {spec!r}: there is no file {where}")
    name = FILE_MODULE + path.stem
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise SubjectError(f"{option} {spec!r}: {where} is not a Python file")
    module = importlib.util.module_from_spec(found)
    # Pickle and dataclasses look a class's module up by name; a sibling import needs its folder.
    sys.modules[name] = module
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        found.loader.exec_module(module)
    except Exception as error:
        raise SubjectError(
            f"{option} {spec!r}: {where} fails on import: {type(error).__name__}: {error}"
        ) from error
    finally:
        sys.path.remove(folder)  # the file may have put others before it
    return module
