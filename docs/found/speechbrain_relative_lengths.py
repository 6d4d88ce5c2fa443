import sys

import torch
from speechbrain.nnet.RNN import LSTM

x = torch.ones(2, 22, 1)
output, _ = LSTM(1, input_size=1)(x, lengths=torch.tensor([22, 13]) / 22)
got = int((output[1] != 0).sum())  # what is after the end of a row is 0
print(f"steps of a row of 13/22 of 22 steps: right 13, got {got}")
sys.exit(got != 13)
