import sys

import torch
from torch_geometric_temporal.nn.recurrent import GCLSTM, GConvGRU, GConvLSTM

x, loop, raised = torch.ones(1, 1, dtype=torch.float64), torch.zeros(2, 1).long(), []
for kind in (GConvGRU, GConvLSTM, GCLSTM):
    try:
        kind(1, 1, K=1).double()(x, loop)
    except RuntimeError:
        raised.append(kind.__name__)
print(f"a call in float64 without a state: right is a result, got RuntimeError from {raised}")
sys.exit(bool(raised))
