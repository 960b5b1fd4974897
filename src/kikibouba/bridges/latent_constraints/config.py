"""Configurations of latent constraints. No torch here."""

from dataclasses import dataclass, replace

from kikibouba.config import Preset, TrainConfig

LEVELS = ("low", "mid", "high")
"""The classes of a measured attribute: the thirds of the training examples."""


@dataclass(frozen=True)
class ModelConfig:
    """Critics and an actor over the latent space of one frozen base."""

    base: str = ""
    """Name of the base, as `kikibouba.load` takes it; training fills it in."""
    base_hash: str = ""
    """Weights hash of the base these constraints were trained on; training fills it in."""
    z_size: int = 128
    """Z, the base's; training fills it in."""
    attributes: tuple[str, ...] = ()
    """What can be asked for; () = all that the base's kind measures and that vary, and columns of labels."""
    classes: tuple[tuple[str, ...], ...] = ()
    """The names of each attribute's classes; training fills it in."""
    thresholds: tuple[tuple[float, ...], ...] = ()
    """Of each attribute that is a number the values at which the next class begins; () for named classes.
    Training fills it in."""

    width: int = 160
    layers: int = 4
    leak: float = 0.2
    """The slope of the ReLUs below 0. The original's 0 lets narrow critics die at a high learning rate."""
    prior_share: float = 0.1
    """Share of the critic's fakes that are bare prior samples; the others come from the actor."""
    real_starts: float = 0.5
    """Share of the actor's starts that are posterior samples of other examples, not prior samples."""
    penalty_weight: float = 10.0
    """Of the gradient penalty, lambda."""
    actor_every: int = 2
    """The actor learns at every so-manieth step of the critic."""
    distance_weight: float = 0.3
    """w: what it costs the actor to move z, in units of the posteriors' mean sigma."""
    optional_closeness: bool = True
    """The actor is told whether to stay close, and of half of what it sees the distance costs nothing. False:
    the distance always counts, as in the original, which trains one actor with w = 0 and one with 0.1."""
    free_attributes: bool = True
    """Attributes are hidden at random from critic and actor, so that any may be left free. False: all are
    always told, as in the original."""
    attribute_weight: float = 10.0
    """Of the attribute critic's cross-entropy in the actor's loss (ours; 0 in the original)."""
    judged: int = 64
    """So many of the actor's fakes are decoded and measured, and the attribute critic learns what they really
    have; 0 = it only knows posterior samples, as in the original, and the actor may learn to deceive it."""
    judge_every: int = 2
    """At every so-manieth step."""

    @property
    def label_size(self) -> int:
        """L, columns of labels: one for each class of each attribute."""
        return sum(map(len, self.classes))


NO_CLIP = 1e9
"""A gradient norm that is never reached: clipped together, the networks would set each other's steps."""

_SMALL = TrainConfig(
    batch_size=128,
    num_steps=2_000,
    learning_rate=1e-3,
    decay_rate=0.9992,
    min_learning_rate=5e-5,
    grad_clip=NO_CLIP,
    grad_norm_clip_to_zero=NO_CLIP,
    ema_decay=0.995,
    log_every=100,
    eval_every=2_000,  # at the end alone: the last weights, after the smallest steps, do best what is asked
    augment=False,
)
_ORIGINAL = replace(
    _SMALL,
    num_steps=200_000,
    learning_rate=1e-4,
    decay_rate=1.0,
    min_learning_rate=1e-4,
    ema_decay=0.0,
    save_every=2_000,
)

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="constraints",
            family="latent_constraints",
            representation=None,
            model=ModelConfig(),
            train=_SMALL,
            description="ask any model for something: denser, higher, in C; realism and attribute critics",
        ),
        Preset(
            name="latent_constraints",
            family="latent_constraints",
            representation=None,
            model=ModelConfig(
                z_size=1024,
                width=2048,
                leak=0.0,
                actor_every=10,
                distance_weight=0.1,
                optional_closeness=False,
                free_attributes=False,
                attribute_weight=0.0,
                judged=0,
            ),
            train=_ORIGINAL,
            description="the same with the sizes, weights and recipe of the original",
        ),
    )
}

ALIASES: dict[str, str] = {}
