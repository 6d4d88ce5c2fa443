import sys

import torch
from torchrl.modules import LSTM

x, state = torch.ones(1, 3, 1), torch.zeros(1, 1, 1)  # a state of one layer for two layers
net = LSTM(1, 1, num_layers=2)
try:
    net(x, (state, state))[0].sum().backward()
    got = "a result" if net.weight_ih_l1.grad is not None else "a result without the second layer"
except (RuntimeError, ValueError) as error:
    got = type(error).__name__
print(f"states of one layer for an LSTM of two: right is an error, got {got}")
sys.exit(got != "RuntimeError" and got != "ValueError")
