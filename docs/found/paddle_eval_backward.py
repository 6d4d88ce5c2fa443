import sys

import paddle

net = paddle.nn.LSTM(1, 1)
net.eval()
try:
    net(paddle.ones([1, 1, 1]))[0].sum().backward()
    got = f"a gradient of shape {net.weight_hh_l0.grad.shape}"
except RuntimeError as error:
    got = f"RuntimeError: {str(error).splitlines()[0]}"
print(f"weight_hh_l0 of a layer in eval mode: right a gradient of shape [4, 1], got {got}")
sys.exit("Error" in got)
