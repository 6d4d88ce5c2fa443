# A NaN in the input gives a finite result.
import sys

import torch
from torch.ao.nn.quantized import dynamic
from torch.ao.quantization import default_dynamic_qconfig

torch.manual_seed(0)
cell = torch.nn.GRUCell(1, 1)
cell.qconfig = default_dynamic_qconfig
quantized = dynamic.GRUCell.from_float(cell)
x = torch.tensor([[1.0], [float("nan")]])
got = quantized(x)[1, 0].item()
print(f"right is {cell(x)[1, 0].item()} for the row of NaN; got {got}")
sys.exit(got == got)
