import sys

import torch
from speechbrain.nnet.RNN import LiGRU

net = LiGRU(1, (2, 1, 1))
with torch.inference_mode():
    net(torch.ones(4, 1, 1))  # another batch than that of the constructor
try:
    net(torch.ones(4, 1, 1))[0].sum().backward()
    got = "gradients"
except RuntimeError as error:
    got = f"RuntimeError: {error}"
print(f"a backward pass, after a call under inference_mode: right is gradients, got {got[:60]}")
sys.exit(got != "gradients")
