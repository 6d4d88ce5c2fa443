import sys

import paddle

paddle.seed(0)
net = paddle.nn.LSTM(1, 1)
lengths = paddle.to_tensor([2, 1])
x = paddle.ones([2, 2, 1])
right = net(x, None, lengths)[1][0].numpy().ravel()
x[1, 1] = float("nan")  # the second sequence has one step
got = net(x, None, lengths)[1][0].numpy().ravel()
print(f"final states of two sequences, NaN after the end of the second: right {right}, got {got}")
sys.exit(got.tolist() != right.tolist())
