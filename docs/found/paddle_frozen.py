import sys

import paddle

net = paddle.nn.LSTM(1, 1)
net.weight_ih_l0.stop_gradient = True
try:
    net(paddle.ones([1, 1, 1]))[0].sum().backward()
    got = f"a gradient of shape {net.weight_hh_l0.grad.shape}"
except ValueError as error:
    got = f"ValueError: {str(error).splitlines()[0]}"
print(f"weight_hh_l0 with a frozen weight_ih_l0: right a gradient of shape [4, 1], got {got}")
sys.exit("Error" in got)
