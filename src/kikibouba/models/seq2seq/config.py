"""Configuration and presets of sequence-to-sequence translation. No torch here."""

from dataclasses import dataclass
from typing import Literal

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
    input_feeding: bool = True
    """Tell the decoder where it has looked. Then steps must be taken one by one in training too."""
    dropout: float = 0.2
    label_smoothing: float = 0.1
    own_symbols: float = 0.0
    """Scheduled sampling: the share of symbols, in the end, that the decoder draws itself in training."""
    own_symbols_steps: int = 5_000
    """Steps over which that share rises from 0, in a straight line."""

    def __post_init__(self) -> None:
        for name in ("embedding_size", "units", "encoder_layers", "decoder_layers", "own_symbols_steps"):
            if getattr(self, name) < 1:
                raise KikiboubaError(f"{name} = {getattr(self, name)} must be at least 1")
        if self.bidirectional and self.units % 2:
            raise KikiboubaError(f"units = {self.units} must be even: each direction gets half of them")
        if self.attention_window is not None and self.attention_window < 1:
            raise KikiboubaError(f"attention_window = {self.attention_window} must be at least 1, or none")
        for name in ("dropout", "label_smoothing", "own_symbols"):
            if not 0 <= getattr(self, name) < 1:
                raise KikiboubaError(f"{name} = {getattr(self, name)} must lie in [0, 1)")

    @property
    def feeds_input(self) -> bool:
        """Whether h̃ goes into the next step."""
        return self.input_feeding and self.attention != "none"

    def own_share(self, step: int) -> float:
        """Share of own draws at a training step."""
        return self.own_symbols * min(1.0, step / self.own_symbols_steps)
