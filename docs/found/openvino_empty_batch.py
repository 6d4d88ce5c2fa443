import multiprocessing
import sys

from openvino import Core, Model, Type, opset13


def call():
    shapes = [[0, 1, 1], [0, 1, 1], [0], [1, 1, 1], [1, 1, 1], [1, 1]]  # x, h, lengths, W, R, B
    types = [Type.i32 if len(s) == 1 else Type.f32 for s in shapes]
    given = [opset13.parameter(s, t) for s, t in zip(shapes, types, strict=True)]
    model = Model(opset13.rnn_sequence(*given, 1, "forward").outputs(), given)
    Core().compile_model(model, "CPU")


if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=call)
    child.start()
    child.join()
    print(f"exit status of compiling for a batch of 0: right 0, got {child.exitcode}")
    sys.exit(child.exitcode != 0)
