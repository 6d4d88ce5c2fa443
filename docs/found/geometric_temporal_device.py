import sys

import torch
from torch_geometric_temporal.nn.recurrent import GConvLSTM

with torch.device("meta"):  # or "cuda"
    net = GConvLSTM(1, 1, K=1)
got = sorted({parameter.device.type for parameter in net.parameters()})
print(f"devices of the parameters, made under torch.device('meta'): right ['meta'], got {got}")
sys.exit(got != ["meta"])
