import sys

import torch
from speechbrain.nnet.RNN import LiGRU

net = LiGRU(1, (2, 3, 1), bidirectional=True)
try:
    got = str(tuple(net(torch.ones(4, 3, 1), torch.zeros(2, 4, 1))[0].shape))
except RuntimeError as error:
    got = f"RuntimeError: {error}"
print(f"a batch of 4 with its states, after input_shape of 2: right (4, 3, 2), got {got}")
sys.exit(got != "(4, 3, 2)")
