"""Latent translation: one VAE shared by the latent spaces of several frozen bases (arXiv:1902.08261).

    z_A ─standardise→ x_A ─encoder, told "A"→ z' ─decoder, told "B"→ x_B ─restore→ z_B

Three pressures make z' a common language: each domain must be rebuilt from it (Rec, KL), the domains must
fill the same region of it (sliced Wasserstein distance), and linear classifiers must read the same labels off
it wherever a point came from. Three more are ours: what arrives must look native (Realism) and carry the
traveller's labels (Transfer), and the way back must lead home (Cycle). Equations beside their code:
docs/latent_translation.md.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from kikibouba.bridges.arrivals import Arrivals
from kikibouba.bridges.latent_translation.config import ModelConfig
from kikibouba.bridges.latent_translation.domain import Domain
from kikibouba.errors import KikiboubaError, did_you_mean
from kikibouba.models.base import LossParts, Normal
from kikibouba.nn.gated_affine import GatedMLP
from kikibouba.nn.sliced_wasserstein import random_directions, sliced_wasserstein

DECODED = 128
"""Translations that are decoded at a time, for every direction."""


class TranslationBatch(NamedTuple):
    """One item of every domain per row; items of a row have nothing to do with each other."""

    z: Tensor
    """[B, sum of z_sizes] float32: a posterior sample of every base, side by side, in the bases' units."""
    mu: Tensor
    """[B, sum of z_sizes] float32: the same posteriors' means."""
    labels: Tensor
    """[B, domains, labels] int64, classes of every attribute and of the category (`ModelConfig.classes`);
    -1 = unlabelled."""


class LatentTranslation(nn.Module):
    """A bridge between two or more latent spaces, named in `config.domains`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        _check(config)
        self.config = config
        common = config.adaptor_size or config.z_sizes[0]
        adapt = config.adaptor_size > 0
        self.partners = _partners(config)
        self.domains = nn.ModuleList(
            Domain(size, common, adapt, len(config.attributes)) for size in config.z_sizes
        )
        flag = len(config.domains) if config.use_domain else 0
        d = config.shared_size
        self.encoder = GatedMLP(common + flag, [d, d], config.width, config.layers, config.gated)
        self.decoder = GatedMLP(d + flag, [common], config.width, config.layers, config.gated)
        heads = config.classes if config.classifier_weight else ()
        self.classifier = GatedMLP(d, heads, width=d, layers=0, gated=not config.linear_classifier)
        self.classifier.requires_grad_(config.train_classifier)
        heads = config.classes if config.transfer_weight else ()
        self.critics = nn.ModuleList(
            GatedMLP(size, heads, config.width, layers=2) for size in config.z_sizes if heads
        )
        self.arrivals: Arrivals | None = None
        """Lets critics learn from what is decoded; whoever has the bases at hand sets it for training."""

    def index(self, domain: str) -> int:
        """Position of a domain. Raises KikiboubaError naming the nearest."""
        if domain not in self.config.domains:
            hint = did_you_mean(domain, self.config.domains)
            raise KikiboubaError(f"this translator does not know {domain!r}{hint}")
        return self.config.domains.index(domain)

    def domain(self, name_or_index: str | int) -> Domain:
        """The doorway of a domain. Raises KikiboubaError for an unknown name."""
        k = self.index(name_or_index) if isinstance(name_or_index, str) else name_or_index
        return cast(Domain, self.domains[k])

    def encode(self, z: Tensor, domain: str) -> Normal:
        """Latents of a base [B, z_size] → their posterior in the shared space [B, d]."""
        return self._encode(self.domain(domain).standardise(z), self.index(domain))

    def decode(self, shared: Tensor, domain: str) -> Tensor:
        """Shared latents z' [B, d] → latents of a base [B, z_size], in its own units."""
        return self.domain(domain).restore(self._decode(shared, self.index(domain)))

    def translate(
        self,
        z: Tensor,
        source: str,
        target: str,
        sample: bool = False,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Latents of `source` [B, z_size] → latents of `target` [B, its z_size].

        Passes through the mean of z'; `sample=True` draws z' instead, as the author's code always does.
        """
        shared = self.encode(z, source)
        return self.decode(shared.sample(generator) if sample else shared.mu, target)

    def loss(self, batch: TranslationBatch, step: int, generator: torch.Generator | None = None) -> LossParts:
        """Rec and the weighted KL, SWD, CE, Cycle, Realism and Transfer; a weight of 0 removes its term.

        One encoder pass per domain: rebuilding, alignment and classification draw their own noise from it,
        which equals the author's separate passes over the same items. `step` rotates through each domain's
        partners where there are several.
        """
        c = self.config
        x, means = self._standardise(batch.z), self._standardise(batch.mu)
        shared = [self._encode(x_k, k) for k, x_k in enumerate(x)]
        pairs = [(k, partners[step % len(partners)]) for k, partners in enumerate(self.partners)]

        parts = {"rec": self._rebuilding(x, shared, generator)}
        if c.kl_weight:
            parts["kl"] = _mean(_kl(q) for q in shared)
        if c.swd_weight:
            parts["swd"] = self._alignment(shared, batch.labels, pairs, generator)
        if self.classifier.heads:
            parts["ce"] = self._classification(shared, batch.labels, generator)
        parts |= self._journeys(x, means, batch.labels, pairs, generator, step)
        weights = {
            "rec": 1.0,
            "kl": c.kl_weight,
            "swd": c.swd_weight,
            "ce": c.classifier_weight,
            "cycle": c.cycle_weight,
            "realism": c.realism_weight,
            "critic": c.transfer_weight if self.training else 0.0,  # a judge is not what is judged
            "transfer": c.transfer_weight,
        }
        loss = torch.stack([weights[name] * value for name, value in parts.items()]).sum()
        return {"loss": loss, **{name: value.detach() for name, value in parts.items()}}

    def _standardise(self, z: Tensor) -> list[Tensor]:
        """[B, sum of z_sizes] in the bases' units → one standardised [B, z_size] per domain."""
        columns = z.split(list(self.config.z_sizes), dim=-1)
        return [self.domain(k).standardise(column) for k, column in enumerate(columns)]

    def _encode(self, x: Tensor, k: int) -> Normal:
        mu, sigma = self.encoder(self._flag(self.domain(k).adapt_in(x), k))
        return Normal(mu, F.softplus(sigma))

    def _decode(self, shared: Tensor, k: int) -> Tensor:
        (common,) = self.decoder(self._flag(shared, k))
        return self.domain(k).adapt_out(common)

    def _flag(self, u: Tensor, k: int) -> Tensor:
        """u [B, n] with the domain's one-hot appended. [B, n + domains]"""
        if not self.config.use_domain:
            return u
        flag = u.new_zeros(len(u), len(self.domains))
        flag[:, k] = 1.0
        return torch.cat([u, flag], dim=-1)

    def _rebuilding(
        self, x: Sequence[Tensor], shared: Sequence[Normal], generator: torch.Generator | None
    ) -> Tensor:
        """Squared error of every domain rebuilt from z' samples, in its own standardised latents."""
        rebuilt = [self._decode(q.sample(generator), k) for k, q in enumerate(shared)]
        return _mean(self.domain(k).distance(rebuilt[k], x[k]) for k in range(len(x)))

    def _alignment(
        self,
        shared: Sequence[Normal],
        labels: Tensor,
        pairs: Iterable[tuple[int, int]],
        generator: torch.Generator | None,
    ) -> Tensor:
        """Distance between the domains' clouds of z' samples."""
        clouds = [(q.sample(generator), labels[:, k]) for k, q in enumerate(shared)]
        unordered = sorted({(min(pair), max(pair)) for pair in pairs})
        return _mean(self._apart(*clouds[i], *clouds[j], generator) for i, j in unordered)

    def _apart(
        self, a: Tensor, labels_a: Tensor, b: Tensor, labels_b: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """Sliced Wasserstein distance between clouds a and b [B, D] of points extended by their labels.

        Clouds of bare positions may coincide with the labels shuffled; extended clouds coincide only if every
        label lies in one where it lies in the other. Labels [B, L] become one-hot columns, scaled to
        have label_share times the spread of all positions together.
        """
        c = self.config
        if c.label_share and c.classes:
            scale = c.label_share * (b.detach().var(dim=0).sum() / len(c.classes)).sqrt()
            a, b = (
                torch.cat([points, scale * _one_hot(labels, c.classes)], dim=-1)
                for points, labels in ((a, labels_a), (b, labels_b))
            )
        directions = random_directions(a.shape[-1], c.num_projections, generator, a.device)
        return sliced_wasserstein(a, b, directions)

    def _classification(
        self, shared: Sequence[Normal], labels: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """Cross-entropy of labels that one classifier reads off z' samples of every domain."""
        logits = [self.classifier(q.sample(generator)) for q in shared]
        return _mean(_cross_entropy(found, labels[:, k]) for k, found in enumerate(logits))

    def _journeys(
        self,
        x: Sequence[Tensor],
        means: Sequence[Tensor],
        labels: Tensor,
        pairs: Iterable[tuple[int, int]],
        generator: torch.Generator | None,
        step: int,
    ) -> dict[str, Tensor]:
        """Terms on every domain translated to its partner, and back, through the means of z'.

        Half of the items set out from their posterior's mean, as a user's drawing does, and should arrive
        among means; half from a posterior sample, and should arrive among samples.
        """
        c, half = self.config, len(labels) // 2
        natives = [
            torch.cat(parts) for parts in zip((m[:half] for m in means), (v[half:] for v in x), strict=True)
        ]
        terms: dict[str, list[Tensor]] = {"cycle": [], "realism": [], "critic": [], "transfer": []}
        for source, target in pairs:
            there = self._decode(self._encode(natives[source], source).mu, target)
            if c.cycle_weight:
                back = self._decode(self._encode(there, target).mu, source)
                terms["cycle"].append(self.domain(source).distance(back, natives[source]))
            if c.realism_weight:
                weigh = self.domain(target).weigh
                for part in (slice(half), slice(half, None)):
                    arrived = weigh(there[part]), labels[part, source]
                    native = weigh(natives[target][part]), labels[part, target]
                    terms["realism"].append(self._apart(*arrived, *native, generator))
            if self.critics:
                critic = cast(GatedMLP, self.critics[target])
                frozen = {name: weight.detach() for name, weight in critic.named_parameters()}
                if self.training and self.arrivals is not None:
                    self._decode_some(self.arrivals, there, target, step)
                terms["critic"].append(
                    self._ignorance(critic, natives[target], labels[:, target], target, generator)
                )
                terms["transfer"].append(
                    _cross_entropy(functional_call(critic, frozen, there), labels[:, source])
                )
        return {name: _mean(values) for name, values in terms.items() if values}

    def _decode_some(self, arrivals: Arrivals, there: Tensor, target: int, step: int) -> None:
        """Every so many steps, see what becomes of standardised translations [B, z_size]."""
        every = self.config.decode_every
        if every and (step % every < len(self.domains) - 1 or arrivals.latest[target] is None):
            middle = len(there) // 2  # half of them began as means, half as samples
            some = there[max(middle - DECODED // 2, 0) : middle + DECODED // 2].detach()
            arrivals.add(target, self.domain(target).restore(some), seed=step)

    def _ignorance(
        self,
        critic: GatedMLP,
        natives: Tensor,
        labels: Tensor,
        target: int,
        generator: torch.Generator | None,
    ) -> Tensor:
        """Cross-entropy that a critic has still to lose: of labels of natives or, where decoding tells the
        attributes, of what was decoded.
        """
        arrivals = self.arrivals
        if not self.training or arrivals is None:
            return _cross_entropy(critic(natives), labels)
        measured = len(self.config.attributes)
        hidden = labels.clone()
        hidden[:, :measured] = -1
        z, decoded = arrivals.draw(target, len(natives), generator)
        told = _cross_entropy(critic(self.domain(target).standardise(z)), decoded)
        return told + _cross_entropy(critic(natives), hidden) if len(self.config.categories) else told


def _cross_entropy(logits: Sequence[Tensor], labels: Tensor) -> Tensor:
    """Nats per labelled item, summed over the labels: logits [B, classes] each, labels [B, L]."""
    items = (labels >= 0).sum(dim=0).clamp(min=1)
    sums = [
        F.cross_entropy(found, labels[:, i], ignore_index=-1, reduction="sum")
        for i, found in enumerate(logits)
    ]
    return (torch.stack(sums) / items).sum()


def _kl(q: Normal) -> Tensor:
    """KL(q || N(0, 1)) in nats: a sum over dimensions, a mean over the batch."""
    return 0.5 * (q.mu**2 + q.sigma**2 - 1 - 2 * q.sigma.log()).sum(dim=-1).mean()


def _one_hot(labels: Tensor, classes: Sequence[int]) -> Tensor:
    """[B, L] int64, -1 = unlabelled (all zero) → [B, sum of classes] float32."""
    columns = [labels[:, i, None] == torch.arange(n, device=labels.device) for i, n in enumerate(classes)]
    return torch.cat(columns, dim=-1).float()


def _mean(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()


def _check(config: ModelConfig) -> None:
    """Raise KikiboubaError if the parts of a configuration do not fit each other."""
    names, sizes = config.domains, config.z_sizes
    if len(names) < 2 or len(set(names)) < len(names):
        raise KikiboubaError(f"domains = {list(names)}: latent translation needs two or more different ones")
    if len(sizes) != len(names):
        raise KikiboubaError(f"{len(names)} domains but {len(sizes)} z_sizes: give one per domain")
    if not config.adaptor_size and len(set(sizes)) > 1:
        raise KikiboubaError(f"z_sizes {list(sizes)} differ: set adaptor_size > 0, which lets them")
    for row in (*config.attributes, *config.categories):
        if len(row) not in (1, len(names)):
            raise KikiboubaError(f"{list(row)} must name one for each of {list(names)}")


def _partners(config: ModelConfig) -> list[list[int]]:
    """The domains that each domain is trained to become, by number, beginning with the next one.

    Raises:
        KikiboubaError: a pair of unknown or equal domains, or pairs that leave domains unconnected.
    """
    names = config.domains
    joined: set[frozenset[str]] = set()
    for pair in config.pairs:
        for name in pair:
            if name not in names:
                raise KikiboubaError(f"pairs name {name!r}{did_you_mean(name, names)}")
        if len(set(pair)) != 2:
            raise KikiboubaError(f"pairs hold {list(pair)}, but a pair is two different domains")
        joined.add(frozenset(pair))
    reached = {names[0]}
    for _ in names:
        reached |= {name for pair in joined if pair & reached for name in pair}
    if joined and (apart := [name for name in names if name not in reached]):
        raise KikiboubaError(f"no pair leads from {names[0]} to {apart[0]}, not even through others")
    order = [[(k + i) % len(names) for i in range(1, len(names))] for k in range(len(names))]
    return [
        [j for j in others if not joined or frozenset((names[k], names[j])) in joined]
        for k, others in enumerate(order)
    ]


def build(config: ModelConfig, representation: object = None) -> LatentTranslation:
    """The untrained bridge of a configuration. A bridge has no representation: its bases have."""
    return LatentTranslation(config)
