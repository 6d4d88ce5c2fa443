import sys

import torch
from speechbrain.nnet.RNN import LiGRU

net = LiGRU(1, (2, 3, 1)).to(torch.bfloat16)
try:
    got = str(net(torch.ones(4, 3, 1, dtype=torch.bfloat16))[0].dtype)
except RuntimeError as error:
    got = f"RuntimeError: {error}"
print(f"a batch of 4 in bfloat16, after input_shape of 2: right torch.bfloat16, got {got}")
sys.exit(got != "torch.bfloat16")
