"""The layout of an implementation's weights, and its conversion to and from torch.nn's layout.

A layout maps the implementation's own names to expressions.  An expression is made of torch.nn's
parts `weight_ih weight_hh weight_hr bias_ih bias_hh`, and of `bias`: one bias that stands for
b_ih + b_hh.  A declared kind has the weights that it states as its parts.  `A|B` puts parts side
by side, as in [W_ih|W_hh]; `A;B` puts them one below the other; `weight_ih.f` is the rows of one
gate, and `peephole.2` is the third of the equal blocks of rows of a declared weight.  A part
without a gate has all its gates, in the stated order.  Own names may contain `{layer}` and
`{direction}`.

If one bias stands for two, the sum is computed once, in the subject's format.  The reference's
bound covers every order of summation, so it covers this one.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatewise.reference.classes import CLASSES
from gatewise.reference.formats import Array
from gatewise.reference.kinds import KINDS, Kind
from gatewise.reference.options import Options, suffixes
from gatewise.reference.parameters import weight_shapes

from ..capabilities import SubjectError

PARTS = ("weight_ih", "weight_hh", "weight_hr", "bias_ih", "bias_hh", "bias")


def parts_of(like: str) -> tuple[str, ...]:
    """The parts that an expression may use."""
    kind = _kind_of(like)
    return PARTS if kind.declared is None else tuple(kind.shapes)


def blocks_of(like: str, part: str) -> tuple[str, ...]:
    """The names of the equal blocks of rows that a part has: the gates, or 0, 1, 2."""
    kind = _kind_of(like)
    if kind.declared is None:
        return kind.gates if part != "weight_hr" else ()
    count = kind.shapes[part].parts()
    return kind.gates if count == len(kind.gates) else tuple(map(str, range(count)))


@dataclass(frozen=True)
class Block:
    """A whole part, or the rows of one gate of it."""

    part: str
    gate: str = ""

    def __str__(self) -> str:
        return f"{self.part}.{self.gate}" if self.gate else self.part


Expression = tuple[tuple[Block, ...], ...]


def _kind_of(like: str) -> Kind:
    return KINDS[CLASSES[like].kind]


def torch_names(like: str) -> dict[str, str]:
    """The layout of torch.nn itself, or of a declared kind."""
    end = "" if CLASSES[like].cell else "_l{layer}{direction}"
    if _kind_of(like).declared is not None:
        return {part + end: part for part in parts_of(like)}
    projects = "proj_size" in _kind_of(like).options and not CLASSES[like].cell
    parts = [p for p in PARTS if p != "bias" and (p != "weight_hr" or projects)]
    return {part + end: part for part in parts}


def gate_order(like: str, gates: str) -> str:
    """An order of gates in torch's letters; the empty string is torch's order.

    Raises `SubjectError` unless it has each gate once.
    """
    kind = _kind_of(like)
    letters = "".join(kind.gates)
    order = "".join(kind.aliases.get(g, g) for g in gates) or letters
    if sorted(order) != sorted(letters):
        alias = "".join(f"; {a} may stand for {g}" for a, g in kind.aliases.items())
        raise SubjectError(
            f"gates={gates!r}: expected each of the {len(letters)} letters "
            f"{' '.join(letters)} once{alias}"
        )
    return order


@dataclass(frozen=True)
class Conventions:
    """Own names → expressions, the order of gates, and which matrices are (in, out)."""

    like: str
    weights: Mapping[str, Expression]
    gates: str
    transposed: tuple[str, ...] = ()
    directions: tuple[str, str] = ("", "_reverse")

    @property
    def parts(self) -> set[str]:
        """The parts that the expressions use."""
        return {b.part for e in self.weights.values() for row in e for b in row}

    @property
    def sums(self) -> bool:
        """Whether `bias` stands for b_ih + b_hh: a declared kind may have a weight of this name."""
        return "bias" in self.parts and _kind_of(self.like).declared is None

    @property
    def biases(self) -> tuple[str, ...]:
        """Which of b_ih and b_hh the implementation has; a declared kind has all biases or none."""
        declared = _kind_of(self.like).declared is not None
        if "bias" in self.parts or (declared and any(map(_is_bias, self.parts))):
            return ("ih", "hh")
        return tuple(end for end in ("ih", "hh") if f"bias_{end}" in self.parts)

    def bias_names(self) -> list[str]:
        """Own names of the weights that hold only biases."""
        return [
            name
            for name, expression in self.weights.items()
            if all(_is_bias(b.part) for row in expression for b in row)
        ]

    def fields(self) -> set[str]:
        """Which of `layer` and `direction` every own name contains."""
        held = [{f for _, f, _, _ in string.Formatter().parse(n) if f} for n in self.weights]
        return set.intersection(*held) if held else set()

    def named(self, pattern: str, options: Options) -> list[str]:
        """What a pattern of an own name stands for, in every layer and direction."""
        places = (divmod(k, options.directions) for k in range(len(suffixes(options))))
        return [pattern.format(layer=k, direction=self.directions[r]) for k, r in places]

    def entries(self, options: Options) -> Iterator[tuple[str, Expression, str, bool]]:
        """Own name, expression, suffix of torch's names and whether it is (in, out).

        There is one for each layer and direction.  Parts that do not exist with these options are
        left out of the expressions.
        """
        absent = {"weight_hr"} if not options.proj_size else set()
        absent |= set() if options.bias else {p for p in self.parts if _is_bias(p)}
        for index, suffix in enumerate(suffixes(options)):
            for name, expression in self.weights.items():
                rows = (tuple(b for b in row if b.part not in absent) for row in expression)
                kept = tuple(row for row in rows if row)
                if kept:
                    own = self.named(name, options)[index]
                    yield own, kept, suffix, name in self.transposed

    def rows(self, block: Block, length: int) -> list[Any]:
        """The rows of a block in torch's layout, in the own order of gates, of `length` in all."""
        names = blocks_of(self.like, block.part)
        ordered = sorted(names) == sorted(self.gates)
        order = (block.gate,) if block.gate else self.gates if ordered else ()
        size = length // (len(names) or 1)
        places = [names.index(name) for name in order]
        return [slice(k * size, (k + 1) * size) for k in places] or [...]

    def own(self, options: Options, canonical: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Convert torch.nn's weights to the own layout, by differentiable operations."""

        def value(block: Block, suffix: str) -> Tensor:
            if self.sums and block.part == "bias":
                whole = canonical[f"bias_ih{suffix}"] + canonical[f"bias_hh{suffix}"]
            else:
                whole = canonical[f"{block.part}{suffix}"]
            length = whole.shape[0] if whole.ndim else 1
            pieces = [whole[rows] for rows in self.rows(block, length)]
            return torch.cat(pieces) if len(pieces) > 1 else pieces[0]

        result = {}
        for name, expression, suffix, turned in self.entries(options):
            rows = []
            for row in expression:
                blocks = [value(block, suffix) for block in row]
                if any(b.ndim == 2 for b in blocks):
                    blocks = [b[:, None] if b.ndim == 1 else b for b in blocks]
                rows.append(torch.cat(blocks, dim=-1) if len(blocks) > 1 else blocks[0])
            whole = torch.cat(rows) if len(rows) > 1 else rows[0]
            result[name] = whole.T if turned and whole.ndim == 2 else whole
        return result

    def canonical(self, options: Options, own: Mapping[str, Array]) -> dict[str, Array]:
        """Convert the own weights to torch.nn's layout; b_hh is 0 where one bias stands for both.

        The entries in torch's layout are numbered from 1.  `own` converts these numbers, so each
        place of the own layout has the number of its entry.
        """
        shapes = weight_shapes(options)
        ends = np.cumsum([1, *(int(np.prod(shape)) for shape in shapes.values())])
        numbers = {
            name: torch.arange(int(start), int(end)).reshape(shape)
            for (name, shape), start, end in zip(shapes.items(), ends, ends[1:], strict=False)
        }
        for _, expression, suffix, _ in self.entries(options) if self.sums else ():
            for block in (b for row in expression for b in row if b.part == "bias"):
                held = numbers[f"bias_hh{suffix}"]
                for rows in self.rows(block, len(held)):
                    held[rows] = 0
        flat = np.zeros(int(ends[-1]))
        for name, places in self.own(options, numbers).items():
            flat[places.reshape(-1).numpy()] = np.asarray(own[name], dtype=np.float64).reshape(-1)
        return {
            name: flat[start:end].reshape(shape)
            for (name, shape), start, end in zip(shapes.items(), ends, ends[1:], strict=False)
        }


def conventions(
    like: str,
    weights: Mapping[str, str] | None = None,
    gates: str = "",
    transposed: bool | Iterable[str] = False,
    directions: tuple[str, str] = ("", "_reverse"),
    reset_after: bool = True,
) -> Conventions:
    """Make conventions from the arguments of an adapter, and check them.

    Raises `SubjectError` with the argument, the value and what is accepted.
    """
    order = gate_order(like, gates)
    mapping = torch_names(like) if weights is None else weights
    if not mapping:
        raise SubjectError("weights={}: expected own names of the weights")
    parsed = {name: _parse(like, name, text) for name, text in mapping.items()}
    if _kind_of(like).declared is None:
        _check_coverage(like, parsed, reset_after)
    else:
        _check_declared(like, parsed)
    if isinstance(transposed, bool):
        turned = tuple(mapping) if transposed else ()
    else:
        turned = (transposed,) if isinstance(transposed, str) else tuple(transposed)
    for name in turned:
        if name not in mapping:
            raise SubjectError(
                f"transposed= names {name!r}; expected True, or some of {', '.join(mapping)}"
            )
    return Conventions(like, parsed, order, turned, directions)


def _parse(like: str, name: str, text: str) -> Expression:
    aliases, parts = _kind_of(like).aliases, parts_of(like)
    where = f"weights={{{name!r}: {text!r}}}"

    def block(word: str) -> Block:
        part, _, gate = word.strip().partition(".")
        gate = aliases.get(gate, gate)
        if part not in parts:
            raise SubjectError(
                f"{where}: {part!r} is not one of {', '.join(parts)}, joined by | (side by side) "
                "or ; (one below the other)"
            )
        blocks = blocks_of(like, part)
        if gate and gate not in blocks:
            accepted = " ".join(blocks or _kind_of(like).gates)
            raise SubjectError(f"{where}: gate {gate!r} of {part} is not one of {accepted}")
        return Block(part, gate)

    try:
        fields = {f for _, f, _, _ in string.Formatter().parse(name) if f is not None}
    except ValueError as error:
        raise SubjectError(f"{where}: {error}") from error
    if fields - {"layer", "direction"}:
        raise SubjectError(f"{where}: expected only the fields {{layer}} and {{direction}}")
    return tuple(tuple(block(w) for w in row.split("|")) for row in text.split(";"))


def _check_coverage(like: str, weights: Mapping[str, Expression], reset_after: bool) -> None:
    """Raise `SubjectError` unless the weights hold every gate of every part once."""
    letters = _kind_of(like).gates
    held: dict[tuple[str, str], int] = {}
    summed = set()
    for expression in weights.values():
        for block in (b for row in expression for b in row):
            for gate in block.gate or letters if block.part != "weight_hr" else ("",):
                parts = ("bias_ih", "bias_hh") if block.part == "bias" else (block.part,)
                summed |= {gate} if block.part == "bias" else set()
                for part in parts:
                    held[part, gate] = held.get((part, gate), 0) + 1
    twice = sorted(".".join(key).rstrip(".") for key, count in held.items() if count > 1)
    if twice:
        raise SubjectError(f"weights= holds {', '.join(twice)} twice")
    mentioned = {part for part, _ in held}
    wanted = {"weight_ih", "weight_hh"} | (mentioned & {"bias_ih", "bias_hh"})
    left = [f"{p}.{g}" for p in sorted(wanted) for g in letters if (p, g) not in held]
    if left:
        raise SubjectError(f"weights= leaves out {', '.join(left)}")
    if not _kind_of(like).sums_biases and reset_after and "n" in summed:
        raise SubjectError(
            "weights= has one bias for b_in + b_hn, but only b_hn is multiplied by the reset gate; "
            "expected bias_ih alone, bias_ih.n and bias_hh.n apart, or reset_after=False"
        )


def _check_declared(like: str, weights: Mapping[str, Expression]) -> None:
    """Raise `SubjectError` unless each block of a declared kind's weights is held once.

    All biases may be left out.
    """
    held = [str(b) for e in weights.values() for row in e for b in row]
    blocks = []
    for part in parts_of(like):
        own = [f"{part}.{name}" for name in blocks_of(like, part)]
        blocks += own if any(name in held for name in own) else [part]
    twice = sorted({name for name in held if held.count(name) > 1 or name not in blocks})
    if twice:
        raise SubjectError(f"weights= holds {', '.join(twice)} twice")
    biased = any(map(_is_bias, held))
    left = [name for name in blocks if name not in held and (biased or not _is_bias(name))]
    if left:
        raise SubjectError(f"weights= leaves out {', '.join(left)}")


def _is_bias(part: str) -> bool:
    return part.startswith("bias")
