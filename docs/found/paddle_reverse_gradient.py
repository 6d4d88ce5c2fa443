import sys

import numpy as np
import paddle


def total(bump=0.0):
    """The sum of the outputs, after `bump` is added to one element of the weight."""
    paddle.assign(np.array([[0.5], [0.5], [0.5 + bump], [0.5]]), weight)
    start = [paddle.ones([2, 2, 1]), paddle.ones([2, 2, 1])]
    return net(paddle.ones([2, 2, 1]), start, paddle.to_tensor([2, 1]))[0].sum()


paddle.set_default_dtype("float64")
net = paddle.nn.LSTM(1, 1, direction="bidirect")
weight = net.weight_hh_l0_reverse
total().backward()
got, right = float(weight.grad[2, 0]), float(total(1e-4) - total(-1e-4)) / 2e-4
print(f"gradient of weight_hh_l0_reverse[2, 0]: right {right:.6f}, got {got:.6f}")
sys.exit(round(got, 6) != round(right, 6))
