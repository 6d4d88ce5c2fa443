"""The tagger: a tutorial's checkpoints load, it trains, carries its state on request alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatewise import impl
from gatewise.impl.tagger import INTEGERS, LSTMTagger

E, H, V, K = 3, 4, 9, 5
LSTMS = [nn.LSTM, impl.LSTM]
FIRST, SECOND = torch.tensor([1, 7, 0, 8]), torch.tensor([2, 2])


def make(**changes: Any) -> LSTMTagger:
    sizes = {"embedding_dim": E, "hidden_dim": H, "vocab_size": V, "tagset_size": K}
    torch.manual_seed(1)
    return LSTMTagger(**{**sizes, **changes})


def backward(tagger: LSTMTagger, sentence: Tensor) -> None:
    tagger(sentence).sum().backward()


@pytest.mark.parametrize("lstm", LSTMS)
def test_a_tutorials_checkpoint_loads_and_comes_back(lstm: type[nn.Module]) -> None:
    tutorial = nn.ModuleDict(
        {
            "word_embeddings": nn.Embedding(V, E),
            "lstm": nn.LSTM(E, H),
            "hidden2tag": nn.Linear(H, K),
        }
    )
    checkpoint = tutorial.state_dict()
    tagger = make(lstm=lstm)
    tagger.load_state_dict(checkpoint, strict=True)
    assert list(tagger.state_dict()) == list(checkpoint)
    assert all(torch.equal(tagger.state_dict()[n], w) for n, w in checkpoint.items())


@pytest.mark.parametrize("lstm", LSTMS)
def test_training_lowers_the_loss_and_reaches_every_parameter(lstm: type[nn.Module]) -> None:
    """The tag of a word is the word before it, which the embedding alone cannot tell."""
    tagger = make(lstm=lstm, tagset_size=V)
    optimiser = torch.optim.SGD(tagger.parameters(), lr=0.2)
    seen = dict.fromkeys(dict(tagger.named_parameters()), False)
    losses = []
    for _ in range(60):
        sentence = torch.randint(V, (6,))
        loss = nn.functional.nll_loss(tagger(sentence), sentence.roll(1))
        optimiser.zero_grad()
        loss.backward()
        for name, p in tagger.named_parameters():
            seen[name] |= p.grad is not None and bool(p.grad.any())
        optimiser.step()
        losses.append(loss.item())
    assert all(seen.values())
    assert sum(losses[-10:]) < sum(losses[:10])


@pytest.mark.parametrize("lstm", LSTMS)
def test_a_second_backward_works_by_default(lstm: type[nn.Module]) -> None:
    tagger = make(lstm=lstm)
    backward(tagger, FIRST)
    backward(tagger, SECOND)
    assert tagger.hidden is None


@pytest.mark.parametrize("lstm", LSTMS)
def test_a_carried_state_fails_on_the_second_backward_as_the_tutorials_does(
    lstm: type[nn.Module],
) -> None:
    tagger = make(lstm=lstm, carry_state=True)
    backward(tagger, FIRST)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        backward(tagger, SECOND)


@pytest.mark.parametrize("letting_go", ["detach", "reset"])
@pytest.mark.parametrize("lstm", LSTMS)
def test_detach_and_reset_let_a_carried_state_train(lstm: type[nn.Module], letting_go: str) -> None:
    tagger = make(lstm=lstm, carry_state=True)
    for sentence in (FIRST, SECOND, FIRST):
        getattr(tagger, letting_go)()
        backward(tagger, sentence)


@pytest.mark.parametrize("lstm", LSTMS)
def test_a_carried_state_is_the_whole_read_in_two_parts(lstm: type[nn.Module]) -> None:
    plain, carrying = make(lstm=lstm), make(lstm=lstm, carry_state=True)
    alone = plain(SECOND)
    assert torch.equal(carrying(FIRST), plain(FIRST))
    carried = carrying(SECOND)
    assert not torch.equal(carried, alone)
    carrying.detach()
    assert carrying.hidden is not None
    assert not any(s.requires_grad for s in carrying.hidden)
    carrying.reset()
    assert torch.equal(carrying(SECOND), alone)


def test_a_zero_state_of_the_tutorials_shape_starts_a_sentence_anew() -> None:
    tagger = make(carry_state=True)
    alone = tagger(SECOND)
    tagger(FIRST)
    tagger.hidden = tagger.init_hidden()
    assert [tuple(s.shape) for s in tagger.hidden] == [(1, 1, H)] * 2
    assert torch.equal(tagger(SECOND), alone)


def test_detach_before_a_sentence_and_deepcopy_after_one_do_nothing() -> None:
    tagger = make()
    tagger.detach()
    want = tagger(FIRST)
    assert torch.equal(copy.deepcopy(tagger)(FIRST), want)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_ids_of_any_integer_type_with_a_large_vocabulary(dtype: torch.dtype) -> None:
    """A comparison of int8 ids with 1000 would wrap the 1000."""
    tagger = make(vocab_size=1000)
    assert torch.equal(tagger(FIRST.to(dtype)), tagger(FIRST))


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("name", ["embedding_dim", "hidden_dim", "vocab_size", "tagset_size"])
def test_a_size_below_one_is_named(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name} must be greater than zero, got {value}"):
        make(**{name: value})


@pytest.mark.parametrize("value", [2.5, "3", None, False])
@pytest.mark.parametrize("name", ["embedding_dim", "hidden_dim", "vocab_size", "tagset_size"])
def test_a_size_of_another_type_is_named(name: str, value: Any) -> None:
    text = f"{name} should be of type int, got: {type(value).__name__} {value!r}"
    with pytest.raises(TypeError, match=text):
        make(**{name: value})


WRONG_SENTENCES: list[tuple[Any, type[Exception], str]] = [
    (
        torch.tensor([0, 9, -1]),
        ValueError,
        "word id 9 at position 1 is outside the vocabulary, expected 0 to 8",
    ),
    (torch.tensor([-1]), ValueError, "word id -1 at position 0 is outside the vocabulary"),
    (torch.tensor([], dtype=torch.int64), ValueError, r"sentence has shape \(0,\), expected"),
    (torch.tensor(3), ValueError, r"sentence has shape \(\), expected \(words,\) with at least"),
    (torch.tensor([[1, 2]]), ValueError, r"sentence has shape \(1, 2\), expected \(words,\)"),
    (torch.tensor([1.0]), TypeError, "sentence has dtype torch.float32, expected integer word ids"),
    (torch.tensor([True]), TypeError, "sentence has dtype torch.bool, expected integer word ids"),
    ([1, 2], TypeError, r"sentence should be a Tensor, got: list \[1, 2\]"),
]


@pytest.mark.parametrize(("sentence", "error", "text"), WRONG_SENTENCES)
def test_a_wrong_sentence_is_named(sentence: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"LSTMTagger: {text}"):
        make()(sentence)


def test_a_wrong_sentence_leaves_a_carried_state_alone() -> None:
    tagger = make(carry_state=True)
    tagger(FIRST)
    before = tagger.hidden
    with pytest.raises(ValueError, match="word id 9"):
        tagger(torch.tensor([9]))
    assert tagger.hidden is before
