# An infinite value in one row of a batch makes the results of the other rows NaN.
import sys

import torch
from torch.ao.nn.quantized import dynamic
from torch.ao.quantization import default_dynamic_qconfig

torch.manual_seed(0)
cell = torch.nn.GRUCell(1, 1)
cell.qconfig = default_dynamic_qconfig
quantized = dynamic.GRUCell.from_float(cell)
x = torch.tensor([[1.0], [float("inf")]])
got = quantized(x)[0, 0].item()
print(f"right is about {cell(x)[0, 0].item():.2f} for the finite row; got {got}")
sys.exit(got != got)
