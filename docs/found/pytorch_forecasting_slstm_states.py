import sys

import torch
from pytorch_forecasting.layers._recurrent._slstm.layer import sLSTMLayer

h, c = [torch.zeros(1, 1)], [torch.zeros(1, 1)]
sLSTMLayer(1, 1, use_layer_norm=False)(torch.ones(1, 1, 1), h, c)
got = float(h[0])
print(f"the caller's initial state after a call of sLSTMLayer: right 0.0, got {got:.6f}")
sys.exit(got != 0.0)
