import sys

from flax import nnx

documented = "b_{hn}" in nnx.GRUCell.__doc__
parameters = nnx.state(nnx.GRUCell(3, 2, rngs=nnx.Rngs(0)), nnx.Param).flat_state()
biases = [path for path, _ in parameters if "bias" in str(path)]
there = len(biases) > 1  # beside that of the input
print(f"right: a bias b_hn as the docstring has it: {documented}; got: {there} {biases}")
sys.exit(documented and not there)
