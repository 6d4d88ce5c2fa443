import sys

import torch
from torchrl.modules import LSTMCell

try:
    h, c = LSTMCell(3, 4)(torch.ones(2, 3), torch.zeros(2, 4))  # hx is h alone, of two rows
    got = f"h {tuple(h.shape)} and c {tuple(c.shape)}"
except (RuntimeError, ValueError, TypeError) as error:
    got = type(error).__name__
print(f"h alone in place of (h, c): right is an error, got {got}")
sys.exit(not got.endswith("Error"))
