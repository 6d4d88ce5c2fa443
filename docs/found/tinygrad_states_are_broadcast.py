import sys

import tinygrad

cell = tinygrad.nn.LSTMCell(1, 2)
x, h, c = (tinygrad.Tensor.zeros(*shape, device="PYTHON") for shape in ((3, 1), (1, 2), (3, 1)))
try:
    got = f"a result of the shape {cell(x, (h, c))[0].shape}"
except Exception as error:
    got = repr(error)
print(f"right for an h of one row and a c of one unit is an error; got {got}")
sys.exit("shape (3, 2)" in got)
