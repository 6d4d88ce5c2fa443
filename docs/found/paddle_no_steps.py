import multiprocessing
import sys

import paddle


def call():
    paddle.disable_signal_handler()  # it prints the stack of the C++ code
    try:
        paddle.nn.LSTM(1, 1)(paddle.zeros([1, 0, 1]))
    except Exception as error:
        print(error, file=sys.stderr)


if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=call)
    child.start()
    child.join()
    print(f"exit status of a call with 0 steps: right 0, got {child.exitcode}")
    sys.exit(child.exitcode != 0)
