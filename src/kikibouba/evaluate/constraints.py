"""Do latent constraints do what they promise: ask for something, decode, measure.

Everything that can be asked for is asked for alone: of prior samples, which the actor may move as far as it
must, and of held-out examples, which are to stay close.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from kikibouba.bridges.latent_constraints.best_of import Moved, best_of
from kikibouba.bridges.latent_constraints.classes import classes_in
from kikibouba.bridges.latent_constraints.model import LatentConstraints
from kikibouba.bridges.latent_constraints.search import CLOSE, search
from kikibouba.bridges.posteriors import Posteriors
from kikibouba.data.artifacts import Tune
from kikibouba.evaluate.decoding import Base

SEARCHES = 5
"""A search takes longer than the actor: so many times fewer examples are searched for."""


def evaluate_constraints(
    bridge: LatentConstraints,
    base: Base,
    held_out: Posteriors,
    tries: int = 8,
    limit: int = 200,
    seed: int = 0,
) -> dict[str, float]:
    """Figures of trained constraints.

    Args:
        base: the frozen one, with its representation.
        held_out: its posteriors of examples that nothing was learnt from.
        tries: as a user has them: what measures as something else is drawn anew.
        limit: prior samples for each thing that is asked for; of held-out examples a fifth as many.
        seed: of the choice of both.

    Returns:
        "realism …": mean σ(D) of held-out posterior samples, of prior samples from N(0, 1), of these when
        constrained, and of held-out means when constrained to stay close, over all that is asked for.
        "density high moved": the share of prior samples whose attribute went that way, or was there and
        stayed; "… reached": the share that has it afterwards; "… before": had it. Of scales only the ends are
        asked for; of other classes all, and there "moved" is "reached".
        "least moved", "mean moved", "mean moved at once" (in one try), and "distance", the root mean square
        of z* - z.
        All of these again for held-out examples staying close, "… close"; there also "notes kept close", the
        share of the notes that stay, of music.
    """
    rng = np.random.default_rng([seed, 3])
    rows = rng.permutation(len(held_out))[: max(1, limit // SEARCHES)]
    prior = [rng.standard_normal((limit, bridge.z_size), dtype=np.float32) for _ in range(tries)]
    near = [np.asarray(held_out.mu[rows]), *(held_out.sample(rows, rng) for _ in range(tries - 1))]
    free = Wishes(bridge, base, prior, close=False).figures()
    close = Wishes(bridge, base, near, close=True).figures()
    figures = {
        "realism of real": _realism(bridge, held_out.sample(rows, rng)),
        "realism of prior": _realism(bridge, prior[0]),
        "realism constrained": free.pop("realism"),
        "realism constrained close": close.pop("realism"),
    }
    free.pop("notes kept", None)
    return figures | free | {f"{name} close": value for name, value in close.items()}


class Wishes:
    """All that can be asked for, asked for from the same starts."""

    def __init__(
        self, bridge: LatentConstraints, base: Base, starts: Sequence[np.ndarray], close: bool
    ) -> None:
        """`starts`: for each try [n, Z]."""
        self.bridge, self.base, self.starts, self.close = bridge, base, starts, close
        self.ordered = np.array([bool(thresholds) for thresholds in bridge.config.thresholds])
        self.before = self._measured(starts[0])

    def figures(self) -> dict[str, float]:
        """See `evaluate_constraints`."""
        config = self.bridge.config
        figures: dict[str, float] = {}
        results: list[dict[str, float]] = []
        for i, (name, names) in enumerate(zip(config.attributes, config.classes, strict=True)):
            if (self.before.has[:, i] < 0).all():
                continue  # labels that a user gave: nobody can tell what was decoded
            ends = (0, len(names) - 1) if self.ordered[i] else range(len(names))
            found = [self._ask(i, wanted) for wanted in ends]
            results += found
            if self.ordered[i]:
                shares = {f"{name} {names[wanted]}": one for wanted, one in zip(ends, found, strict=True)}
            else:
                shares = {name: _means(found)}
            for asked, one in shares.items():
                figures |= {f"{asked} {what}": one[what] for what in ("moved", "reached", "before")}
        moved = [value for name, value in figures.items() if name.endswith(" moved")]
        means = _means(results)
        means |= {
            "least moved": min(moved),
            "mean moved": means["moved"],
            "mean moved at once": means["at once"],
        }
        kept = ("least moved", "mean moved", "mean moved at once", "realism", "distance", "notes kept")
        return figures | {name: means[name] for name in kept if name in means}

    def _ask(self, i: int, wanted: int) -> dict[str, float]:
        """What comes of asking for one class of attribute i."""
        config = self.bridge.config
        labels = np.full(len(config.attributes), -1)
        labels[i] = wanted

        def attempt(number: int) -> Moved:
            moved = self._act(number, labels)
            arrays = self.base.decode(moved)
            has = classes_in(config, self.base.representation, arrays)
            return Moved(self.starts[number], moved, arrays, has)

        first = attempt(0)
        best = best_of(len(self.starts), labels, self.ordered, lambda n: attempt(n) if n else first)
        result = {
            "moved": self._moved(best, i, wanted),
            "at once": self._moved(first, i, wanted),
            "reached": float((best.has[:, i] == wanted).mean()),
            "before": float((self.before.has[:, i] == wanted).mean()),
            "realism": _realism(self.bridge, best.z),
            "distance": float(np.sqrt(np.mean((best.z - best.start) ** 2))),
        }
        kept = notes_kept(self.base.representation, self.before.arrays, best.arrays)
        return result | ({"notes kept": float(np.mean(kept))} if kept else {})

    def _moved(self, after: Moved, i: int, wanted: int) -> float:
        """The share of rows whose attribute i went towards a class, or was there and stayed."""
        reached = after.has[:, i] == wanted
        if not self.ordered[i]:
            return float(reached.mean())
        name = self.bridge.config.attributes[i]
        before = self._measured(after.start)
        values = (self.base.representation.attributes(m.arrays)[name] for m in (before, after))
        change = np.subtract(*values) * (-1 if wanted else 1)
        return float(((change > 0) | (reached & (before.has[:, i] == wanted))).mean())

    def _measured(self, z: np.ndarray) -> Moved:
        """Latents as they are."""
        arrays = self.base.decode(z)
        return Moved(z, z, arrays, classes_in(self.bridge.config, self.base.representation, arrays))

    def _act(self, number: int, labels: np.ndarray) -> np.ndarray:
        """z* of a try: to stay close a search, and the actor where half of the tries have failed."""
        z = self.starts[number]
        device = self.bridge.sigma.device
        start, wanted = torch.tensor(z).to(device), torch.tensor(np.tile(labels, (len(z), 1))).to(device)
        if self.close and 2 * number < len(self.starts):
            return search(self.bridge, start, wanted, CLOSE).cpu().numpy()
        with torch.no_grad():
            return self.bridge.act(start, wanted, self.close).cpu().numpy()


def notes_kept(representation: Any, before: list[np.ndarray], after: list[np.ndarray]) -> list[float]:
    """Of each example that has notes the share that still starts, at the same time and pitch, after a change.
    Empty for drawings.
    """
    shares = []
    for pair in zip(before, after, strict=True):
        a, b = (representation.to_artifact(array) for array in pair)
        if isinstance(a, Tune) and isinstance(b, Tune) and len(a.notes.notes):
            shares.append(len(_notes(a) & _notes(b)) / len(_notes(a)))
    return shares


def _notes(tune: Tune) -> set[tuple[int, float]]:
    notes = tune.notes.notes
    return set(zip(notes["pitch"].tolist(), notes["start"].round(3).tolist(), strict=True))


def _means(results: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([one[name] for one in results if name in one])) for name in results[0]}


@torch.no_grad()
def _realism(bridge: LatentConstraints, z: np.ndarray) -> float:
    """Mean σ(D) of latents [n, Z], whatever attributes they have."""
    return bridge.realism(torch.tensor(z).to(bridge.sigma.device), bridge.free(len(z))).mean().item()
