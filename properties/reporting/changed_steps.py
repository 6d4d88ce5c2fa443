"""Steps of declared kinds with one change: a term left out, an old state read, another function.

The change is made in the text of the step, so its name has the line and the code that it is about.
"""

from __future__ import annotations

import ast
import copy
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

Step = Callable[..., Any]
#: A node of the tree in which one place differs, and what the change is.
Change = tuple[str, ast.AST]

#: The name of the function that stands for another one by mistake.
_OTHER = {"sigmoid": "tanh", "tanh": "sigmoid", "relu": "tanh"}


def changed_steps(step: Step, states: tuple[str, ...]) -> Iterator[tuple[str, Step]]:
    """Each step with one change, and the change in words; none where there is no source."""
    try:
        source = textwrap.dedent(inspect.getsource(step))
    except (OSError, TypeError):
        return
    tree = ast.parse(source)
    function = tree.body[0]
    if not isinstance(function, ast.FunctionDef) or step.__closure__:
        return
    function.decorator_list = []
    ast.increment_lineno(tree, step.__code__.co_firstlineno - 1)
    for title, changed in _changes(function, states):
        yield title, _compiled(step, changed)


def _compiled(step: Step, function: ast.AST) -> Step:
    tree = ast.Module(body=[function], type_ignores=[])  # type: ignore[list-item]
    ast.fix_missing_locations(tree)
    names = dict(step.__globals__)
    names.setdefault("_sigmoid", _sigmoid())
    exec(compile(tree, f"<{step.__name__} with a change>", "exec"), names)
    made: Step = names[step.__name__]
    return made


def _sigmoid() -> Any:
    from gatewise.reference.activations import sigmoid

    return sigmoid


def _changes(function: ast.FunctionDef, states: tuple[str, ...]) -> Iterator[Change]:
    nodes = list(ast.walk(function))
    for place, node in enumerate(nodes):
        for title, edit in _edits(node):
            other = copy.deepcopy(function)
            parent_of = {id(c): (p, f, k) for p, f, k, c in _children(other)}
            target = list(ast.walk(other))[place]
            _put(parent_of[id(target)], edit(target))
            yield title, other
    yield from _old_states(function, states)


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


def _children(tree: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if isinstance(value, ast.AST):
                yield parent, name, None, value
            elif isinstance(value, list):
                for k, item in enumerate(value):
                    if isinstance(item, ast.AST):
                        yield parent, name, k, item


def _put(place: tuple[ast.AST, str, int | None], node: ast.AST) -> None:
    parent, name, k = place
    if k is None:
        setattr(parent, name, node)
    else:
        getattr(parent, name)[k] = node


def _old_states(function: ast.FunctionDef, states: tuple[str, ...]) -> Iterator[Change]:
    """Reads of a new state that read the state before the step; what the step returns is kept."""
    for state in states:
        reads = _reads_of_the_new(function, state)
        for place, node in reads:
            other = copy.deepcopy(function)
            target: Any = list(ast.walk(other))[place]
            target.id = f"_old_{state}"
            keep = ast.parse(f"_old_{state} = {state}").body[0]
            other.body.insert(0, keep)
            yield f"the old {state} read in line {node.lineno}: `{_line(function, node)}`", other


def _reads_of_the_new(function: ast.FunctionDef, state: str) -> list[tuple[int, ast.Name]]:
    """The places in the walk of the tree where a state is read after the step assigned it."""
    assigned = [
        (t.lineno, t)
        for statement in ast.walk(function)
        if isinstance(statement, ast.Assign)
        for t in ast.walk(statement)
        if isinstance(t, ast.Name) and t.id == state and isinstance(t.ctx, ast.Store)
    ]
    if not assigned:
        return []
    first = min(line for line, _ in assigned)
    returned = {id(n) for r in ast.walk(function) if isinstance(r, ast.Return) for n in ast.walk(r)}
    return [
        (place, node)
        for place, node in enumerate(ast.walk(function))
        if isinstance(node, ast.Name)
        and node.id == state
        and isinstance(node.ctx, ast.Load)
        and node.lineno > first
        and id(node) not in returned
    ]


def _line(function: ast.FunctionDef, node: ast.AST) -> str:
    """The statement that has a node."""
    for statement in function.body:
        if any(n is node for n in ast.walk(statement)):
            return ast.unparse(statement)
    return ""
