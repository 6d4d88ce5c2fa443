import sys

import torch
from torchrl.modules import LSTM

net = LSTM(1, 2, proj_size=1)
got = tuple(net(torch.ones(1, 1, 1))[0].shape)
print(f"output of an LSTM with proj_size=1: right shape (1, 1, 1), got {got}")
sys.exit(got != (1, 1, 1))
