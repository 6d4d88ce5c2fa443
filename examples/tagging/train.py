"""Trains the tagger on real sentences with torch.nn's LSTM and with this project's.

Usage, from the repository's root: python -m examples.tagging.train [--help]

Both start from the same weights and read the same sentences in the same order, in float64.  The
first steps of each are checked against the reference (`bound.py` says what is bounded).  The
accuracies on held-out sentences are compared with each other, and with tagging each word by its
most frequent tag.  A plot of both loss curves is saved.

The exit status is 1 if a bound is exceeded or the accuracies differ, and 2 for an option or data
that cannot be used.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import nll_loss

from gatewise import impl
from gatewise.impl.tagger import LSTMTagger
from gatewise.properties.checking.comparison import Mismatch

from .bound import StepByStep, difference_bounds, weights_of
from .data import (
    DataError,
    Ids,
    Vocabulary,
    most_frequent_tag_accuracy,
    read,
    split,
    words_of,
)

HERE = Path(__file__).resolve().parent

LSTMS: dict[str, Callable[..., nn.Module]] = {
    "torch.nn.LSTM": nn.LSTM,
    "gatewise.impl.LSTM": impl.LSTM,
}

#: The learning rate is multiplied by this after each epoch.
DECAY = 0.75
#: Probability that a word that occurs once is read as unknown.
VEILED = 0.3
#: Embeddings start at a tenth of torch.nn's N(0, 1).  At full size, the first updates of a word
#: would be too small beside its embedding.
EMBEDDING_SCALE = 0.1


@dataclass
class Curve:
    """Results of training one tagger: losses, checked steps, right held-out words and seconds."""

    losses: list[float] = field(default_factory=list)
    checked: StepByStep = field(default_factory=StepByStep)
    right: int = 0
    seconds: float = 0.0


def make_taggers(vocabulary: Vocabulary, options: argparse.Namespace) -> dict[str, LSTMTagger]:
    """A tagger for each LSTM, all with the same initial weights, drawn by the seed."""
    sizes = (options.embedding, options.hidden, len(vocabulary.words), len(vocabulary.tags))
    torch.manual_seed(options.seed)
    taggers = {
        name: LSTMTagger(*sizes, lstm=lstm, dtype=torch.float64) for name, lstm in LSTMS.items()
    }
    first = next(iter(taggers.values()))
    with torch.no_grad():
        first.word_embeddings.weight.mul_(EMBEDDING_SCALE)
    for tagger in taggers.values():
        tagger.load_state_dict(first.state_dict())
    return taggers


def train(
    tagger: LSTMTagger,
    sentences: Sequence[tuple[Ids, Ids]],
    vocabulary: Vocabulary,
    options: argparse.Namespace,
    tick: Callable[[], Any],
) -> Curve:
    """Train by gradient descent, one sentence a step; check the first `bounded_steps` steps.

    Raises `Mismatch` if one of these exceeds its bound.  Calls `tick` after each step.
    """
    curve, rng = Curve(), np.random.RandomState(options.seed)
    parameters = list(tagger.parameters())
    for epoch in range(options.epochs):
        rate = options.learning_rate * DECAY**epoch
        for k in rng.permutation(len(sentences)):
            words, tags = sentences[k]
            words = vocabulary.veiled(words, VEILED, rng)
            bounded = len(curve.losses) < options.bounded_steps
            before = weights_of(tagger) if bounded else {}
            tagger.zero_grad()
            loss = nll_loss(tagger(torch.from_numpy(words)), torch.from_numpy(tags))
            loss.backward()  # type: ignore[no-untyped-call]
            with torch.no_grad():
                for p in parameters:
                    assert p.grad is not None
                    p.add_(p.grad, alpha=-rate)
            if bounded:
                curve.checked(before, weights_of(tagger), loss.item(), words, tags, rate)
            curve.losses.append(loss.item())
            tick()
    return curve


def right_words(tagger: LSTMTagger, sentences: Sequence[tuple[Ids, Ids]]) -> int:
    """Number of words that get their right tag."""
    with torch.no_grad():
        return sum(
            int((tagger(torch.from_numpy(words)).argmax(dim=1).numpy() == tags).sum())
            for words, tags in sentences
        )


def smoothed(losses: Sequence[float], window: int) -> np.ndarray[Any, Any]:
    """The mean of each `window` losses in a row, or of all where there are fewer."""
    window = min(window, len(losses))
    return np.convolve(losses, np.full(window, 1.0 / window), mode="valid")


def plot(curves: dict[str, Curve], path: Path) -> None:
    """Both loss curves, and the first steps' errors beside their bounds, as a PNG."""
    matplotlib = _installed("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    styles = [{"linewidth": 4, "alpha": 0.45}, {"linewidth": 1.2, "linestyle": "--", "color": "k"}]
    marks: list[dict[str, Any]] = [
        {"marker": "o", "s": 60, "alpha": 0.45},
        {"marker": "x", "color": "k"},
    ]
    floor = 2.0**-56
    for (name, curve), style, mark in zip(curves.items(), styles, marks, strict=True):
        window = 100
        shown = smoothed(curve.losses, window)
        read_before = len(curve.losses) - len(shown)
        left.plot(np.arange(len(shown)) + read_before + 1, shown, label=name, **style)
        steps = curve.checked.steps
        turns = np.arange(1, len(steps) + 1)
        errors = [max(abs(s.loss - s.expected), floor) for s in steps]
        right.scatter(turns, errors, label=f"{name}: error", **mark)
        if mark["marker"] == "o":
            right.plot(turns, [s.radius for s in steps], "r_", markersize=12, label="bound")
    left.set(xlabel="sentences read", ylabel=f"loss, mean of {window} sentences")
    left.set_title("Training loss")
    right.set(yscale="log", xlabel="step", ylabel="|loss − the reference's|")
    right.xaxis.get_major_locator().set_params(integer=True)
    right.set_title("First steps (an error of 0 is drawn at the bottom)")
    for axes in (left, right):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def report(curves: dict[str, Curve], baseline: int, words: int) -> tuple[list[str], bool]:
    """Lines about the bounds, the curves and the accuracies; True if the accuracies are equal."""
    (_, one), (_, two) = curves.items()
    lines = []
    for name, curve in curves.items():
        lines.append(
            f"{name}: {len(curve.checked.steps)} steps within the bound; largest error/bound of "
            f"a loss {curve.checked.check.worst:.1e}, of a new weight "
            f"{curve.checked.weights.worst:.1e} ({curve.checked.weights.elements} weights)"
        )
    pairs = difference_bounds(one.checked.steps, two.checked.steps)
    if pairs:
        lines.append(
            f"at these steps the two losses differ by at most {max(d for d, _ in pairs):.1e}; "
            f"the smallest of their bounds is {min(b for _, b in pairs):.1e}"
        )
    apart = max(abs(a - b) for a, b in zip(one.losses, two.losses, strict=True))
    lines.append(f"over all {len(one.losses)} steps the losses differ by at most {apart:.1e}")
    results = {f"tagger with {name}": c.right for name, c in curves.items()}
    for name, right in {**results, "most frequent tag of each word": baseline}.items():
        lines.append(f"held-out accuracy, {name}: {right} of {words} ({right / words:.2%})")
    same = one.right == two.right
    lines.append(f"the two taggers {'reach the same accuracy' if same else 'DIFFER in accuracy'}")
    return lines, same


def _installed(name: str) -> ModuleType:
    """Import a package that only this script needs; exits with status 2 if it is missing."""
    try:
        return __import__(name)
    except ImportError:
        print(
            f"examples.tagging.train: {name} is not installed; `python -m pip install tqdm "
            "matplotlib`, or run `tox run -e tagger`",
            file=sys.stderr,
        )
        raise SystemExit(2) from None


def _whole(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(
                f"expected an integer of at least {least}, got {text!r}"
            )
        return value

    return parse


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python -m examples.tagging.train", description=__doc__.partition("\n")[0]
    )
    made.add_argument("--data", type=Path, default=HERE / "en_pud.tsv", help="word, tab, tag")
    made.add_argument(
        "--out",
        type=Path,
        default=HERE.parents[1] / "build" / "tagger",
        help="folder for curves.png",
    )
    made.add_argument("--seed", type=_whole(0), default=0)
    made.add_argument("--epochs", type=_whole(1), default=6)
    made.add_argument("--embedding", type=_whole(1), default=32, help="width of an embedding")
    made.add_argument("--hidden", type=_whole(1), default=32, help="hidden size")
    made.add_argument("--learning-rate", type=_positive, default=2.0)
    made.add_argument(
        "--bounded-steps", type=_whole(1), default=20, help="steps checked by the reference"
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, compare and plot.  Returns the exit status."""
    started, options = time.perf_counter(), parser().parse_args(arguments)
    torch.set_num_threads(1)
    tqdm = _installed("tqdm").tqdm
    _installed("matplotlib")
    try:
        training, held_out = split(read(options.data), options.seed)
        options.out.mkdir(parents=True, exist_ok=True)
    except DataError as error:
        print(f"examples.tagging.train: --data: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"examples.tagging.train: --out {options.out}: {error.strerror}", file=sys.stderr)
        return 2
    vocabulary = Vocabulary(training)
    encoded, unseen = ([vocabulary.encode(s) for s in part] for part in (training, held_out))
    baseline, words = most_frequent_tag_accuracy(training, held_out)
    unknown = sum(int((ids == 0).sum()) for ids, _ in unseen)
    print(
        f"{len(training)} sentences to train on ({words_of(training)} words), {len(held_out)} held "
        f"out ({words} words, {unknown} of them unknown); {len(vocabulary.tags)} tags",
        flush=True,
    )
    curves = {}
    for name, tagger in make_taggers(vocabulary, options).items():
        start = time.perf_counter()
        total = options.epochs * len(encoded)
        with tqdm(total=total, desc=name, unit=" sentences", mininterval=0.5) as bar:
            try:
                curves[name] = train(tagger, encoded, vocabulary, options, bar.update)
            except Mismatch as error:
                print(f"{name}: beyond the bound: {error}", file=sys.stderr)
                return 1
        curves[name].right = right_words(tagger, unseen)
        curves[name].seconds = time.perf_counter() - start
    lines, same = report(curves, baseline, words)
    print("\n".join(lines))
    path = options.out / "curves.png"
    plot(curves, path)
    times = ", ".join(f"{name} {c.seconds:.0f} s" for name, c in curves.items())
    print(f"wrote {path}; {times}, in all {time.perf_counter() - started:.0f} s")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
