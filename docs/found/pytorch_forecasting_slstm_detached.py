import sys

import torch
from pytorch_forecasting.layers import sLSTMLayer

x = torch.ones(1, 1, 1, requires_grad=True)
_, (h, c) = sLSTMLayer(1, 1, use_layer_norm=False)(x)
got = h[0].requires_grad and c[0].requires_grad
print(f"whether the last states of sLSTMLayer have a gradient: right True, got {got}")
sys.exit(not got)
