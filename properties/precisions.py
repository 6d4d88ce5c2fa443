"""The precisions of the properties, in one table: dtype, setting of the process, groups.

`reference.formats.PRECISIONS` states how the reference charges each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from gatewise.reference.formats import PRECISIONS as CHARGED
from gatewise.reference.formats import Precision
from gatewise.reference.groups import Group


@dataclass(frozen=True, kw_only=True)
class TorchPrecision:
    """How torch computes in a precision.

    All tensors have `dtype`.  With `tf32`, a setting of the process makes a CUDA device round the
    factors of float32 products to TF32.  `--precision` accepts the precisions that are `offered`.
    An adapter may state that it computes in one of the others.
    """

    name: str
    dtype: torch.dtype
    tf32: bool = False
    offered: bool = True

    @property
    def bits(self) -> int:
        """The width of a number in bits."""
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
    )
}


def add_precision(row: TorchPrecision, charged: Precision) -> None:
    """Add a precision to this table and to the reference's.

    Raises `ValueError` if the two names differ, or if another precision has the name.
    """
    if row.name != charged.name:
        raise ValueError(
            f"precision {row.name!r}: charged has the name {charged.name!r}; expected the same name"
        )
    if row.name in TABLE:
        names = ", ".join(TABLE)
        raise ValueError(f"precision {row.name!r} exists; expected a name other than {names}")
    TABLE[row.name], CHARGED[row.name] = row, charged


def _group(name: str, belong: Callable[[TorchPrecision], bool]) -> Group[TorchPrecision]:
    return Group(name, TABLE, belong)


def only(*names: str) -> Group[TorchPrecision]:
    """The group of the precisions with these names."""
    return _group(", ".join(names), lambda p: p.name in names)


#: For claims that do not depend on the precision.
FLOAT32 = only("float32")
#: The precisions that `--precision` accepts.
OFFERED = _group("all", lambda p: p.offered)
#: The precisions that need no setting of the process; the default of `--precision`.
PLAIN = _group("all but tf32", lambda p: p.offered and not p.tf32)
#: The two precisions of numerical work; most claims are made in both.
WIDE = _group("float64, float32", lambda p: p.offered and not p.tf32 and p.bits >= 32)
#: The precisions of 16 bits.
SHORT = _group("float16, bfloat16", lambda p: p.offered and p.bits == 16)


def dtype_of(precision: str) -> torch.dtype:
    """The dtype of the tensors of a precision."""
    return TABLE[precision].dtype


def set_sums(reduced: tuple[Any, Any]) -> None:
    """Whether cuBLAS may add the parts of a sum (split-K) in float16, and in bfloat16."""
    matmul = torch.backends.cuda.matmul
    matmul.allow_fp16_reduced_precision_reduction = reduced[0]
    matmul.allow_bf16_reduced_precision_reduction = reduced[1]


def switch(precision: str) -> None:
    """Set what a precision needs of the process: TF32 or not, and sums of products in float32.

    cuDNN rounds them by default.  torch keeps this precision in several places, and a subject may
    have set any of them.  The two setters here set all of them.  If places differed, torch would
    raise an error when the precision is read.
    """
    tf32 = TABLE[precision].tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    set_sums((False, False))  # by default cuBLAS may
