import sys

import paddle

worst = 0.0
for _ in range(100):
    net = paddle.nn.SimpleRNN(3, 50)
    net(paddle.zeros([0, 2, 3]))[0].sum().backward()
    worst = max(worst, *(float(b.grad.abs().max()) for b in (net.bias_ih_l0, net.bias_hh_l0)))
print(f"largest gradient of a bias with an empty batch: right 0.0, got {worst}")
sys.exit(worst != 0)
