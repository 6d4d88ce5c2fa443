"""A tutorial's claims about recurrent networks, each put to subjects by properties.

The tutorial, in Chinese, builds four networks in PyTorch and says how they compare.  A claim gives
its words, and rows: a property on a subject, and the verdict that is expected.  A claim is refuted
by a property that states it as the tutorial does, put to a subject that the property is not
claimed of.  `docs/make.py` makes `docs/article.md` from a run of the rows, and each row is a test.
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
    """One property on one subject, and the status that a run must give it."""

    plan: Plan
    status: str


@dataclass(frozen=True)
class Claim:
    """One claim: what it says, in English and in the tutorial's words, and what decides it.

    `because` is what follows from the rows, the departure among it.
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
    """A run of a row, from a seed that is the same everywhere.

    One that is to be refuted may draw more cases: it ends with the first that refutes it.
    """
    profile = "standard" if row.status == FALSIFIED else "quick"
    return run(row.plan, profile=profile, seed=0)


_NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?|-?\d+e[+-]?\d+")


def brief(message: str) -> str:
    """What a falsified property found, without the digits in which machines differ.

    Integers stay as they are; other numbers keep three digits, or as many more as tell them apart.
    The error and the bound are left out.
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
    """torch.nn's modules and this project's."""
    return tuple(f"{room}.{name}" for name in names for room in ("torch.nn", "gatewise.impl"))


def _claims() -> Iterable[Claim]:
    yield Claim(
        "An LSTM has four times the parameters of an RNN.",
        "LSTM的参数个数是RNN的4倍",
        DEPARTS,
        "It holds for every number of layers, both directions, with and without bias. A "
        "projection departs: with proj_size P, hidden size H, L layers and D directions an LSTM "
        "has LD(PH − 4H(H−P)) − (L−1)·4HD²(H−P) parameters more than four RNNs.",
        (
            *rows(HOLDS, "lstm_is_four_rnns", *_both("LSTM", "LSTMCell")),
            *rows(FALSIFIED, "lstm_is_four_rnns_whatever_its_options", *_both("LSTM")),
            *rows(HOLDS, "projection_departs_exactly", *_both("LSTM")),
        ),
    )
    yield Claim(
        "The weights of an LSTM together are four times an RNN's, and so are its biases.",
        "多出的3个线性变换的权重合在一起是RNN的4倍,偏移量也是RNN的4倍",
        HOLDS,
        "Name by name: weight_ih, weight_hh, bias_ih and bias_hh of every layer and direction.",
        rows(HOLDS, "each_parameter_is_a_multiple_of_the_rnns", *_both("LSTM", "LSTMCell")),
    )
    yield Claim(
        "The LSTM cell of the article's code has four times the parameters of an RNN.",
        "self.gate = nn.Linear(input_size + hidden_size, cell_size) # 门:线性全连接层",
        REFUTED,
        "All its gates go through the one layer `gate`, which makes it 1 time an RNN.",
        (
            *rows(FALSIFIED, "lstm_gates_are_four_rnns", _OWN["LSTMCell"]),
            *rows(HOLDS, "shared_gates_are_one_rnn", _OWN["LSTMCell"], _OWN["RNN"]),
        ),
    )
    yield Claim(
        "The LSTM cell of the article's text, a layer for each gate, has four times.",
        "LSTM比标准的RNN多了3个线性变换",
        HOLDS,
        "With a layer each for the input gate, forget gate, candidate and output gate.",
        rows(HOLDS, "lstm_gates_are_four_rnns", _TEXT["LSTMCell"]),
    )
    yield Claim(
        "A GRU has three times the parameters of an RNN.",
        "其参数是标准RNN的3倍",
        HOLDS,
        "Of every option; a GRU has no projection.",
        (
            *rows(HOLDS, "gru_is_three_rnns", *_both("GRU", "GRUCell")),
            *rows(HOLDS, "each_parameter_is_a_multiple_of_the_rnns", *_both("GRU", "GRUCell")),
        ),
    )
    yield Claim(
        "The GRU cell of the article's code has three times the parameters of an RNN.",
        "self.gate = nn.Linear(input_size + hidden_size, hidden_size)",
        REFUTED,
        "Both gates and the candidate go through the one layer `gate`: 1 time an RNN.",
        (
            *rows(FALSIFIED, "gru_gates_are_three_rnns", _OWN["GRUCell"]),
            *rows(HOLDS, "shared_gates_are_one_rnn", _OWN["GRUCell"]),
        ),
    )
    yield Claim(
        "The GRU cell of the article's text, a layer for each gate, has three times.",
        "GRU只有两个门",
        HOLDS,
        "With a layer each for the reset gate, the update gate and the candidate.",
        rows(HOLDS, "gru_gates_are_three_rnns", _TEXT["GRUCell"]),
    )
    yield Claim(
        "Hidden and cell state have one shape, (num_layers·num_directions, batch, hidden_size).",
        "两者形状相同,都是(num_layers*num_directions,batch,hidden_size)",
        DEPARTS,
        "batch_first does not change it. With proj_size P the hidden state alone is narrowed, to "
        "(num_layers·num_directions, batch, P).",
        (
            *rows(HOLDS, "states_have_one_shape", *_both("LSTM", "LSTMCell")),
            *rows(FALSIFIED, "states_have_one_shape_whatever_the_options", *_both("LSTM")),
            *rows(HOLDS, "projection_narrows_the_hidden_state_alone", *_both("LSTM")),
        ),
    )
    yield Claim(
        "An LSTM has two hidden states, a GRU and an RNN have one.",
        "隐含状态除h0外,多了一个c0; LSTM共有3个门,两个隐含状态;而GRU只有两个门,一个隐含状态",
        HOLDS,
        "",
        rows(HOLDS, "number_of_states", *_both("LSTM", "GRU", "RNN")),
    )
    yield Claim(
        "The cell interface takes one time step and the layer a sequence.",
        "单元版的输入是每个时间步,或循环神经网络的一个循环,而封装版的是一个序列",
        HOLDS,
        "A layer equals its cell unrolled over the sequence.",
        rows(HOLDS, "layer_equals_unrolled_cell", *_both("RNN", "LSTM", "GRU")),
    )
    yield Claim(
        "As the forget gate goes to 0, the cell state becomes 0 and the long memory is forgotten.",
        "当f_gate趋于0时,和cell矩阵相乘后,记忆细胞为0,忘记长期记忆",
        DEPARTS,
        "The old cell state is erased. What is left is i∘g, which is 0 only where the input gate "
        "is shut as well; in the article's code it is, being the same gate.",
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
        "As the forget gate goes to 1, the whole cell state goes in as long memory.",
        "当f_gate区域1时,cell全部输入,作为长期记忆",
        DEPARTS,
        "It is kept where the input gate is at 0. In the article's code the input gate is the "
        "forget gate and the candidate goes to 1 with it: one is added to the cell state.",
        (
            *rows(HOLDS, "open_forget_gate_keeps_the_cell", *_both("LSTM", "LSTMCell")),
            *rows(HOLDS, "forget_gate_at_one_keeps_the_cell", _TEXT["LSTMCell"]),
            *rows(FALSIFIED, "forget_gate_at_one_keeps_the_cell", _OWN["LSTMCell"]),
            *rows(HOLDS, "shared_gate_at_one_adds_one", _OWN["LSTMCell"]),
        ),
    )
    yield Claim(
        "Between the two, the cell state is forgotten at the forget gate's rate.",
        "cell长期记忆细胞:(cell·f_gate)+(z_state·i_gate)",
        DEPARTS,
        "With the input gate at 0 and f = σ(a), c_T = σ(a)^T c_0: a step leaves at most e^a of it "
        "as f goes to 0, and takes at most e^−a of it as f goes to 1. In the article's code a step "
        "gives σ(a)(c + tanh(a)), for the one gate lets in as much as it keeps.",
        (
            *rows(HOLDS, "cell_state_decays_at_the_forget_gates_rate", *_both("LSTM", "LSTMCell")),
            *rows(HOLDS, "cell_decays_at_the_forget_gates_rate", _TEXT["LSTMCell"]),
            *rows(FALSIFIED, "cell_decays_at_the_forget_gates_rate", _OWN["LSTMCell"]),
            *rows(HOLDS, "shared_gate_scales_cell_and_candidate", _OWN["LSTMCell"]),
        ),
    )
    yield Claim(
        "The LSTM cell of the article's code controls information by three gates.",
        "利用3个门(Gate)实现对信息的更精准控制; #遗忘门; #输入门; #输出门",
        REFUTED,
        "The forget, input and output gate are one: f = i = o. The cell is torch.nn.LSTMCell with "
        "one block of weights four times over.",
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
        "z at 0 keeps the state and at 1 takes the candidate: it updates. r at 0 hides the state "
        "from the candidate: it resets. The code cannot tell, its two gates being one layer; with "
        "a layer for each gate, weights loaded by these labels give another network.",
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
        "The GRU of the article is torch.nn's under some relabelling of the gates.",
        "GRU实现",
        REFUTED,
        "It is the original GRU, reset before the matrix product as ONNX has it with "
        "linear_before_reset=0, with z inverted; torch.nn's resets after the product. With one "
        "hidden unit the two are one, and two units tell them apart.",
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
        "Its tanh is missing: the state is an affine map of all inputs, superposition holds to "
        "the bound, and nothing keeps it in [−1, 1].",
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
        "Word by word, with torch.nn's LSTM and with this project's; each word's probabilities "
        "sum to one.",
        (
            *rows(HOLDS, "tagger_is_word_by_word", *_TAGGERS),
            *rows(HOLDS, "log_probabilities_sum_to_one", *_TAGGERS),
        ),
    )
    yield Claim(
        "A state made once, at construction, is enough to tag sentence after sentence.",
        "self.hidden = self.init_hidden(); 一开始并没有隐藏状态所以要先初始化一个",
        REFUTED,
        "The state of one sentence, and its graph, is carried into the next: the outputs differ "
        "and the second backward raises. The tagger here starts each sentence from zeros; with "
        "carry_state it does as the article's does, until reset.",
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
