"""The Universal Music Translation Network (Mor et al. 2018): one encoder, a WaveNet for each domain, and a
classifier that the encoder learns to confuse, so that z says what is played and not on what.

    x = code / 255 - 1/2
    z = E(x)                                        [latent, T / hop]
    in turns, for a batch of clips x of domains k, and x′ the clips with a part out of tune:
    1. classifier       λ CE(C(E(x)), k)                                                         ↓
    2. all the others   mean_t CE(W_k(x one sample late, E(x′))_t, code_t) - λ CE(C(E(x′)), k)   ↓

docs/sound.md sets the equations beside this code and names every departure: a batch mixes domains, z is cut
off in turn 1 and the classifier still in turn 2 (the same updates for less work).
"""

import math
from collections.abc import Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kikibouba.data.audio import AudioRepresentation
from kikibouba.models.base import ClipBatch, LossParts, Turn
from kikibouba.models.music_translation.config import ModelConfig
from kikibouba.nn.pitch_salience import PITCHES, PitchSalience
from kikibouba.nn.wavenet import DilatedEncoder, WaveNet, delayed, dilations


class DomainClassifier(nn.Module):
    """z → logits of the domain: four 1 × 1 convolutions with ELUs between them, averaged over time."""

    def __init__(self, latent: int, channels: int, domains: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.convs = nn.Sequential(
            nn.Conv1d(latent, channels, 1),
            nn.ELU(),
            nn.Conv1d(channels, channels, 1),
            nn.ELU(),
            nn.Conv1d(channels, channels, 1),
            nn.ELU(),
            nn.Conv1d(channels, domains, 1),
        )

    def forward(self, z: Tensor) -> Tensor:
        """[B, latent, frames] → [B, domains]."""
        return self.convs(F.dropout(z, self.dropout, self.training)).mean(dim=2)


class MusicTranslation(nn.Module):
    """Encoder, decoders and classifier."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.z_size, self.hop = config.latent, config.hop
        self.encoder = DilatedEncoder(
            dilations(config.encoder_blocks, config.encoder_layers),
            config.encoder_channels,
            config.latent,
            config.hop,
        )
        layers = dilations(config.blocks, config.layers)
        self.decoders = nn.ModuleList(
            WaveNet(layers, config.channels, config.channels, config.latent) for _ in config.domains
        )
        self.classifier = DomainClassifier(
            config.latent, config.classifier_channels, len(config.domains), config.classifier_dropout
        )
        if config.pitch:
            self.salience = PitchSalience(config.hop)
            self.pitches = nn.Conv1d(config.latent, PITCHES, 1)

    def inputs(self, codes: Tensor) -> Tensor:
        """Codes 0..255 → what the network reads, in [-1/2, 1/2]."""
        return codes.float() / 255.0 - 0.5

    def encode(self, codes: Tensor) -> Tensor:
        """Codes [B, T] → z [B, latent, T // hop]."""
        return self.encoder(self.inputs(codes))

    def wavenet(self, domain: int = 0) -> WaveNet:
        """The decoder of a domain."""
        return cast(WaveNet, self.decoders[domain])

    def forward(self, codes: Tensor, z: Tensor, domain: int) -> Tensor:
        """Teacher-forced logits [B, 256, T] of codes [B, T] in one domain, T = frames · hop."""
        return self.wavenet(domain)(delayed(self.inputs(codes)), z)

    # ------------------------------------------------------------------------------------------- training

    def weights_from(self, other: "MusicTranslation") -> dict[str, Tensor]:
        """The state that this network starts from if it goes on where another one stopped, perhaps with other
        domains: decoders go by the names of theirs. What the other has not, and the classifier, unless the
        domains are the same, stay as they are.
        """
        own, theirs = self.config.domains, other.config.domains
        if own == theirs:
            return other.state_dict()
        weights = {
            name: value
            for name, value in other.state_dict().items()
            if not name.startswith(("decoders.", "classifier."))
        }
        weights |= {f"classifier.{name}": value for name, value in self.classifier.state_dict().items()}
        for number, domain in enumerate(own):
            decoder = other.wavenet(theirs.index(domain)) if domain in theirs else self.wavenet(number)
            weights |= {f"decoders.{number}.{name}": value for name, value in decoder.state_dict().items()}
        return weights

    def turns(self) -> list[Turn]:
        """First the classifier learns, then all else against it."""
        others = [*self.encoder.parameters(), *self.decoders.parameters()]
        if self.config.pitch:
            others += self.pitches.parameters()
        return [
            Turn("classifier", list(self.classifier.parameters()), self._classifier_loss, lambda step: 1.0),
            Turn("translator", others, self._translator_loss, self._share_at),
        ]

    def _share_at(self, step: int) -> float:
        """Of the learning rate. The original steps its schedule once before it begins."""
        return self.config.epoch_decay ** (step // self.config.epoch_steps + 1)

    def _classifier_loss(
        self, batch: ClipBatch, step: int, generator: torch.Generator | None = None
    ) -> LossParts:
        with torch.no_grad():
            z = self.encode(batch.x)
        logits = self.classifier(z).float()
        accuracy = (logits.argmax(1) == batch.domain).float().mean()
        return {
            "loss": self.config.confusion * F.cross_entropy(logits, batch.domain),
            "classifier_accuracy": accuracy,
        }

    def _translator_loss(
        self, batch: ClipBatch, step: int, generator: torch.Generator | None = None
    ) -> LossParts:
        z = self.encode(batch.heard)
        r_loss = self.reconstruction(batch, z, generator).mean()
        still = {name: p.detach() for name, p in self.classifier.named_parameters()}
        logits = torch.func.functional_call(self.classifier, still, (z,)).float()
        confusion = F.cross_entropy(logits, batch.domain)
        parts = {"r_loss": r_loss, "bits": r_loss / math.log(2), "classifier_loss": confusion}
        loss = r_loss - self.config.confusion * confusion
        if self.config.pitch:
            parts["pitch_loss"] = self._pitch_loss(batch, z)
            loss = loss + self.config.pitch * parts["pitch_loss"]
        return {"loss": loss} | {k: v.detach() for k, v in parts.items()}

    def _pitch_loss(self, batch: ClipBatch, z: Tensor) -> Tensor:
        """Cross entropy of the pitches that z tells with those that are heard in the clip in tune, in nats a
        frame that is not silent.
        """
        companded = 2.0 * self.inputs(batch.x)
        wave = companded.sign() * (256.0 ** companded.abs() - 1.0) / 255.0
        salience, heard = self.salience(wave)
        nats = F.cross_entropy(self.pitches(z).float(), salience, reduction="none")
        return (nats * heard).sum() / heard.sum().clamp(min=1)

    def reconstruction(self, batch: ClipBatch, z: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """Nats a sample of each clip [B], said by the decoder of its domain; `noise` draws `input_noise`."""
        x = self.inputs(batch.x)
        if self.config.input_noise and noise is not None:
            drawn = torch.randn(x.shape, generator=noise, device=noise.device).to(x.device)
            x = x + self.config.input_noise * drawn
        nats = z.new_zeros(len(x), dtype=torch.float32)
        for domain, rows in self._by_domain(batch.domain):
            logits = self.wavenet(domain)(delayed(x[rows]), z[rows]).float()
            nats = nats.index_put((rows,), F.cross_entropy(logits, batch.x[rows], reduction="none").mean(1))
        return nats

    def _by_domain(self, domain: Tensor) -> Iterator[tuple[int, Tensor]]:
        """(domain, the rows that belong to it) of those there are."""
        for number in domain.unique().tolist():
            yield number, (domain == number).nonzero()[:, 0]

    def loss(self, batch: ClipBatch, step: int, generator: torch.Generator | None = None) -> LossParts:
        """What is held out is judged by, as in the original: reconstruction + λ · the classifier's loss."""
        z = self.encode(batch.heard)
        r_loss = self.reconstruction(batch, z).mean()
        logits = self.classifier(z).float()
        confusion = F.cross_entropy(logits, batch.domain)
        return {
            "loss": r_loss + self.config.confusion * confusion,
            "r_loss": r_loss.detach(),
            "bits": r_loss.detach() / math.log(2),
            "classifier_accuracy": (logits.argmax(1) == batch.domain).float().mean(),
        }


def build(config: ModelConfig, representation: AudioRepresentation) -> MusicTranslation:
    """The network of a preset."""
    return MusicTranslation(config)
