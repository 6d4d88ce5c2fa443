import sys

import torch
from speechbrain.nnet.RNN import LiGRU

net = LiGRU(1, (1, 3, 1), bidirectional=True).eval()
torch.nn.init.ones_(net.rnn[0].w.weight)
output, h = net(torch.tensor([[[1.0], [2.0], [3.0]]]))
right, got = float(output[0, 0, 1]), float(h[1, 0, 0])  # it ends at the first step
print(f"last state of the reverse direction: right {right:.6f}, got {got:.6f}")
sys.exit(got != right)
