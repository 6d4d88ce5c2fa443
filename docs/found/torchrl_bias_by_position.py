import sys

from torch import nn
from torchrl.modules import LSTM

right = nn.LSTM(1, 1, 1, False)
net = LSTM(1, 1, 1, False)
print(f"bias of LSTM(1, 1, 1, False): right {right.bias}, got {net.bias}")
sys.exit(net.bias != right.bias)
