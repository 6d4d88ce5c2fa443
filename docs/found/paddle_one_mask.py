import sys

import numpy as np
import paddle

net = paddle.nn.SimpleRNN(1, 1000, num_layers=3, dropout=0.5, activation="relu")
eye = np.eye(1000, dtype="float32")
for number, layer in enumerate(net):  # each layer copies its input
    layer.cell.weight_ih.set_value(eye if number else eye.sum(0)[:, None])
    for other in (layer.cell.weight_hh, layer.cell.bias_ih, layer.cell.bias_hh):
        other.set_value(paddle.zeros_like(other))

final = net(paddle.ones([1, 1, 1]))[1]
second, third = (final[layer, 0].numpy() > 0 for layer in (1, 2))
share = third.sum() / second.sum()
print(f"share of kept units that the next layer keeps as well: right about 0.5, got {share:.2f}")
sys.exit(bool(share == 1))
