"""What a decoder's raw outputs mean: how they are scored, and what is said on their strength.

Every head turns noise into a draw in the same way: `noise` is what to add to logits before the largest, or
the positive, is taken, and no noise means the likeliest. So a draw is a function of logits and noise alone.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kikibouba.data.layout import Part
from kikibouba.models.music_vae.columns import numbers
from kikibouba.nn.nade import NADE, log_prob


class Head(nn.Module):
    """What all heads have; `CategoricalHead` says what the methods do."""

    training_temperature = 1.0
    """Of the draws that scheduled sampling makes."""

    def __init__(self, size: int, noise_size: int) -> None:
        super().__init__()
        self.size = size
        """Width of the raw outputs."""
        self.noise_size = noise_size

    def noise(
        self,
        shape: Sequence[int],
        temperature: float,
        generator: torch.Generator | None,
        device: torch.device,
    ) -> Tensor | None:
        """Noise for draws at a temperature, [*shape, noise_size]; None at temperature 0."""
        if temperature <= 0:
            return None
        return temperature * self.standard_noise((*shape, self.noise_size), generator, device)

    def standard_noise(
        self, shape: tuple[int, ...], generator: torch.Generator | None, device: torch.device
    ) -> Tensor:
        """Noise for draws at temperature 1."""
        return logistic(shape, generator, device)

    def nats(self, raw: Tensor, targets: Tensor) -> Tensor:
        """-ln p(targets) of each step."""
        raise NotImplementedError

    def metrics(self, raw: Tensor, targets: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Means over the real steps."""
        raise NotImplementedError

    def draw(self, raw: Tensor, noise: Tensor | None) -> Tensor:
        """What is said."""
        raise NotImplementedError


class CategoricalHead(Head):
    """Each column of labels has a softmax of its own.

    Args:
        parts: the columns of labels; a label beyond a part's width (padding) is never said and costs nothing.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        widths = [part.width for part in parts]
        super().__init__(sum(widths), sum(widths))
        self.widths = widths

    def standard_noise(
        self, shape: tuple[int, ...], generator: torch.Generator | None, device: torch.device
    ) -> Tensor:
        """See `Head.standard_noise`."""
        return gumbel(shape, generator, device)

    def _columns(self, raw: Tensor) -> Sequence[Tensor]:
        """Raw outputs → the logits of each column. The backward pass of a split would copy all gradients."""
        return [raw] if len(self.widths) == 1 else raw.split(self.widths, -1)

    def nats(self, raw: Tensor, targets: Tensor) -> Tensor:
        """-ln p(targets) of each step.

        Args:
            raw: [T, B, size] logits.
            targets: [T, B, K] labels.

        Returns:
            [T, B]
        """
        total = torch.zeros((), device=raw.device)
        for logits, labels in zip(self._columns(raw), targets.unbind(-1), strict=True):
            known = labels.where(labels < logits.shape[-1], -100)
            nats = F.cross_entropy(logits.flatten(0, 1), known.flatten(), ignore_index=-100, reduction="none")
            total = total + nats.view_as(labels)
        return total

    def metrics(self, raw: Tensor, targets: Tensor, real: Tensor) -> dict[str, Tensor]:
        """accuracy: share of the real [T, B] steps whose likeliest label is right; with several columns their
        mean, and `accuracy_output_K` of each.
        """
        shares = [
            share(logits.argmax(-1) == labels, real)
            for logits, labels in zip(self._columns(raw), targets.unbind(-1), strict=True)
        ]
        each = {f"accuracy_output_{k}": value for k, value in enumerate(shares) if len(shares) > 1}
        return {"accuracy": torch.stack(shares).mean(), **each}

    def draw(self, raw: Tensor, noise: Tensor | None) -> Tensor:
        """Raw outputs [B, size] → labels [B, K] int64."""
        noisy = raw if noise is None else raw + noise
        labels = [logits.argmax(-1, keepdim=True) for logits in self._columns(noisy)]
        return labels[0] if len(labels) == 1 else torch.cat(labels, -1)


class BitsHead(Head):
    """Bits that are said each by itself, from columns of bits or from labels that stand for bits."""

    bits_of_label: Tensor

    def __init__(self, part: Part, hidden_size: int = 0) -> None:
        super().__init__(hidden_size + part.width, part.width)
        self.part = part
        table = None if part.table is None else torch.tensor(part.table)
        self.register_buffer("bits_of_label", table, persistent=False)

    def _bits(self, targets: Tensor) -> Tensor:
        """Columns [..., K] → bits [..., D] float32."""
        if self.part.table is None:
            return numbers(targets, self.part)
        return F.embedding(targets[..., self.part.start], self.bits_of_label)

    def _say(self, raw: Tensor, noise: Tensor | None) -> Tensor:
        """Raw outputs [N, size] → bits [N, D], 0.0 or 1.0."""
        return ((raw if noise is None else raw + noise) > 0).to(raw.dtype)

    def nats(self, raw: Tensor, targets: Tensor) -> Tensor:
        """See `CategoricalHead.nats`."""
        return F.binary_cross_entropy_with_logits(raw, self._bits(targets), reduction="none").sum(-1)

    def metrics(self, raw: Tensor, targets: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Of the likeliest bits: accuracy, the share of steps with all of them right; precision and recall of
        the ones.
        """
        bits = self._bits(targets)[real] > 0
        said = self._say(raw[real], None) > 0
        hits = (said & bits).sum()
        return {
            "accuracy": (said == bits).all(-1).float().mean(),
            "precision": hits / said.sum().clamp(min=1),
            "recall": hits / bits.sum().clamp(min=1),
        }

    def draw(self, raw: Tensor, noise: Tensor | None) -> Tensor:
        """Raw outputs [B, size] → bits [B, D], or the label [B, 1] whose bits are nearest to those said."""
        bits = self._say(raw, noise)
        if self.part.table is None:
            return bits
        return ((2 * bits - 1) @ (2 * self.bits_of_label - 1).t()).argmax(-1, keepdim=True)


class NadeHead(BitsHead):
    """Bits that are said one after another (`NADE`).

    Scheduled sampling takes the likelier of each bit, as in the original.
    """

    training_temperature = 0.0

    def __init__(self, part: Part, hidden_size: int) -> None:
        super().__init__(part, hidden_size)
        self.nade = NADE(part.width, hidden_size)

    def _split(self, raw: Tensor) -> Sequence[Tensor]:
        """Raw outputs → b_enc, b_dec."""
        return raw.split([self.nade.hidden_size, self.nade.bits], -1)

    def _say(self, raw: Tensor, noise: Tensor | None) -> Tensor:
        b_enc, b_dec = self._split(raw)
        return self.nade.sample(b_enc, b_dec, noise)

    def nats(self, raw: Tensor, targets: Tensor) -> Tensor:
        """See `CategoricalHead.nats`."""
        bits = self._bits(targets).flatten(0, 1)
        b_enc, b_dec = self._split(raw.flatten(0, 1))
        return -log_prob(self.nade(bits, b_enc, b_dec), bits).view(raw.shape[:2])


class GrooveHead(Head):
    """A third of the columns are hits (0 or 1), a third velocities (0 … 1), a third offsets (-1 … 1)."""

    def __init__(self, part: Part) -> None:
        self.drums = part.width // 3
        super().__init__(part.width, self.drums)

    def _terms(self, raw: Tensor, targets: Tensor) -> list[Tensor]:
        """Losses [T, B] of hits, velocities and offsets."""
        (logits, velocity, offset), (hit, *exact) = raw.chunk(3, -1), targets.chunk(3, -1)
        p = torch.sigmoid(logits)
        hits = -(hit * (p + 1e-7).log() + (1 - hit) * (1 - p + 1e-7).log())
        said = torch.sigmoid(velocity), torch.tanh(offset)
        squares = [(value - target) ** 2 for value, target in zip(said, exact, strict=True)]
        return [term.sum(-1) for term in (hits, *squares)]

    def nats(self, raw: Tensor, targets: Tensor) -> Tensor:
        """See `CategoricalHead.nats`: cross-entropy of the hits, plus squared errors."""
        hits, velocities, offsets = self._terms(raw, targets)
        return hits + velocities + offsets

    def metrics(self, raw: Tensor, targets: Tensor, real: Tensor) -> dict[str, Tensor]:
        """accuracy: share of steps all of whose hits are right; hits_loss, velocities_loss, offsets_loss:
        mean of each term over the steps.
        """
        names = "hits_loss", "velocities_loss", "offsets_loss"
        losses = {
            name: share(term, real) for name, term in zip(names, self._terms(raw, targets), strict=True)
        }
        right = ((raw > 0) == (targets > 0))[..., : self.drums].all(-1)
        return {"accuracy": share(right, real), **losses}

    def draw(self, raw: Tensor, noise: Tensor | None) -> Tensor:
        """Raw outputs [B, size] → columns [B, size]. Noise decides about hits only."""
        logits, velocity, offset = raw.chunk(3, -1)
        hits = (logits if noise is None else logits + noise) > 0
        return torch.cat([hits.to(raw.dtype), torch.sigmoid(velocity), torch.tanh(offset)], -1)


def share(values: Tensor, real: Tensor) -> Tensor:
    """Mean of values [T, B] over the real [T, B] steps."""
    return (values * real).sum() / real.sum()


def gumbel(shape: tuple[int, ...], generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Standard Gumbel noise, -ln(-ln u): argmax(logits + noise) is a draw from softmax(logits)."""
    return torch.rand(shape, generator=generator, device=device).log_().neg_().log_().neg_()


def logistic(shape: tuple[int, ...], generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Standard logistic noise, ln(u / (1 - u)): logit + noise > 0 has probability σ(logit)."""
    return torch.rand(shape, generator=generator, device=device).logit_(eps=1e-7)
