"""The precisions that a property runs in, in one table: dtype, setting of the process, groups.

How the reference charges each of them stands in `reference.formats.PRECISIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from gatewise.reference.formats import PRECISIONS as CHARGED
from gatewise.reference.formats import Precision
from gatewise.reference.groups import Group


@dataclass(frozen=True, kw_only=True)
class TorchPrecision:
    """How torch computes in a precision.

    `dtype` is that of every tensor.  `tf32` says that a CUDA device rounds the factors of float32
    products to TF32, a setting of the process.  `offered` precisions are accepted by
    `--precision`; the others are those that an adapter states it computes in.
    """

    name: str
    dtype: torch.dtype
    tf32: bool = False
    offered: bool = True

    @property
    def bits(self) -> int:
        """The width of a number."""
        return torch.finfo(self.dtype).bits


#: Name → precision.
TABLE: dict[str, TorchPrecision] = {
    p.name: p
    for p in (
        TorchPrecision(name="float64", dtype=torch.float64),
        TorchPrecision(name="float32", dtype=torch.float32),
        TorchPrecision(name="float16", dtype=torch.float16),
        TorchPrecision(name="bfloat16", dtype=torch.bfloat16),
        TorchPrecision(name="tf32", dtype=torch.float32, tf32=True),
        TorchPrecision(name="float16_accumulate", dtype=torch.float16, offered=False),
        TorchPrecision(name="float32_absolute", dtype=torch.float32, offered=False),
    )
}


def add_precision(row: TorchPrecision, charged: Precision) -> None:
    """Put a precision of one's own into this table and into the reference's.

    Raises `ValueError` where the two names differ or a precision has that name already.
    """
    if row.name != charged.name:
        raise ValueError(
            f"precision {row.name!r} is charged as {charged.name!r}; expected one name"
        )
    if row.name in TABLE:
        raise ValueError(f"precision {row.name!r} exists; the precisions are {', '.join(TABLE)}")
    TABLE[row.name], CHARGED[row.name] = row, charged


def _those(name: str, belong: Callable[[TorchPrecision], bool]) -> Group[TorchPrecision]:
    return Group(name, TABLE, belong)


def only(*names: str) -> Group[TorchPrecision]:
    """The precisions of some names."""
    return _those(", ".join(names), lambda p: p.name in names)


#: For claims that no precision changes.
FLOAT32 = only("float32")
#: What `--precision` takes.
OFFERED = _those("all", lambda p: p.offered)
#: Those that need no setting of the process: what runs where nothing is stated.
PLAIN = _those("all but tf32", lambda p: p.offered and not p.tf32)
#: The two of numerical work; most claims are made in both.
WIDE = _those("float64, float32", lambda p: p.offered and not p.tf32 and p.bits >= 32)
#: Those of 16 bits.
SHORT = _those("float16, bfloat16", lambda p: p.offered and p.bits == 16)


def dtype_of(precision: str) -> torch.dtype:
    """The dtype of the tensors of a precision."""
    return TABLE[precision].dtype


def switch(precision: str) -> None:
    """Set what a precision asks of the process: whether CUDA rounds factors to TF32.

    cuDNN does so by default.
    """
    allowed = TABLE[precision].tf32
    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = allowed
