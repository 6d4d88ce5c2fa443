import sys

import paddle

try:
    got = paddle.nn.LSTM(1, 1)(paddle.zeros([0, 1, 1]))[0].shape
except RuntimeError as error:
    got = f"RuntimeError: {str(error).splitlines()[0]}"
print(f"output of an empty batch: right a shape [0, 1, 1], got {got}")
sys.exit("Error" in str(got))
