"""Steps of declared kinds with one change: a term left out, an old state read, another function.

The change is made in the text of the step, so its name has the line and the code that it is about.
"""

from __future__ import annotations

import ast
import copy
import inspect
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from gatewise.reference.activations import sigmoid
from gatewise.reference.tape_core import stopped

Step = Callable[..., Any]
#: A node of the tree in which one place differs, and what the change is.
Change = tuple[str, ast.AST]

#: The name of the function that stands for another one by mistake.
_OTHER = {"sigmoid": "tanh", "tanh": "sigmoid", "relu": "tanh"}


def changed_steps(step: Step, states: tuple[str, ...]) -> Iterator[tuple[str, Step]]:
    """Each step with one change, and the change in words; none where there is no source."""
    function = _function_of(step)
    if function is not None:
        for title, changed in _changes(function, states):
            yield title, _compiled(step, changed)


def stopped_steps(step: Step, states: tuple[str, ...]) -> Iterator[tuple[str, Step]]:
    """Each step with one expression through which no gradient flows; its values are right."""
    function = _function_of(step)
    if function is None:
        return
    own = {id(n) for r in ast.walk(function) if isinstance(r, ast.Return) for n in ast.walk(r)}
    own |= {id(n) for n in ast.walk(function.args)}
    every = [n for n in ast.walk(function) if id(n) not in own and _differentiable(n, states)]
    found = [(f"no gradient through {_shown(node)}", [node]) for node in every]
    for title, nodes in [*_reads_by_weights(function, states), *found]:
        yield title, _compiled(step, _Changed(function, nodes, _without_gradient).tree)


def _reads_by_weights(
    function: ast.FunctionDef, states: tuple[str, ...]
) -> Iterator[tuple[str, list[ast.AST]]]:
    """All reads of a state, before or after the step assigns it, in products with one weight."""
    found: dict[str, dict[int, ast.AST]] = {}
    own = function.args.args[-1].arg  # the name that the step has for its weights
    for product in ast.walk(function):
        if isinstance(product, ast.BinOp) and isinstance(product.op, ast.Mult | ast.MatMult):
            inside = list(ast.walk(product))
            weights = {n.attr for n in inside if isinstance(n, ast.Attribute) and _is(n.value, own)}
            for node in inside:
                if isinstance(node, ast.Name) and node.id in states:
                    new = any(node is n for n in _reads_of_the_new(function, node.id))
                    for w in weights:
                        title = (
                            f"no gradient to the {'new' if new else 'old'} {node.id} through {w}"
                        )
                        found.setdefault(title, {})[id(node)] = node
    for title, nodes in found.items():
        yield title, list(nodes.values())


def _is(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _differentiable(node: ast.AST, states: tuple[str, ...]) -> bool:
    """Whether an expression of a step may be a value with a gradient: an operation or a state."""
    if isinstance(node, ast.Name):
        return isinstance(node.ctx, ast.Load) and node.id in states
    called = isinstance(node, ast.Call) and _name_of(node.func) != "split"
    return called or (isinstance(node, ast.BinOp) and not _of_numbers(node))


def _name_of(function: ast.AST) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _without_gradient(node: Any) -> ast.AST:
    return ast.Call(func=ast.Name(id="_stopped", ctx=ast.Load()), args=[node], keywords=[])


def _function_of(step: Step) -> ast.FunctionDef | None:
    """The tree of a step's source with the lines of its file; None where there is no source."""
    try:
        source = textwrap.dedent(inspect.getsource(step))
    except (OSError, TypeError):
        return None
    tree = ast.parse(source)
    function = tree.body[0]
    if not isinstance(function, ast.FunctionDef) or step.__closure__:
        return None
    function.decorator_list = []
    ast.increment_lineno(tree, step.__code__.co_firstlineno - 1)
    return function


def _compiled(step: Step, function: ast.AST) -> Step:
    tree = ast.Module(body=[function], type_ignores=[])  # type: ignore[list-item]
    ast.fix_missing_locations(tree)
    names = dict(step.__globals__)
    names |= {"_sigmoid": sigmoid, "_stopped": stopped}
    exec(compile(tree, f"<{step.__name__} with a change>", "exec"), names)
    made: Step = names[step.__name__]
    return made


def _changes(function: ast.FunctionDef, states: tuple[str, ...]) -> Iterator[Change]:
    for node in ast.walk(function):
        for title, edit in _edits(node):
            yield title, _Changed(function, [node], edit).tree
    yield from _old_states(function, states)


class _Changed(ast.NodeTransformer):
    """`tree` is a copy of a function in which `edit` gives what takes the place of each node."""

    def __init__(
        self, function: ast.FunctionDef, nodes: list[ast.AST], edit: Callable[[Any], ast.AST]
    ) -> None:
        copies: dict[int, Any] = {}
        whole = copy.deepcopy(function, copies)
        self.targets, self.edit = [copies[id(node)] for node in nodes], edit
        self.tree = self.visit(whole)

    def visit(self, node: ast.AST) -> Any:
        """The node that takes the place of this one."""
        changes = any(node is t for t in self.targets)
        return self.edit(node) if changes else self.generic_visit(node)


def _edits(node: ast.AST) -> Iterator[tuple[str, Callable[[Any], ast.AST]]]:
    """The changes of one node, in words, and what takes its place."""
    joins = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub | ast.Mult)
    if isinstance(node, ast.BinOp) and joins and not _of_numbers(node):
        what = "factor" if isinstance(node.op, ast.Mult) else "term"
        yield f"the {what} {_shown(node.right)} left out", lambda n: n.left
        if not isinstance(node.op, ast.Sub):
            yield f"the {what} {_shown(node.left)} left out", lambda n: n.right
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield f"minus {_shown(node.right)} in place of plus", _subtracted
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        name = node.func.attr
        if name in _OTHER:
            yield f"{_OTHER[name]} in place of {_shown(node)}", _with_other_function
            yield f"{name} left out of {_shown(node)}", lambda n: n.args[0]


def _subtracted(node: Any) -> ast.AST:
    return ast.BinOp(left=node.left, op=ast.Sub(), right=node.right)


def _with_other_function(node: Any) -> ast.AST:
    other = _OTHER[node.func.attr]
    name: ast.expr = ast.Name(id="_sigmoid", ctx=ast.Load())
    if other == "tanh":
        name = ast.Attribute(value=ast.Name(id="np", ctx=ast.Load()), attr="tanh", ctx=ast.Load())
    return ast.Call(func=name, args=node.args, keywords=[])


def _of_numbers(node: ast.AST) -> bool:
    """Whether it is made of numbers alone, such as an index."""
    return all(isinstance(n, ast.Constant | ast.BinOp | ast.operator) for n in ast.walk(node))


def _shown(node: ast.AST) -> str:
    return f"`{ast.unparse(node)}` of line {node.lineno}"  # type: ignore[attr-defined]


def _old_states(function: ast.FunctionDef, states: tuple[str, ...]) -> Iterator[Change]:
    """Reads of a new state that read the state before the step; what the step returns is kept."""
    for state in states:
        for node in _reads_of_the_new(function, state):
            other = _Changed(function, [node], partial(_renamed, f"_old_{state}")).tree
            other.body.insert(0, ast.parse(f"_old_{state} = {state}").body[0])
            yield f"the old {state} read in line {node.lineno}: `{_line(function, node)}`", other


def _renamed(name: str, node: ast.Name) -> ast.AST:
    return ast.copy_location(ast.Name(id=name, ctx=node.ctx), node)


def _reads_of_the_new(function: ast.FunctionDef, state: str) -> list[ast.Name]:
    """The places where a state is read after the step assigned it, but for what it returns."""
    returned = {id(n) for r in ast.walk(function) if isinstance(r, ast.Return) for n in ast.walk(r)}
    named = [n for n in ast.walk(function) if isinstance(n, ast.Name) and n.id == state]
    first = min((n.lineno for n in named if isinstance(n.ctx, ast.Store)), default=None)
    return [
        n
        for n in named
        if isinstance(n.ctx, ast.Load)
        and first is not None
        and n.lineno > first
        and id(n) not in returned
    ]


def _line(function: ast.FunctionDef, node: ast.AST) -> str:
    """The statement that has a node."""
    for statement in function.body:
        if any(n is node for n in ast.walk(statement)):
            return ast.unparse(statement)
    return ""
