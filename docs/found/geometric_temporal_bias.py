import sys

from torch_geometric_temporal.nn.recurrent import GCLSTM, GConvLSTM

left = [
    f"{kind.__name__}.{name}"
    for kind in (GConvLSTM, GCLSTM)
    for name, _ in kind(1, 1, K=1, bias=False).named_parameters()
    if name.startswith("b_")
]
print(f"biases with bias=False: right [], got {left}")
sys.exit(bool(left))
