"""The hypotheses about an implementation that the shapes of its weights allow: see `identify`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations

from gatewise.reference.classes import CLASSES, TORCH
from gatewise.reference.kinds import KINDS, Kind
from gatewise.reference.options import Options

from .conventions import Conventions, conventions

#: Sizes of the probe.  Their products and sums differ, so the shape of a weight shows its role.
INPUT, HIDDEN, BATCH, TIME = 5, 3, 2, 4

Shapes = Mapping[str, tuple[int, ...]]
Weights = dict[str, str]


@dataclass(frozen=True)
class Style:
    """A way of calling: a cell or a layer, the layout of its input, the order of its states.

    `layer_axis` says whether the states of a layer have torch's first axis (layers, directions).
    """

    cell: bool
    batch_major: bool
    states: str
    layer_axis: bool = True


@dataclass(frozen=True)
class Hypothesis:
    """One hypothesis; `weights` are own name → expression, as in `conventions`."""

    style: Style
    layout: Conventions
    weights: Weights
    options: Options

    @property
    def like(self) -> str:
        """The class of torch.nn that it computes."""
        return self.layout.like

    @property
    def order(self) -> str:
        """The own order of the gates; if each gate has a matrix, the order of these matrices."""
        gates = [t.partition("|")[0].rpartition(".")[2] for t in self.weights.values()]
        apart = "." in next(iter(self.weights.values()))
        return "".join(dict.fromkeys(gates)) if apart else self.layout.gates

    def sentence(self) -> str:
        """In words: "a GRU, reset gate before the matmul, order z r n, one bias"."""
        options, kind = self.options, KINDS[self.options.kind]
        article = "an" if kind.name[0] in "LR" else "a"  # an RNN, an LSTM, a GRU
        words = [f"{article} {kind.name}{' cell' * self.style.cell}"]
        if "reset_after" in kind.forms:
            words.append(f"reset gate {'after' if options.reset_after else 'before'} the matmul")
        single = "nonlinearity" in kind.options
        words.append(options.nonlinearity if single else f"order {' '.join(self.order)}")
        words.append(self._biases())
        if self.layout.transposed:
            words.append("matrices (in, out)")
        first = next(iter(self.weights.values()))
        if "|" in first:
            parts = [part.partition(".")[0] for part in first.split("|")]
            words.append(f"[{'|'.join(parts)}] in one matrix")
        if self.style.batch_major:
            words.append("batch-major")
        if self.style.states == "ch":
            words.append("states (c, h)")
        if not self.style.layer_axis:
            words.append("states without an axis of layers")
        if "update_keeps" in kind.forms:
            words[-1] += f"; z {'keeps the old state' if options.update_keeps else 'takes n'}"
        return ", ".join(words)

    def _biases(self) -> str:
        held = {t.partition(".")[0] for t in self.weights.values() if t.startswith("bias")}
        if any(";" in text for text in self.weights.values()):
            return "one bias and b_hn"
        if len(held) != 1:
            return "two biases" if held else "no bias"
        own = KINDS[self.options.kind]
        inside = held == {"bias_hh"} and not own.sums_biases and self.options.reset_after
        return "one bias, which is reset" if inside else "one bias"


def hypotheses(shapes: Shapes, style: Style, like: str | None) -> Iterator[Hypothesis]:
    """Every hypothesis about weights of these shapes, for a way of calling."""
    for name in TORCH:
        kind = KINDS[CLASSES[name].kind]
        as_called = CLASSES[name].cell == style.cell and len(kind.states) == len(style.states)
        if not as_called or like not in (None, name):
            continue
        # A GRU has two forms, and two meanings of z.
        forms = [(True, True)]
        if kind.forms:
            forms = [(after, keeps) for after in (True, False) for keeps in (True, False)]
        for reset_after, update_keeps in forms:
            for weights, gates, transposed in _weights(kind, shapes, reset_after):
                layout = conventions(name, weights, gates, transposed, reset_after=reset_after)
                chosen = "nonlinearity" in kind.options
                for nonlinearity in ("tanh", "relu") if chosen else ("tanh",):
                    options = Options(
                        kind.name,
                        INPUT,
                        HIDDEN,
                        bias=bool(layout.biases),
                        nonlinearity=nonlinearity,
                        reset_after=reset_after,
                        update_keeps=update_keeps,
                        biases=layout.biases or ("ih", "hh"),
                        cell=style.cell,
                    )
                    yield Hypothesis(style, layout, weights, options)


def _weights(kind: Kind, shapes: Shapes, reset_after: bool) -> Iterator[tuple[Weights, str, bool]]:
    """Yield weights, order of gates, and whether matrices are (in, out)."""
    letters = kind.gates
    rows = len(letters) * HIDDEN
    vectors = [n for n, s in shapes.items() if len(_squeezed(s)) == 1]
    matrices = {n: _squeezed(s) for n, s in shapes.items() if n not in vectors}
    for transposed in (False, True):
        own = {n: s[::-1] if transposed else s for n, s in matrices.items()}
        for found in _matrices(own, rows):
            for biases in _biases(kind, shapes, vectors, reset_after, rows):
                for order in permutations(letters):
                    gates = "".join(order)
                    ordered = {n: _in_order(text, gates) for n, text in biases.items()}
                    yield {**found, **ordered}, gates, transposed
        if len(letters) > 1:
            yield from _apart(kind, own, shapes, vectors, reset_after, transposed)


def _matrices(own: Shapes, rows: int) -> Iterator[Weights]:
    """Matrices that hold all gates: W_ih and W_hh, or both in one."""
    names = list(own)
    if len(names) == 2:
        for ih, hh in permutations(names):
            if own[ih] == (rows, INPUT) and own[hh] == (rows, HIDDEN):
                yield {ih: "weight_ih", hh: "weight_hh"}
    if len(names) == 1 and own[names[0]] == (rows, INPUT + HIDDEN):
        yield {names[0]: "weight_ih|weight_hh"}
        yield {names[0]: "weight_hh|weight_ih"}


def _biases(
    kind: Kind, shapes: Shapes, vectors: list[str], reset_after: bool, rows: int
) -> Iterator[Weights]:
    """Biases that hold all gates: none, one, two, or a GRU's one and b_hn.

    Two biases can be exchanged, unless the reset gate acts on b_hn.
    """
    sizes = [_squeezed(shapes[n])[0] for n in vectors]
    resets_bias = not kind.sums_biases and reset_after
    if not vectors:
        yield {}
    elif sizes == [rows]:
        for part in ("bias_ih", "bias_hh") if resets_bias else ("bias",):
            yield {vectors[0]: part}
    elif sizes == [rows, rows]:
        yield dict(zip(vectors, ("bias_ih", "bias_hh"), strict=True))
        if resets_bias:
            yield dict(zip(vectors, ("bias_hh", "bias_ih"), strict=True))
    elif resets_bias and sorted(sizes) == [HIDDEN, rows]:
        whole, n = sorted(vectors, key=lambda name: -shapes[name][-1])
        yield {whole: "rz;n", n: "bias_hh.n"}


def _in_order(text: str, gates: str) -> str:
    """The expression of the one bias of a GRU that also has b_hn, in an order of gates."""
    if text != "rz;n":
        return text
    return ";".join("bias_ih.n" if g == "n" else f"bias.{g}" for g in gates)


def _apart(
    kind: Kind,
    own: Shapes,
    shapes: Shapes,
    vectors: list[str],
    reset_after: bool,
    transposed: bool,
) -> Iterator[tuple[Weights, str, bool]]:
    """A matrix for each gate: the k-th W_ih, the k-th W_hh and the k-th bias are of one gate."""
    letters = kind.gates
    count = len(letters)
    ih = [n for n, s in own.items() if s == (HIDDEN, INPUT)]
    hh = [n for n, s in own.items() if s == (HIDDEN, HIDDEN)]
    both = [n for n, s in own.items() if s == (HIDDEN, INPUT + HIDDEN)]
    patterns: list[list[tuple[list[str], str]]] = []
    if len(ih) == len(hh) == count and not both:
        patterns = [[(ih, "weight_ih.{g}"), (hh, "weight_hh.{g}")]]
    elif len(both) == count and not ih and not hh:
        texts = ("weight_ih.{g}|weight_hh.{g}", "weight_hh.{g}|weight_ih.{g}")
        patterns = [[(both, text)] for text in texts]
    if any(_squeezed(shapes[n]) != (HIDDEN,) for n in vectors):
        return
    resets_bias = not kind.sums_biases and reset_after
    groups: list[list[tuple[list[str], str]]] = []
    if not vectors:
        groups = [[]]
    elif len(vectors) == count:
        parts = ("bias_ih", "bias_hh") if resets_bias else ("bias",)
        groups = [[(vectors, f"{part}.{{g}}")] for part in parts]
    elif len(vectors) == 2 * count:
        pairs = ((vectors[:count], vectors[count:]), (vectors[::2], vectors[1::2]))
        for first, second in pairs:
            groups.append([(first, "bias_ih.{g}"), (second, "bias_hh.{g}")])
            if resets_bias:
                groups.append([(first, "bias_hh.{g}"), (second, "bias_ih.{g}")])
    for pattern in patterns:
        for group in groups:
            for order in permutations(letters):
                yield (
                    {
                        name: text.format(g=gate)
                        for names, text in pattern + group
                        for name, gate in zip(names, order, strict=True)
                    },
                    "",
                    transposed,
                )


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)
