import sys

import paddle

cell = paddle.nn.GRUCell(1, 1)
output, _ = cell(paddle.zeros([0, 1]))
try:
    output.sum().backward()
    got = cell.weight_hh.grad.shape
except ValueError as error:
    got = f"ValueError: {str(error).strip().splitlines()[0]}"
print(f"gradient of weight_hh for an empty batch: right a shape [3, 1], got {got}")
sys.exit("Error" in str(got))
