import sys

import torch
from pytorch_forecasting.models.nn.rnn import LSTM

h, c = torch.full((1, 2, 1), 1.0), torch.full((1, 2, 1), 5.0)
_, (_, last) = LSTM(1, 1)(torch.ones(1, 2, 1), (h, c), lengths=torch.tensor([1, 0]))
got = float(last[0, 1, 0])
print(f"last cell of a row without steps, whose cell was 5 and h was 1: right 5.0, got {got}")
sys.exit(got != 5.0)
