# A state with more rows than the batch is taken where the packed input was not sorted.
import sys

import torch
from torch.ao.nn.quantized import dynamic
from torch.nn.utils.rnn import pack_padded_sequence

layer = dynamic.GRU(1, 1)
x = pack_padded_sequence(torch.ones(2, 2, 1), torch.tensor([1, 2]), enforce_sorted=False)
try:
    _, h = layer(x, torch.zeros(1, 5, 1))
    got = f"a final state of {h.shape[1]} rows"
except RuntimeError as error:
    got = repr(error)
print(f"right for a state of 5 rows and a batch of 2 is an error; got {got}")
sys.exit("rows" in got and "Error" not in got)
