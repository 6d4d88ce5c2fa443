import sys

import paddle

net = paddle.nn.LSTM(1, 2, proj_size=1)
h, c = paddle.zeros([2, 3, 1]), paddle.zeros([2, 3, 2])  # states of two layers
try:
    net(paddle.zeros([3, 1, 1]), (h, c))
    got = "no exception"
except ValueError:
    got = "a ValueError"
print(f"states of two layers for one projected layer: right a ValueError, got {got}")
sys.exit(got == "no exception")
