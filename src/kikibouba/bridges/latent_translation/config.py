"""Configurations of latent translation. No torch here."""

from dataclasses import dataclass

from kikibouba.config import Preset, TrainConfig


@dataclass(frozen=True)
class ModelConfig:
    """One shared VAE over the latent spaces of several frozen bases. A weight of 0 removes its term."""

    domains: tuple[str, ...] = ("sketch", "mel_2bar")
    """Names of the bases, as `kikibouba.load` takes them."""
    z_sizes: tuple[int, ...] = (128, 256)
    """Latent size of each base; training fills it in."""
    base_hashes: tuple[str, ...] = ()
    """Weights hash of each base this bridge was trained on; training fills it in."""
    attributes: tuple[tuple[str, ...], ...] = ()
    """What should correspond, a row each: one attribute name per domain, or a name from `CORRESPONDENCES`
    (spikiness, density), which training spells out. () = unsupervised."""
    num_bins: int = 8
    """Quantile bins (classes) per attribute."""
    categories: tuple[tuple[str, ...], ...] = ()
    """Categories that should correspond, a class each: one name per domain ("sheep", "folk"), or several
    joined by "+" ("sheep+dog", "folk"); ("*",) = the names that all domains know, spelled out by training."""
    labelled: float = 1.0
    """Training items of a domain that keep their labels: a share up to 1, a number above it."""
    held_out: tuple[str, ...] = ()
    """Categories that training never sees, to be judged by."""
    pairs: tuple[tuple[str, ...], ...] = ()
    """Domains that are trained to become each other; () = all. Others meet through the shared space alone."""

    shared_size: int = 128
    """d, the size of the shared latent z'."""
    width: int = 256
    layers: int = 4
    adaptor_size: int = 256
    """Common width that per-domain linear adaptors map to and from; 0 = none (all z_sizes must be equal)."""
    gated: bool = True
    """Gated mixing of the MLP with a linear shortcut; False = the MLP alone."""
    use_domain: bool = True
    """Tell encoder and decoder the domain as a one-hot vector."""
    standardise: bool = True
    """Bring every latent dimension to mean 0 and variance 1 first."""
    informativeness: bool = True
    """Count each latent dimension by the share of its variance that the base's encoder determines."""

    kl_weight: float = 0.0005
    """Multiplies the KL summed over d, while Rec is a mean over a base's z_size: scale it as 1/d."""
    swd_weight: float = 1.0
    """Sliced Wasserstein distance between the domains in the shared space."""
    label_share: float = 1.0
    """Align positions jointly with labels: how much labels count in that distance; 0 = positions alone."""
    num_projections: int = 128
    """Random directions per step."""
    classifier_weight: float = 0.05
    train_classifier: bool = True
    linear_classifier: bool = True
    cycle_weight: float = 1.0
    """There and back again: z → z' → the other domain → z' → z."""
    realism_weight: float = 3.0
    """Sliced Wasserstein distance of translated latents to the target domain's own."""
    transfer_weight: float = 0.3
    """Cross-entropy of the source's labels as critics, which learn nothing from the source, read them off
    arrivals."""
    decode_every: int = 8
    """Steps after which some translations are decoded, and the critics learn what becomes of them; 0 = never:
    the critics learn the labels of natives, whatever the base makes of these."""

    @property
    def classes(self) -> tuple[int, ...]:
        """Number of classes of each label: bins of every attribute, then the categories, if any."""
        return (self.num_bins,) * len(self.attributes) + (len(self.categories),) * bool(self.categories)


_TRAIN = TrainConfig(
    batch_size=256,
    num_steps=800,
    learning_rate=1e-3,
    decay_rate=0.9975,
    precision="bf16",
    min_learning_rate=1e-4,
    ema_decay=0.99,
    log_every=100,
    eval_every=200,
    augment=False,
)

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="translation",
            family="latent_translation",
            representation=None,
            model=ModelConfig(label_share=0.0, classifier_weight=0.0),
            train=_TRAIN,
            description="any two models, aligned as distributions only (no labels)",
        ),
        Preset(
            name="translation_attributes",
            family="latent_translation",
            representation=None,
            model=ModelConfig(attributes=(("spikiness",), ("density",))),
            train=_TRAIN,
            description="any two models: spiky ↔ jagged ↔ syncopated, dense ↔ busy",
        ),
        Preset(
            name="translation_categories",
            family="latent_translation",
            representation=None,
            model=ModelConfig(categories=(("*",),)),
            train=_TRAIN,
            description="any two models whose examples have categories: those of one name correspond",
        ),
    )
}

ALIASES: dict[str, str] = {}
