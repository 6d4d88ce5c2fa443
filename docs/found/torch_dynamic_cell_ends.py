# An LSTMCell that gets states with a dimension more ends the process.
import multiprocessing
import sys

import torch
from torch.ao.nn.quantized import dynamic


def call():
    h = torch.zeros(2, 2, 2)
    dynamic.LSTMCell(1, 2, dtype=torch.float16)(torch.zeros(2, 1), (h, h))


if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=call)
    child.start()
    child.join()
    print(f"right for states of the shape (2, 2, 2) is status 1, an error; got {child.exitcode}")
    sys.exit(child.exitcode < 0)
