# A NaN in a weight becomes a number when it is rounded to float16.
import sys

import torch
from torch.ao.nn.quantized import dynamic
from torch.ao.quantization import float16_dynamic_qconfig

torch.manual_seed(0)
cell = torch.nn.GRUCell(1, 1)
cell.qconfig = float16_dynamic_qconfig
torch.nn.init.constant_(cell.weight_ih, float("nan"))
quantized = dynamic.GRUCell.from_float(cell)
got = quantized(torch.ones(1, 1)).item()
print(f"right for weights of NaN is {cell(torch.ones(1, 1)).item()}; got {got}")
sys.exit(got == got)
