"""How Hypothesis draws a case, and the cases that are added at the end of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from hypothesis import strategies as st

from gatewise.reference.kinds import KINDS

from .case import Case
from .layouts import LAYOUTS
from .sizes import NAMES, TILE_EDGES, Sizes, sizes
from .values import ANY, Triple, seeded

#: One draw decides several options, because each draw takes time in every example.
_FLAGS = st.integers(0, 2**7 - 1)
_SEED = st.integers(0, 2**32 - 1)
_LAYERS = (1,) * 6 + (2, 2, 3)
_PROJECTION = ("none",) * 6 + ("one", "most")
_STACK = st.sampled_from([(n, p) for p in _PROJECTION for n in _LAYERS])
_FORM = ("dense",) * 5 + ("unbatched",) + ("equal",) + ("ragged",) * 3
_LAYOUT = (LAYOUTS[0],) * 8 + LAYOUTS[1:]
_OUTPUTS = st.integers(1, 7)
_VOCABULARY = st.integers(1, 20)
_PASSING = st.sampled_from([(f, o) for o in _LAYOUT for f in _FORM])


@st.composite
def cases(
    draw: st.DrawFn,
    /,
    kind: str,
    cell: bool,
    precision: str,
    *,
    least: dict[str, int] | None = None,
    most: dict[str, int] | None = None,
    forms: tuple[str, ...] = ("dense", "unbatched", "equal", "ragged"),
    regimes: st.SearchStrategy[Triple] = ANY,
    variants: tuple[str, ...] = (),
    evaluates: bool = False,
    **fixed: Any,
) -> Case:
    """Draw a case of `kind` in `precision`; the fields in `fixed` are not drawn.

    `forms` are the allowed forms of the input: `dense`, `unbatched`, and the packed `equal` and
    `ragged`.  `least` and `most` bound the sizes.  `variant` is one of `variants`.  With
    `evaluates` the module is in evaluation mode in a third of the cases.
    """
    weights, inputs, states = draw(regimes)
    size: Sizes = draw(sizes(tuple((least or {}).items()), tuple((most or {}).items())))
    flags = draw(_FLAGS)
    form, layout = draw(_PASSING)
    if form not in forms:
        form = forms[0]
    fields_: dict[str, Any] = {
        "kind": kind,
        "cell": cell,
        "precision": precision,
        "input_size": size.input,
        "hidden_size": size.hidden,
        "batch": size.batch,
        "bias": not flags & 1,
        "with_state": (flags & 70) != 66,
        "weights": weights,
        "inputs": inputs,
        "states": states,
        "layout": layout,
    }
    options = KINDS[kind].options
    if "nonlinearity" in options and flags & 8:
        fields_["nonlinearity"] = "relu"
    if cell:
        if form == "unbatched":
            fields_["batch"] = None
    else:
        num_layers, projection = draw(_STACK)
        fields_ |= {
            "time": size.time,
            "num_layers": num_layers,
            "bidirectional": bool(flags & 16),
            "batch_first": bool(flags & 32),
        }
        if "proj_size" in options:
            widths = {"none": 0, "one": min(1, size.hidden - 1), "most": size.hidden - 1}
            fields_["proj_size"] = widths[projection]
    if variants:
        fields_["variant"] = draw(st.sampled_from(variants))
    fields_["seed"] = draw(_SEED)
    fields_ |= {"training": _trains(fields_["seed"], evaluates), **fixed}
    if not cell:
        fields_ |= lengths_of(fields_["seed"], form, fields_["batch"], fields_["time"])
    return Case(**fields_)


@st.composite
def network_cases(
    draw: st.DrawFn,
    /,
    kind: str,
    cell: bool,
    precision: str,
    *,
    regimes: st.SearchStrategy[Triple] = ANY,
    variants: tuple[str, ...] = (),
    evaluates: bool = False,
    **fixed: Any,
) -> Case:
    """Draw a case of a network that ends in a log softmax: a concat cell or a tagger."""
    weights, inputs, states = draw(regimes)
    bounds = (tuple(fixed.pop(name, {}).items()) for name in ("least", "most"))
    size: Sizes = draw(sizes(*bounds))
    fixed.pop("forms", None)
    fields_: dict[str, Any] = {
        "kind": kind,
        "cell": cell,
        "precision": precision,
        "input_size": size.input,
        "hidden_size": size.hidden,
        "weights": weights,
        "inputs": inputs,
        "states": states,
        "output_size": draw(_OUTPUTS),
    }
    if cell:
        fields_ |= {"batch": size.batch, "layout": draw(_PASSING)[1]}
        fields_["with_state"] = draw(_FLAGS) % 8 != 7
    else:
        fields_ |= {"batch": None, "time": size.time, "vocab_size": draw(_VOCABULARY)}
    if variants:
        fields_["variant"] = draw(st.sampled_from(variants))
    fields_["seed"] = draw(_SEED)
    return Case(**(fields_ | {"training": _trains(fields_["seed"], evaluates), **fixed}))


def _trains(seed: int, evaluates: bool) -> bool:
    """Whether a module is in training mode: by the seed, since a draw of its own takes time."""
    return not evaluates or seeded(seed, 10).randint(3) > 0


def edge_cases(kind: str, cell: bool, precision: str, seed: int) -> Iterator[Case]:
    """For every size and every tile edge, a case with this size at the edge and small other sizes.

    The values follow from the seed.  Drawing reaches each of these cases only by chance, but the
    fault of a kernel may show in a single one.
    """
    for name in NAMES[:3] if cell else NAMES:
        for place, edge in enumerate(TILE_EDGES):
            size = {"input": 2, "hidden": 3, "batch": 2, "time": 2, name: edge}
            yield Case(
                kind,
                cell=cell,
                input_size=size["input"],
                hidden_size=size["hidden"],
                batch=size["batch"],
                time=1 if cell else size["time"],
                weights="spread",
                inputs="spread",
                states="spread",
                seed=(seed + place) % 2**32,
                precision=precision,
            )


def variant_cases(
    kind: str, cell: bool, precision: str, seed: int, variants: Iterable[str]
) -> Iterator[Case]:
    """For every variant, a small dense case with at least two rows and, in a layer, two steps.

    The sizes and options follow from the seed.
    """
    options = KINDS[kind].options
    for place, variant in enumerate(variants):
        rng = seeded(seed, place)
        input_size, hidden_size, batch, time, layers, flags = (
            int(n) for n in rng.randint(48, size=6)
        )
        case = Case(
            kind,
            cell=cell,
            input_size=1 + input_size % 4,
            hidden_size=1 + hidden_size % 4,
            batch=2 + batch % 2,
            bias=flags % 4 > 0,
            nonlinearity="relu" if "nonlinearity" in options and flags % 3 == 0 else "tanh",
            seed=(seed + place) % 2**32,
            precision=precision,
            variant=variant,
        )
        if not cell:
            projects = "proj_size" in options and flags % 5 == 0
            narrow = min(1, case.hidden_size - 1) if projects else 0
            case = case.but(
                time=2 + time % 2,
                num_layers=1 + layers % 2,
                bidirectional=layers % 3 == 0,
                proj_size=narrow,
            )
        yield case


def lengths_of(seed: int, form: str, batch: int, time: int) -> dict[str, Any]:
    """The fields of a case for a form of the input; the longest sequence always fills `time`."""
    if form == "dense":
        return {}
    if form == "unbatched":
        return {"batch": None}
    if form == "equal" or batch == 1:
        return {"lengths": (time,) * batch, "enforce_sorted": True}
    rng = seeded(seed, 3)
    lengths = [int(n) for n in rng.randint(1, time + 1, size=batch)]
    lengths[rng.randint(batch)] = time
    ordered = bool(rng.randint(2))
    if ordered:
        lengths.sort(reverse=True)
    return {"lengths": tuple(lengths), "enforce_sorted": ordered}
