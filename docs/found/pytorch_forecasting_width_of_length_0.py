import sys

import torch
from pytorch_forecasting.models.nn.rnn import GRU

output, _ = GRU(1, 1, bidirectional=True)(torch.ones(1, 1, 1), lengths=torch.tensor([0]))
print(f"width of the output of both directions, without a step: right 2, got {output.shape[-1]}")
sys.exit(output.shape[-1] != 2)
