import sys

import torch
from speechbrain.nnet.RNN import LiGRU

try:
    got = str(tuple(LiGRU(1, (16001, 1, 1))(torch.ones(16001, 1, 1))[0].shape))
except RuntimeError as error:
    got = f"RuntimeError: {error}"
print(f"a batch of 16001 in training, without dropout: right (16001, 1, 1), got {got}")
sys.exit(got != "(16001, 1, 1)")
