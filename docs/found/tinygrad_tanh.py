import math
import sys

import tinygrad

found = tinygrad.Tensor([1e-5], device="PYTHON").tanh().item()
right = math.tanh(1e-5)
print(f"tanh(1e-5) in float32: right {right:.6g}, got {found:.6g}")
sys.exit(f"{found:.4g}" != f"{right:.4g}")
