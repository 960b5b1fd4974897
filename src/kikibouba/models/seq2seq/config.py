"""Configuration and presets of sequence-to-sequence translation. No torch here."""

from dataclasses import dataclass, replace
from typing import Literal

from kikibouba.config import Preset, TrainConfig
from kikibouba.data.dynamics_roll import DynamicsRepresentation
from kikibouba.data.pairs import PairsRepresentation
from kikibouba.data.pairs_restyle import RestyleRepresentation
from kikibouba.errors import KikiboubaError


@dataclass(frozen=True)
class ModelConfig:
    """The network and its loss."""

    embedding_size: int = 128
    units: int = 256
    """H: width of the decoder, and of the encoder's states, both directions together."""
    encoder_layers: int = 1
    decoder_layers: int = 1
    bidirectional: bool = True
    reverse_source: bool = False
    """Read the source backwards first; matters without attention and with one direction."""
    attention: Literal["general", "dot", "concat", "none"] = "general"
    attention_window: int | None = None
    """D: look only so many symbols around a predicted place (local-p); none: everywhere."""
    attention_by_time: bool = False
    """Score symbols of the source by their distance in musical time too: see `nn.luong_attention`."""
    input_feeding: bool = True
    """Tell the decoder where it has looked. Then steps must be taken one by one in training too."""
    dropout: float = 0.2
    label_smoothing: float = 0.1
    unheard: float = 0.0
    """Share of symbols that the decoder is not told in training, so that it listens to the source (word
    dropout, Bowman et al., arXiv:1511.06349).
    """
    own_symbols: float = 0.0
    """Scheduled sampling: the share of symbols, in the end, that the decoder draws itself in training."""
    own_symbols_steps: int = 5_000
    """Steps over which that share rises from 0, in a straight line."""
    back_translation: float = 0.0
    """Share of training steps whose sources the model makes itself, in other styles; needs styles."""
    back_translation_from: int = 5_000
    """The step from which on it does; before, what it makes is no music."""

    def __post_init__(self) -> None:
        for name in ("embedding_size", "units", "encoder_layers", "decoder_layers", "own_symbols_steps"):
            if getattr(self, name) < 1:
                raise KikiboubaError(f"{name} = {getattr(self, name)} must be at least 1")
        if self.bidirectional and self.units % 2:
            raise KikiboubaError(f"units = {self.units} must be even: each direction gets half of them")
        if self.attention_window is not None and self.attention_window < 1:
            raise KikiboubaError(f"attention_window = {self.attention_window} must be at least 1, or none")
        for name in ("dropout", "label_smoothing", "unheard", "own_symbols", "back_translation"):
            if not 0 <= getattr(self, name) < 1:
                raise KikiboubaError(f"{name} = {getattr(self, name)} must lie in [0, 1)")

    @property
    def feeds_input(self) -> bool:
        """Whether h̃ goes into the next step."""
        return self.input_feeding and self.attention != "none"

    def own_share(self, step: int) -> float:
        """Share of own draws at a training step."""
        return self.own_symbols * min(1.0, step / self.own_symbols_steps)


TRAIN = TrainConfig(
    batch_size=64,
    num_steps=30_000,
    learning_rate=2e-3,
    decay_rate=0.9998,
    min_learning_rate=1e-5,
    log_every=20,
    eval_every=500,
    save_every=500,
)

_PAIRS = Preset(
    name="pairs",
    family="seq2seq",
    representation=PairsRepresentation(transpose_range=(-5, 6)),
    model=ModelConfig(attention_by_time=True, own_symbols=0.1),
    train=TRAIN,
    description="Luong's sequence-to-sequence translation for pairs of your own: four bars, named in a table",
)
_ARRANGE = replace(
    _PAIRS,
    name="arrange",
    representation=PairsRepresentation(to="piano-arrangement", in_c=True),
    model=ModelConfig(units=512, embedding_size=192, attention_by_time=True, own_symbols=0.1),
    description="a tune becomes a piano arrangement: tracks MELODY and PIANO of POP909, four bars",
)

PRESETS = {
    preset.name: preset
    for preset in [
        _PAIRS,
        _ARRANGE,
        replace(
            _ARRANGE,
            name="arrange_small",
            model=ModelConfig(
                embedding_size=96, attention_by_time=True, input_feeding=False, dropout=0.3, unheard=0.15
            ),
            train=replace(
                TRAIN,
                batch_size=32,
                num_steps=4_000,
                learning_rate=3e-3,
                decay_rate=0.9993,
                precision="bf16",
            ),
            description="a tune gets a piano arrangement: `arrange` in half the width, without input feeding",
        ),
        replace(
            _PAIRS,
            name="harmonize",
            representation=replace(
                _ARRANGE.representation,
                source_tracks=("Soprano",),
                target_tracks=("Alto", "Tenor", "Bass"),
                to="chorale",
            ),
            train=replace(TRAIN, num_steps=10_000),
            description="a tune becomes a chorale: the lower voices to a soprano, after Bach",
        ),
        Preset(
            name="restyle",
            family="seq2seq",
            representation=RestyleRepresentation(),
            model=ModelConfig(attention_by_time=True, back_translation=0.3),
            train=TRAIN,
            description="a tune in another style, learnt from unpaired tunes of each by repairing sketches",
        ),
        Preset(
            name="tonenet_dynamics",
            family="seq2seq",
            representation=DynamicsRepresentation(),
            model=ModelConfig(embedding_size=16, units=128, dropout=0.3),
            train=replace(TRAIN, batch_size=32, num_steps=5_000, eval_every=250, save_every=250),
            description="velocities for a piano score that has none, as ToneNet has it",
        ),
    ]
}

ALIASES: dict[str, str] = {"tonenet": "tonenet_dynamics"}
