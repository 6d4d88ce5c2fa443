import sys

import torch
from pytorch_forecasting.layers import sLSTMLayer

try:
    got = str(sLSTMLayer(1, 1).double()(torch.ones(1, 1, 1, dtype=torch.float64))[0].dtype)
except RuntimeError as error:
    got = f"RuntimeError: {error}"
print(f"sLSTMLayer in float64 without states: right torch.float64, got {got}")
sys.exit(got != "torch.float64")
