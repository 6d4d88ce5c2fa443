import sys

import torch
from speechbrain.nnet.RNN import LiGRU

net = LiGRU(1, (2, 3, 1), bidirectional=True).eval()
torch.nn.init.ones_(net.rnn[0].w.weight)
x = torch.tensor([[[1.0], [2.0], [3.0]], [[10.0], [20.0], [30.0]]])
output, h = net(x)
right, got = output[:, -1, 0].tolist(), h[0, :, 0].tolist()
print(f"last states of the forward direction: right {right}, got {got}")
sys.exit(got != right)
