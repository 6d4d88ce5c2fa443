import sys

import torch
from torchrl.modules import LSTM

documented = "Default: ``False``" in LSTM.__doc__.partition("batch_first:")[2].partition("bias")[0]
got = tuple(LSTM(1, 1)(torch.ones(5, 2, 1))[1][0].shape)  # five steps of a batch of two
print(f"h_n without batch_first, documented as False: right shape (1, 2, 1), got {got}")
sys.exit(documented and got != (1, 2, 1))
