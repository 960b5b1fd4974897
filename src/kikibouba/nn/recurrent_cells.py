"""The three cells that Sketch-RNN and the Embedding RNN choose between, by name."""

from typing import Literal

from kikibouba.nn.hyper_lstm import HyperLSTM
from kikibouba.nn.layer_norm_lstm import LayerNormLSTM
from kikibouba.nn.recurrent_dropout_lstm import RecurrentDropoutLSTM

Recurrent = RecurrentDropoutLSTM | LayerNormLSTM | HyperLSTM


def recurrent_cell(
    kind: Literal["lstm", "layer_norm", "hyper"],
    input_size: int,
    hidden_size: int,
    keep: float,
    hyper_num_units: int,
    hyper_embedding_size: int,
) -> Recurrent:
    """A layer of cells, freshly initialised.

    Args:
        kind: which.
        input_size, hidden_size: numbers a step, and of its state.
        keep: share of what is added to the state that recurrent dropout keeps.
        hyper_num_units, hyper_embedding_size: of a hyper cell only.
    """
    if kind == "hyper":
        return HyperLSTM(input_size, hidden_size, keep, hyper_num_units, hyper_embedding_size)
    return {"lstm": RecurrentDropoutLSTM, "layer_norm": LayerNormLSTM}[kind](input_size, hidden_size, keep)
