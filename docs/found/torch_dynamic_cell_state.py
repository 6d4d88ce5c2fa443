# A cell takes a state with a dimension more, and spreads it over the batch.
import sys

import torch
from torch.ao.nn.quantized import dynamic

cell = dynamic.RNNCell(1, 2)
try:
    got = f"a result of the shape {tuple(cell(torch.zeros(2, 1), torch.zeros(2, 2, 2)).shape)}"
except RuntimeError as error:
    got = repr(error)
print(f"right for a state of the shape (2, 2, 2) is an error; got {got}")
sys.exit("shape (2, 2, 2)" in got)
