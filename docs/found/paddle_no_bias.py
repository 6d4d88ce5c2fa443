import multiprocessing
import sys

import paddle


def call():
    paddle.disable_signal_handler()  # it prints the stack of the C++ code
    net = paddle.nn.LSTM(1, 1, bias_ih_attr=False, bias_hh_attr=False)
    net(paddle.ones([1, 1, 1]))


if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=call)
    child.start()
    child.join()
    print(f"exit status of an LSTM without biases: right 0, got {child.exitcode}")
    sys.exit(child.exitcode != 0)
