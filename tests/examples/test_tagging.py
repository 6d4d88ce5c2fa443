"""The tagger's example: data, split, baseline, bounds and options; needs no tqdm or matplotlib."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from examples.tagging import bound, data, train
from examples.tagging.data import DataError, Sentence, Vocabulary
from gatewise import impl
from gatewise.impl.tagger import LSTMTagger
from gatewise.properties.checking.comparison import Mismatch

DATA = Path(train.__file__).with_name("en_pud.tsv")


@pytest.fixture(scope="module")
def sentences() -> list[Sentence]:
    return data.read(DATA)


def tagged(*texts: str) -> list[Sentence]:
    """Sentences from "word/tag word/tag"."""
    pairs = [[part.split("/") for part in text.split()] for text in texts]
    return [Sentence(tuple(w for w, _ in s), tuple(t for _, t in s)) for s in pairs]


def test_the_data_are_a_thousand_sentences_with_their_licence_beside_them(
    sentences: list[Sentence],
) -> None:
    assert (len(sentences), data.words_of(sentences)) == (1000, 21180)
    assert sentences[0].words[:3] == ("“", "While", "much")
    assert sentences[0].tags[:3] == ("PUNCT", "SCONJ", "ADJ")
    assert len({t for s in sentences for t in s.tags}) == 17
    assert "CC BY-SA 3.0" in DATA.with_name("README.md").read_text(encoding="utf-8")
    licence = DATA.with_name("LICENSE-CC-BY-SA-3.0.txt").read_text(encoding="utf-8")
    assert "Attribution-ShareAlike 3.0 Unported" in licence


def test_the_split_is_four_fifths_by_sentence_and_the_seeds_alone(
    sentences: list[Sentence],
) -> None:
    training, held_out = data.split(sentences, 0)
    assert (len(training), len(held_out)) == (800, 200)
    assert sorted(map(id, training + held_out)) == sorted(map(id, sentences))
    assert data.split(sentences, 0) == (training, held_out)
    assert data.split(sentences, 1) != (training, held_out)
    assert [len(part) for part in data.split(sentences[:2], 0)] == [1, 1]


def test_words_that_training_has_not_seen_are_one_symbol() -> None:
    vocabulary = Vocabulary(tagged("the/DET cat/NOUN", "the/DET dog/NOUN"))
    assert list(vocabulary.words) == [data.UNKNOWN, "cat", "dog", "the"]
    words, tags = vocabulary.encode(tagged("the/DET horse/NOUN runs/VERB cat/NOUN")[0])
    assert words.tolist() == [3, 0, 0, 1]
    assert tags.tolist() == [0, 1, -1, 1]


def test_only_words_that_occur_once_are_veiled() -> None:
    vocabulary = Vocabulary(tagged("the/DET cat/NOUN", "the/DET dog/NOUN"))
    ids, rng = np.array([3, 1, 2, 0]), np.random.RandomState(0)
    assert vocabulary.veiled(ids, 1.0, rng).tolist() == [3, 0, 0, 0]
    assert vocabulary.veiled(ids, 0.0, rng).tolist() == ids.tolist()


def test_the_most_frequent_tag_by_hand() -> None:
    training = tagged("the/DET run/NOUN run/VERB", "the/DET run/VERB saw/NOUN", "a/DET old/ADJ")
    best, unknown = data.most_frequent_tags(training)
    assert best == {"the": "DET", "run": "VERB", "saw": "NOUN", "a": "DET", "old": "ADJ"}
    # saw, a and old occur once, each with another tag: the first in the alphabet.
    assert unknown == "ADJ"
    held_out = tagged("the/DET run/NOUN new/ADJ saw/NOUN")
    assert data.most_frequent_tag_accuracy(training, held_out) == (3, 4)


def test_the_baseline_on_the_data(sentences: list[Sentence]) -> None:
    assert data.most_frequent_tag_accuracy(*data.split(sentences, 0)) == (3651, 4443)


WRONG_FILES = {
    "word\ttag\textra\n\nword\ttag\n": "line 1: expected a word and a tag by tab, got 'word\\ttag",
    "a\tX\n\nno tag\n": "line 3: expected a word and a tag by tab, got 'no tag'",
    "a\tX\n\n\tX\n": "line 3: expected a word and a tag by tab, got '\\tX'",
    "# only a comment\n": "expected at least 2 sentences, got 0",
    "a\tX\n": "expected at least 2 sentences, got 1",
}


@pytest.mark.parametrize("text", WRONG_FILES)
def test_a_wrong_file_is_named_with_its_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        data.read(path)
    assert str(caught.value).startswith(str(path))
    assert WRONG_FILES[text] in str(caught.value)


def test_a_file_that_is_none_and_one_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.tsv: cannot be read: No such file"):
        data.read(tmp_path / "none.tsv")
    (tmp_path / "bytes.tsv").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match=r"bytes\.tsv: is not UTF-8 text"):
        data.read(tmp_path / "bytes.tsv")


def options(**changes: Any) -> argparse.Namespace:
    found = train.parser().parse_args([])
    small = {"embedding": 3, "hidden": 4, "epochs": 1, "bounded_steps": 4, "learning_rate": 1.0}
    for name, value in {**small, **changes}.items():
        setattr(found, name, value)
    return found


@pytest.fixture(scope="module")
def corpus(sentences: list[Sentence]) -> tuple[Vocabulary, list[Any]]:
    short = [s for s in sentences if len(s.words) <= 9][:12]
    vocabulary = Vocabulary(short)
    return vocabulary, [vocabulary.encode(s) for s in short]


def trained(
    corpus: tuple[Vocabulary, list[Any]], **changes: Any
) -> tuple[dict[str, train.Curve], int]:
    """Both curves on a few short sentences, and the number of ticks."""
    vocabulary, encoded = corpus
    ticks: list[int] = []
    chosen = options(**changes)
    curves = {
        name: train.train(tagger, encoded, vocabulary, chosen, lambda: ticks.append(1))
        for name, tagger in train.make_taggers(vocabulary, chosen).items()
    }
    return curves, len(ticks)


def test_both_taggers_start_alike_and_stay_within_their_bounds(
    corpus: tuple[Vocabulary, list[Any]],
) -> None:
    vocabulary, encoded = corpus
    one, two = (bound.weights_of(t) for t in train.make_taggers(vocabulary, options()).values())
    assert list(one) == list(two)
    assert all(np.array_equal(one[n], two[n]) for n in one)
    curves, ticks = trained(corpus, epochs=2)
    assert ticks == 2 * 2 * len(encoded)
    for curve in curves.values():
        assert len(curve.losses) == 2 * len(encoded)
        assert len(curve.checked.steps) == 4
        assert curve.checked.check.comparisons == 4
        assert curve.checked.weights.comparisons == 4 * len(one)
        # Of weights that do not move, those of absent words, the error and the bound are 0.
        assert 1e-6 < curve.checked.weights.worst <= 1
        assert sum(curve.losses[-6:]) < sum(curve.losses[:6])
    steps = [c.checked.steps for c in curves.values()]
    assert all(d <= b < 1e-9 for d, b in bound.difference_bounds(*steps))


def test_a_run_is_the_seeds_alone(corpus: tuple[Vocabulary, list[Any]]) -> None:
    (one, _), (again, _), (other, _) = (trained(corpus, seed=s) for s in (5, 5, 6))
    losses = [[c.losses for c in curves.values()] for curves in (one, again, other)]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


class Unforgetting(impl.LSTM):
    """The forget gate's bias is added twice."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        H = self.hidden_size
        mask = torch.zeros(4 * H, dtype=input.dtype)
        mask[H : 2 * H] = 1.0
        own = dict(self.named_parameters())
        own["bias_ih_l0"] = own["bias_ih_l0"] * (1 + mask)
        plain = torch.nn.LSTM(self.input_size, H, device="meta")
        return torch.func.functional_call(plain, own, (input, hx))


class WrongBackward(impl.LSTM):
    """A right forward whose gradient loses a hundredth."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        output, state = super().forward(input, hx)
        return output * 0.99 + output.detach() * 0.01, state


@pytest.mark.parametrize(
    ("lstm", "text"), [(Unforgetting, "step 0: loss"), (WrongBackward, "step 0: new ")]
)
def test_a_wrong_lstm_leaves_its_bound(
    lstm: Any, text: str, corpus: tuple[Vocabulary, list[Any]]
) -> None:
    vocabulary, encoded = corpus
    sizes = (3, 4, len(vocabulary.words), len(vocabulary.tags))
    tagger = LSTMTagger(*sizes, lstm=lstm, dtype=torch.float64)
    with pytest.raises(Mismatch, match=f"^{text}"):
        train.train(tagger, encoded, vocabulary, options(), lambda: None)


def test_the_report_tells_equal_accuracies_from_others(
    corpus: tuple[Vocabulary, list[Any]],
) -> None:
    curves, _ = trained(corpus)
    lines, same = train.report(curves, 40, 80)
    assert same
    assert "held-out accuracy, most frequent tag of each word: 40 of 80 (50.00%)" in lines
    curves["gatewise.impl.LSTM"].right = 1
    lines, same = train.report(curves, 40, 80)
    assert not same
    assert lines[-1] == "the two taggers DIFFER in accuracy"


def test_smoothing_is_the_mean_of_a_window() -> None:
    assert train.smoothed([1.0, 3.0, 5.0], 2).tolist() == [2.0, 4.0]
    assert train.smoothed([1.0, 3.0], 100).tolist() == [2.0]


WRONG_OPTIONS = [
    (["--epochs", "0"], "argument --epochs: expected an integer of at least 1, got '0'"),
    (["--hidden", "2.5"], "argument --hidden: expected an integer of at least 1, got '2.5'"),
    (["--embedding", "x"], "argument --embedding: expected an integer of at least 1, got 'x'"),
    (["--bounded-steps", "0"], "argument --bounded-steps: expected an integer of at least 1"),
    (["--seed", "-1"], "argument --seed: expected an integer of at least 0, got '-1'"),
    (["--learning-rate", "0"], "argument --learning-rate: expected a number above 0, got '0'"),
    (["--learning-rate", "nan"], "argument --learning-rate: expected a number above 0"),
    (["--rate", "1"], "unrecognized arguments: --rate 1"),
]


@pytest.mark.parametrize(("arguments", "text"), WRONG_OPTIONS)
def test_a_wrong_option_is_named(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        train.main(arguments)
    assert caught.value.code == 2
    assert text in capsys.readouterr().err


@pytest.fixture
def without_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for tqdm and matplotlib, which the tests' environment has not."""
    monkeypatch.setattr(train, "_installed", lambda name: argparse.Namespace(tqdm=None))


@pytest.mark.usefixtures("without_extras")
def test_data_and_a_folder_that_cannot_be_used_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(["--data", str(tmp_path / "none.tsv")]) == 2
    assert "--data: " in (told := capsys.readouterr().err)
    assert "none.tsv: cannot be read: No such file" in told
    (tmp_path / "file").write_text("")
    assert train.main(["--out", str(tmp_path / "file")]) == 2
    assert f"--out {tmp_path / 'file'}: File exists" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["tqdm", "matplotlib"])
def test_a_package_that_is_not_installed_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit) as caught:
        train._installed(name)
    assert caught.value.code == 2
    assert f"{name} is not installed; `python -m pip install tqdm matplotlib`" in (
        capsys.readouterr().err
    )
