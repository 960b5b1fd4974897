"""The toy family's configuration."""

from dataclasses import dataclass

from kikibouba.config import Preset


@dataclass(frozen=True)
class ModelConfig:
    """Nothing to configure but the noise."""

    noise: float = 0.1


PRESETS: dict[str, Preset] = {}
ALIASES: dict[str, str] = {}
