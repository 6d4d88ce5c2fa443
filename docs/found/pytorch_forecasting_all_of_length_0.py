import sys

import torch
from pytorch_forecasting.models.nn.rnn import GRU

h = torch.ones(1, 1, 1)
_, last = GRU(1, 1)(torch.ones(1, 1, 1), h, lengths=torch.tensor([0]))
print(f"last state where no row has a step, and the state was 1: right 1.0, got {float(last)}")
sys.exit(float(last) != 1.0)
