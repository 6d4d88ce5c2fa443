"""Modules that torch.jit.script takes: each calls another module with tensors alone.

torch.jit.script finds the overloads of torch.nn's layers only where another module calls them.
It reads types from this source, so annotations are not postponed, and results have none.
"""

# ruff: noqa: UP045
# mypy: disable-error-code="no-untyped-def"
from typing import Optional

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence


class _Calls(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


class _Plain(_Calls):
    def forward(self, x: Tensor):
        return self.module(x)


class _One(_Calls):
    def forward(self, x: Tensor, h: Tensor):
        return self.module(x, h)


class _Two(_Calls):
    def forward(self, x: Tensor, h: Tensor, c: Tensor):
        return self.module(x, (h, c))


class _Packed(_Calls):
    def forward(self, x: Tensor, sizes: Tensor, i: Optional[Tensor], j: Optional[Tensor]):
        return self.module(PackedSequence(x, sizes, i, j))


class _PackedOne(_Calls):
    def forward(
        self, x: Tensor, sizes: Tensor, i: Optional[Tensor], j: Optional[Tensor], h: Tensor
    ):
        return self.module(PackedSequence(x, sizes, i, j), h)


class _PackedTwo(_Calls):
    def forward(
        self,
        x: Tensor,
        sizes: Tensor,
        i: Optional[Tensor],
        j: Optional[Tensor],
        h: Tensor,
        c: Tensor,
    ):
        return self.module(PackedSequence(x, sizes, i, j), (h, c))


#: Whether the input is packed, and the number of states that are passed → the class that calls so.
CALLS: dict[tuple[bool, int], type[_Calls]] = {
    (False, 0): _Plain,
    (False, 1): _One,
    (False, 2): _Two,
    (True, 0): _Packed,
    (True, 1): _PackedOne,
    (True, 2): _PackedTwo,
}
