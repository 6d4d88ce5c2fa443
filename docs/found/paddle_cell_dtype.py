import sys

import paddle

cell = paddle.nn.GRUCell(1, 1).to(dtype="float64")
try:
    got = cell(paddle.ones([1, 1], dtype="float64"))[0].dtype
except ValueError as error:
    got = f"ValueError: {str(error).splitlines()[0]}"
print(f"output of a cell in float64 without a state: right is paddle.float64, got {got}")
sys.exit("Error" in str(got))
