import sys

import numpy as np
import paddle

net = paddle.nn.GRU(1, 1)
with paddle.no_grad():
    for parameter in net.parameters():
        parameter.fill_(0.5)
    paddle.assign(np.float32([-100, 0.5, 0.5]), net.bias_ih_l0)  # the reset gate is 0
cell = paddle.nn.GRUCell(1, 1)
cell.set_state_dict({n.removesuffix("_l0"): p for n, p in net.state_dict().items()})

net(paddle.ones([1, 1, 1]))[0].sum().backward()
cell(paddle.ones([1, 1]))[0].sum().backward()
got, right = net.weight_ih_l0.grad.numpy().ravel(), cell.weight_ih.grad.numpy().ravel()
print(f"gradient of weight_ih_l0: right {right} by GRUCell, got {got}")
sys.exit(bool(np.isnan(got).any()))
