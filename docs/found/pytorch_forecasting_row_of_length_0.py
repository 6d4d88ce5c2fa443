import sys

import torch
from pytorch_forecasting.models.nn.rnn import GRU

h = torch.tensor([[[1.0], [2.0]]])  # the states of two rows
_, last = GRU(1, 1)(torch.ones(1, 2, 1), h, lengths=torch.tensor([1, 0]))
got = float(last[0, 1, 0])
print(f"last state of a row without steps, whose state was 2: right 2.0, got {got}")
sys.exit(got != 2.0)
