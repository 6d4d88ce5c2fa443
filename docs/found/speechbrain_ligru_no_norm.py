import sys

from speechbrain.nnet.RNN import LiGRU

net = LiGRU(1, (1, 1, 1), normalization="none")
norms = [name for name, _ in net.named_parameters() if "norm" in name]
print(f"norms with normalization='none': right [], got {norms}")
sys.exit(bool(norms))
