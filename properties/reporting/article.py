"""The claims of a tutorial about recurrent networks, which properties confirm or refute.

The tutorial, in Chinese, builds four networks in PyTorch and says how they compare.  A claim has
the tutorial's words and some rows.  A row is a property, a subject, and the expected verdict.  To
refute a claim, a property states it as the tutorial does, and is checked on a subject that it is
not claimed of.  `docs/make.py` makes `docs/article.md` from a run of the rows, and each row is a
test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..families.catalogue import CATALOGUE
from ..families.tutorial import as_stated
from ..running.engine import run
from ..running.plans import Plan
from ..running.records import FALSIFIED, HOLDS, Record
from ..subjects.builtin import BUILTIN, CARRYING_TAGGER

#: Verdicts on a claim as a whole.
DEPARTS, REFUTED = "holds with a stated departure", "refuted"

_PROPERTIES = {**CATALOGUE, **{p.name: p for p in as_stated.FAMILY.properties}}
_SUBJECTS = {**BUILTIN, CARRYING_TAGGER.name: CARRYING_TAGGER}


@dataclass(frozen=True)
class Row:
    """One property on one subject, and the status that its run must have."""

    plan: Plan
    status: str


@dataclass(frozen=True)
class Claim:
    """One claim, in English (`says`) and in the tutorial's `words`, and the rows that decide it.

    `because` explains the verdict, and says where the claim does not hold.
    """

    says: str
    words: str
    verdict: str
    because: str
    rows: tuple[Row, ...]


def rows(status: str, prop: str, *subjects: str) -> tuple[Row, ...]:
    """A row for each subject; precision is float32."""
    found = _PROPERTIES[prop]
    return tuple(Row(Plan(found, _SUBJECTS[name], "float32"), status) for name in subjects)


def record(row: Row) -> Record:
    """The record of a row's run, with a seed that is always the same.

    A row that must be refuted may draw more cases, because its run ends with the first case that
    refutes it.
    """
    profile = "standard" if row.status == FALSIFIED else "quick"
    return run(row.plan, profile=profile, seed=0)


_NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?|-?\d+e[+-]?\d+")


def brief(message: str) -> str:
    """The message of a falsified property, without the digits in which machines differ.

    Integers stay as they are.  Other numbers keep three digits, or more if two numbers would become
    equal.  The error and the bound are left out.
    """
    found = message.partition(", error ")[0]
    compared = {float(n) for n in re.findall(r"(?:got|expected) (-?\d[\d.e+-]*)", found)}
    digits = 3
    while len({f"{n:.{digits}g}" for n in compared}) < len(compared):
        digits += 1
    return _NUMBER.sub(lambda n: f"{float(n[0]):.{digits}g}", found)


_ARTICLE = "gatewise.impl.concat_cells."
_OWN = {name: _ARTICLE + name for name in ("RNN", "LSTMCell", "GRUCell")}
_TEXT = {
    "RNN": _ARTICLE + "IndependentRNN",
    "LSTMCell": _ARTICLE + "IndependentLSTMCell",
    "GRUCell": _ARTICLE + "IndependentGRUCell",
}
_TAGGERS = ("gatewise.impl.LSTMTagger+torch.nn.LSTM", "gatewise.impl.LSTMTagger+gatewise.impl.LSTM")


def _both(*names: str) -> tuple[str, ...]:
    """The modules of these names, of torch.nn and of this project."""
    return tuple(f"{room}.{name}" for name in names for room in ("torch.nn", "gatewise.impl"))


def _claims() -> Iterable[Claim]:
    yield Claim(
        "An LSTM has four times the parameters of an RNN.",
        "LSTM的参数个数是RNN的4倍",
        DEPARTS,
        "It holds for every number of layers, in one and two directions, with and without bias. "
        "It does not hold with a projection: with proj_size P, hidden size H, L layers and D "
        "directions, the number of parameters is that of four RNNs plus "
        "LD(PH − 4H(H−P)) − (L−1)·4HD²(H−P).",
        (
            *rows(HOLDS, "lstm_is_four_rnns", *_both("LSTM", "LSTMCell")),
            *rows(FALSIFIED, "lstm_is_four_rnns_whatever_its_options", *_both("LSTM")),
            *rows(HOLDS, "projection_departs_exactly", *_both("LSTM")),
        ),
    )
    yield Claim(
        "An LSTM has four times the weights of an RNN, and four times the biases.",
        "多出的3个线性变换的权重合在一起是RNN的4倍,偏移量也是RNN的4倍",
        HOLDS,
        "It holds for weight_ih, weight_hh, bias_ih and bias_hh, in every layer and direction.",
        rows(HOLDS, "each_parameter_is_a_multiple_of_the_rnns", *_both("LSTM", "LSTMCell")),
    )
    yield Claim(
        "The LSTM cell of the article's code has four times the parameters of an RNN.",
        "self.gate = nn.Linear(input_size + hidden_size, cell_size) # 门:线性全连接层",
        REFUTED,
        "All its gates use one layer, `gate`. It has as many parameters as an RNN.",
        (
            *rows(FALSIFIED, "lstm_gates_are_four_rnns", _OWN["LSTMCell"]),
            *rows(HOLDS, "shared_gates_are_one_rnn", _OWN["LSTMCell"], _OWN["RNN"]),
        ),
    )
    yield Claim(
        "The LSTM cell of the article's text, with a layer for each gate, has four times the "
        "parameters of an RNN.",
        "LSTM比标准的RNN多了3个线性变换",
        HOLDS,
        "The input gate, the forget gate, the candidate and the output gate have a layer each.",
        rows(HOLDS, "lstm_gates_are_four_rnns", _TEXT["LSTMCell"]),
    )
    yield Claim(
        "A GRU has three times the parameters of an RNN.",
        "其参数是标准RNN的3倍",
        HOLDS,
        "It holds for every option. A GRU has no projection.",
        (
            *rows(HOLDS, "gru_is_three_rnns", *_both("GRU", "GRUCell")),
            *rows(HOLDS, "each_parameter_is_a_multiple_of_the_rnns", *_both("GRU", "GRUCell")),
        ),
    )
    yield Claim(
        "The GRU cell of the article's code has three times the parameters of an RNN.",
        "self.gate = nn.Linear(input_size + hidden_size, hidden_size)",
        REFUTED,
        "Both gates and the candidate use one layer, `gate`. It has as many parameters as an RNN.",
        (
            *rows(FALSIFIED, "gru_gates_are_three_rnns", _OWN["GRUCell"]),
            *rows(HOLDS, "shared_gates_are_one_rnn", _OWN["GRUCell"]),
        ),
    )
    yield Claim(
        "The GRU cell of the article's text, with a layer for each gate, has three times the "
        "parameters of an RNN.",
        "GRU只有两个门",
        HOLDS,
        "The reset gate, the update gate and the candidate have a layer each.",
        rows(HOLDS, "gru_gates_are_three_rnns", _TEXT["GRUCell"]),
    )
    yield Claim(
        "The hidden state and the cell state have the same shape, "
        "(num_layers·num_directions, batch, hidden_size).",
        "两者形状相同,都是(num_layers*num_directions,batch,hidden_size)",
        DEPARTS,
        "batch_first does not change the shape. With proj_size P, the hidden state has the shape "
        "(num_layers·num_directions, batch, P), and the cell state keeps its shape.",
        (
            *rows(HOLDS, "states_have_one_shape", *_both("LSTM", "LSTMCell")),
            *rows(FALSIFIED, "states_have_one_shape_whatever_the_options", *_both("LSTM")),
            *rows(HOLDS, "projection_narrows_the_hidden_state_alone", *_both("LSTM")),
        ),
    )
    yield Claim(
        "An LSTM has two hidden states. A GRU and an RNN have one.",
        "隐含状态除h0外,多了一个c0; LSTM共有3个门,两个隐含状态;而GRU只有两个门,一个隐含状态",
        HOLDS,
        "",
        rows(HOLDS, "number_of_states", *_both("LSTM", "GRU", "RNN")),
    )
    yield Claim(
        "A cell takes one time step, and a layer takes a sequence.",
        "单元版的输入是每个时间步,或循环神经网络的一个循环,而封装版的是一个序列",
        HOLDS,
        "A layer gives the same results as its cell, unrolled over the sequence.",
        rows(HOLDS, "layer_equals_unrolled_cell", *_both("RNN", "LSTM", "GRU")),
    )
    yield Claim(
        "As the forget gate goes to 0, the cell state becomes 0, and the long-term memory is "
        "forgotten.",
        "当f_gate趋于0时,和cell矩阵相乘后,记忆细胞为0,忘记长期记忆",
        DEPARTS,
        "The old cell state is erased, and i∘g is left. This is 0 only if the input gate is 0 as "
        "well. In the article's code it is 0, because both gates are the same gate.",
        (
            *rows(HOLDS, "closed_forget_gate_erases_the_cell", *_both("LSTM", "LSTMCell")),
            *rows(
                HOLDS,
                "forget_gate_at_zero_erases_the_old_cell",
                _OWN["LSTMCell"],
                _TEXT["LSTMCell"],
            ),
            *rows(HOLDS, "forget_gate_at_zero_empties_the_cell", _OWN["LSTMCell"]),
            *rows(FALSIFIED, "forget_gate_at_zero_empties_the_cell", _TEXT["LSTMCell"]),
        ),
    )
    yield Claim(
        "As the forget gate goes to 1, the whole cell state is kept as long-term memory.",
        "当f_gate区域1时,cell全部输入,作为长期记忆",
        DEPARTS,
        "The cell state is kept if the input gate is 0. In the article's code the input gate is "
        "the forget gate, and the candidate goes to 1 with it. So 1 is added to the cell state.",
        (
            *rows(HOLDS, "open_forget_gate_keeps_the_cell", *_both("LSTM", "LSTMCell")),
            *rows(HOLDS, "forget_gate_at_one_keeps_the_cell", _TEXT["LSTMCell"]),
            *rows(FALSIFIED, "forget_gate_at_one_keeps_the_cell", _OWN["LSTMCell"]),
            *rows(HOLDS, "shared_gate_at_one_adds_one", _OWN["LSTMCell"]),
        ),
    )
    yield Claim(
        "Between 0 and 1, the forget gate is the rate at which the cell state is forgotten.",
        "cell长期记忆细胞:(cell·f_gate)+(z_state·i_gate)",
        DEPARTS,
        "If the input gate is 0 and f = σ(a), then c_T = σ(a)^T c_0. A step keeps at most the "
        "share e^a of the cell state (f near 0), and removes at most the share e^−a (f near 1). In "
        "the article's code a step gives σ(a)(c + tanh(a)), because the forget gate is also the "
        "input gate.",
        (
            *rows(HOLDS, "cell_state_decays_at_the_forget_gates_rate", *_both("LSTM", "LSTMCell")),
            *rows(HOLDS, "cell_decays_at_the_forget_gates_rate", _TEXT["LSTMCell"]),
            *rows(FALSIFIED, "cell_decays_at_the_forget_gates_rate", _OWN["LSTMCell"]),
            *rows(HOLDS, "shared_gate_scales_cell_and_candidate", _OWN["LSTMCell"]),
        ),
    )
    yield Claim(
        "The LSTM cell of the article's code controls information with three gates.",
        "利用3个门(Gate)实现对信息的更精准控制; #遗忘门; #输入门; #输出门",
        REFUTED,
        "The forget gate, the input gate and the output gate are the same gate: f = i = o. The "
        "cell equals torch.nn.LSTMCell with one block of weights used four times.",
        (
            *rows(HOLDS, "gates_are_one", _OWN["LSTMCell"]),
            *rows(FALSIFIED, "gates_are_one", _TEXT["LSTMCell"]),
            *rows(
                HOLDS,
                "equals_torch_cell_with_stacked_weights",
                _OWN["LSTMCell"],
                _TEXT["LSTMCell"],
            ),
            *rows(HOLDS, "equal_gates_give_the_shared_cell", _TEXT["LSTMCell"]),
        ),
    )
    yield Claim(
        "In the GRU, z is the reset gate and r the update gate.",
        "z_gate = self.sigmoid(self.gate(combined)) #重置门; r_gate = … #更新门",
        REFUTED,
        "z = 0 keeps the state and z = 1 takes the candidate, so z is the update gate. With r = 0 "
        "the candidate does not depend on the state, so r is the reset gate. In the article's code "
        "the labels make no difference, because both gates use one layer. With a layer for each "
        "gate, weights that are loaded by these labels give another network.",
        (
            *rows(HOLDS, "gru_is_the_original_by_its_labels", _OWN["GRUCell"]),
            *rows(FALSIFIED, "gru_is_the_original_by_its_labels", _TEXT["GRUCell"]),
            *rows(HOLDS, "z_at_zero_keeps_the_state", _OWN["GRUCell"], _TEXT["GRUCell"]),
            *rows(HOLDS, "z_at_one_takes_the_candidate", _TEXT["GRUCell"]),
            *rows(HOLDS, "r_at_zero_cuts_the_recurrence", _TEXT["GRUCell"]),
            *rows(HOLDS, "shared_gru_gate_at_one_gives_one", _OWN["GRUCell"]),
        ),
    )
    yield Claim(
        "The GRU of the article is torch.nn's GRU with other labels of the gates.",
        "GRU实现",
        REFUTED,
        "It is the original GRU with z inverted. The original GRU resets the state before the "
        "matrix product, as ONNX does with linear_before_reset=0. torch.nn's GRU resets after the "
        "product. With one hidden unit the two are equal, and with two units they differ.",
        (
            *rows(FALSIFIED, "gru_is_torchs_relabelled", _OWN["GRUCell"], _TEXT["GRUCell"]),
            *rows(
                HOLDS,
                "gru_is_the_original_with_z_inverted",
                _OWN["GRUCell"],
                _TEXT["GRUCell"],
            ),
            *rows(HOLDS, "gru_of_one_unit_is_torchs", _OWN["GRUCell"], _TEXT["GRUCell"]),
        ),
    )
    yield Claim(
        "The RNN of the article's code is the RNN of torch.nn.",
        "hidden = self.i2h(combined) #全连接层",
        REFUTED,
        "Its tanh is missing. So the state is an affine map of all inputs, superposition holds "
        "within the bound, and the state may leave [−1, 1].",
        (
            *rows(FALSIFIED, "equals_torch_cell_with_stacked_weights", _OWN["RNN"]),
            *rows(HOLDS, "equals_torch_cell_with_stacked_weights", _TEXT["RNN"]),
            *rows(HOLDS, "rnn_superposes", _OWN["RNN"]),
            *rows(FALSIFIED, "rnn_superposes", _TEXT["RNN"], "torch.nn.RNNCell"),
            *rows(HOLDS, "rnn_state_is_bounded_by_one", _TEXT["RNN"]),
            *rows(FALSIFIED, "rnn_state_is_bounded_by_one", _OWN["RNN"]),
        ),
    )
    yield Claim(
        "The tagger's LSTM reads embeddings, and a linear layer maps its states to tags.",
        "LSTM以word_embeddings作为输入, 输出维度为 hidden_dim 的隐藏状态值; "
        "线性层将隐藏状态空间映射到标注空间",
        HOLDS,
        "It holds for each word, with torch.nn's LSTM and with this project's. The probabilities "
        "of each word sum to one.",
        (
            *rows(HOLDS, "tagger_is_word_by_word", *_TAGGERS),
            *rows(HOLDS, "log_probabilities_sum_to_one", *_TAGGERS),
        ),
    )
    yield Claim(
        "A state that is made once, by the constructor, is enough to tag many sentences.",
        "self.hidden = self.init_hidden(); 一开始并没有隐藏状态所以要先初始化一个",
        REFUTED,
        "The state of one sentence and its graph are carried into the next. So the outputs "
        "differ, and the second backward raises an exception. This project's tagger starts each "
        "sentence from zeros. With carry_state it behaves like the article's, until reset.",
        (
            *rows(FALSIFIED, "earlier_sentences_do_not_matter", CARRYING_TAGGER.name),
            *rows(FALSIFIED, "a_second_backward_works", CARRYING_TAGGER.name),
            *rows(HOLDS, "reset_forgets_earlier_sentences", CARRYING_TAGGER.name),
            *rows(HOLDS, "earlier_sentences_do_not_matter", *_TAGGERS),
            *rows(HOLDS, "a_second_backward_works", *_TAGGERS),
        ),
    )


#: Every claim, in the order of the article's analysis and then of its code.
CLAIMS = tuple(_claims())
