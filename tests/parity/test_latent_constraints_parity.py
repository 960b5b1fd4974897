"""Latent constraints and LCMusicVAE against the originals' equations, computed again in numpy."""

from typing import NamedTuple

import numpy as np
import pytest
import torch

from kikibouba.bridges.latent_constraints.config import PRESETS as CONSTRAINTS
from kikibouba.bridges.latent_constraints.config import ModelConfig
from kikibouba.bridges.latent_constraints.model import ConstraintBatch, Draws, LatentConstraints
from kikibouba.bridges.lc_music_vae.config import PRESETS as LC
from kikibouba.bridges.lc_music_vae.config import ModelConfig as LCConfig
from kikibouba.bridges.lc_music_vae.model import LCBatch, LCMusicVAE
from kikibouba.data.melody import MelodyRepresentation

Z, B = 5, 6
CLASSES = (("low", "mid", "high"), ("no", "yes"))
ORIGINAL = {
    "optional_closeness": False,
    "free_attributes": False,
    "distance_weight": 0.1,
    "attribute_weight": 0.0,
    "judged": 0,
    "leak": 0.0,
}


class Numbers(NamedTuple):
    """What one step is made of, as arrays."""

    z: np.ndarray
    labels: np.ndarray
    wrong: np.ndarray
    prior: np.ndarray
    bare: np.ndarray
    alpha: np.ndarray


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cross_entropy(logits, target):
    return -(target * np.log(sigmoid(logits)) + (1 - target) * np.log(sigmoid(-logits)))


def one_hot(labels):
    return np.concatenate([np.eye(3)[labels[:, 0]], np.eye(2)[labels[:, 1]]], axis=1)


class Net:
    """ReLU layers of [z, embedded y] and a linear layer on top, read from a module's weights; float64."""

    def __init__(self, module, top):
        weights = {name: w.detach().double().numpy() for name, w in module.state_dict().items()}
        self.embedding = None
        if "trunk.embedding.weight" in weights:
            self.embedding = weights["trunk.embedding.weight"], weights["trunk.embedding.bias"]
        count = sum(name.startswith("trunk.hidden") for name in weights) // 2
        self.hidden = [
            (weights[f"trunk.hidden.{i}.weight"], weights[f"trunk.hidden.{i}.bias"]) for i in range(count)
        ]
        self.top = weights[f"{top}.weight"], weights[f"{top}.bias"]

    def __call__(self, z, y=None):
        h = z
        if self.embedding is not None:
            h = np.concatenate([z, y @ self.embedding[0].T + self.embedding[1]], axis=1)
        self.alive = []
        for w, b in self.hidden:
            pre = h @ w.T + b
            self.alive.append(pre > 0)
            h = np.maximum(pre, 0)
        return h @ self.top[0].T + self.top[1]

    def slope(self, z, y):
        """The gradient [B, Z] of a single output by the chain rule."""
        self(z, y)
        back = np.repeat(self.top[0], len(z), axis=0)
        for (w, _), alive in zip(reversed(self.hidden), reversed(self.alive), strict=True):
            back = (back * alive) @ w
        return back[:, : z.shape[1]]


def act(net, z, y):
    """z* = (1 - g) ⊙ z + g ⊙ δ."""
    delta, gate = np.split(net(z, y), 2, axis=1)
    g = sigmoid(gate)
    return (1 - g) * z + g * delta


@pytest.fixture
def constraints() -> LatentConstraints:
    torch.manual_seed(0)
    config = ModelConfig(
        z_size=Z,
        attributes=("density", "loud"),
        classes=CLASSES,
        thresholds=((0.3, 0.5), ()),
        width=9,
        layers=4,
        **ORIGINAL,
    )
    found = LatentConstraints(config)
    found.sigma.copy_(torch.linspace(0.2, 1.1, Z))
    return found.train()


@pytest.fixture
def numbers() -> Numbers:
    rng = np.random.default_rng(1)
    labels = np.array([[0, 1], [2, 0], [1, 1], [2, 1], [0, 0], [1, 0]])
    return Numbers(
        z=rng.standard_normal((B, Z)),
        labels=labels,
        wrong=np.roll(labels, 1, axis=0),
        prior=rng.standard_normal((B, Z)),
        bare=np.array([True, False, False, False, True, False]),
        alpha=rng.random((B, Z)),
    )


def losses(constraints, numbers, acts):
    def tensor(values):
        return torch.from_numpy(values if values.dtype.kind in "bi" else values.astype(np.float32))

    batch = ConstraintBatch(tensor(numbers.z), tensor(numbers.labels))
    draws = Draws(
        told=batch.labels,
        wrong=tensor(numbers.wrong),
        prior=tensor(numbers.prior),
        bare=tensor(numbers.bare),
        start=tensor(numbers.prior),
        close=torch.ones(B, dtype=torch.bool),
        alpha=tensor(numbers.alpha),
    )
    return constraints.loss_from_draws(batch, draws, acts)


def test_the_actor_is_gated(constraints, numbers):
    y = one_hot(numbers.labels)
    expected = act(Net(constraints.actor, "delta_and_gate"), numbers.prior, y)
    labels = torch.from_numpy(numbers.labels)
    found = constraints.act(torch.from_numpy(numbers.prior).float(), labels, close=True)
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-5)
    assert torch.equal(constraints.one_hot(labels), torch.from_numpy(y).float())


def test_the_critics_losses(constraints, numbers):
    z, y, wrong = numbers.z, one_hot(numbers.labels), one_hot(numbers.wrong)
    critic = Net(constraints.critic, "logit")
    made = act(Net(constraints.actor, "delta_and_gate"), numbers.prior, y)
    fake = np.where(numbers.bare[:, None], numbers.prior, made)
    terms = [
        cross_entropy(critic(z, y), 1.0),
        cross_entropy(critic(fake, y), 0.0),
        cross_entropy(critic(z, wrong), 0.0),
    ]
    mixed = z + numbers.alpha * (fake - z)
    norm = np.sqrt((critic.slope(mixed, y) ** 2).sum(1) + 1e-10)
    read = Net(constraints.attribute_critic, "logits")(z)
    expected = {
        "critic": np.mean(terms),
        "penalty": np.mean((norm - 1) ** 2),
        "attributes": cross_entropy(read, y).mean(),
    }
    found = losses(constraints, numbers, acts=False)
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value, abs=1e-5)
    total = expected["critic"] + 10 * expected["penalty"] + expected["attributes"]
    assert found["loss"].item() == pytest.approx(total, abs=1e-4)
    assert norm.std() > 0.01


def test_the_actors_loss_and_that_each_network_learns_from_its_own_alone(constraints, numbers):
    y = one_hot(numbers.labels)
    moved = act(Net(constraints.actor, "delta_and_gate"), numbers.prior, y)
    belief = sigmoid(Net(constraints.critic, "logit")(moved, y))
    sigma = constraints.sigma.double().numpy()
    distance = 0.1 * np.mean(np.log(1 + (moved - numbers.prior) ** 2) / sigma**2)
    alone, together = (losses(constraints, numbers, acts) for acts in (False, True))
    assert together["actor"].item() == pytest.approx(-np.mean(np.log(np.clip(belief, 1e-15, 1))), abs=1e-5)
    assert together["distance"].item() == pytest.approx(distance, abs=1e-5)
    difference = together["loss"] - alone["loss"]
    assert difference.item() == pytest.approx((together["actor"] + together["distance"]).item(), abs=1e-5)

    critics = [*constraints.critic.parameters(), *constraints.attribute_critic.parameters()]
    for a, b in zip(
        *(torch.autograd.grad(parts["loss"], critics, retain_graph=True) for parts in (alone, together)),
        strict=True,
    ):
        torch.testing.assert_close(a, b)  # the actor's turn changes nothing for the critics
    constraints.zero_grad()
    alone["loss"].backward()
    assert all(p.grad is None for p in constraints.actor.parameters())


def test_the_actors_gradient(constraints, numbers):
    """By differences of the loss in float64, so that nothing is held that should move."""
    y = one_hot(numbers.labels)
    losses(constraints, numbers, acts=True)["loss"].backward()
    actor, critic = Net(constraints.actor, "delta_and_gate"), Net(constraints.critic, "logit")
    sigma = constraints.sigma.double().numpy()

    def cost():
        moved = act(actor, numbers.prior, y)
        far = np.mean(np.log(1 + (moved - numbers.prior) ** 2) / sigma**2)
        return -np.mean(np.log(sigmoid(critic(moved, y)))) + 0.1 * far

    bias, step = actor.top[1], 1e-6
    for i in range(2 * Z):
        bias[i] += step
        above = cost()
        bias[i] -= 2 * step
        slope = (above - cost()) / (2 * step)
        bias[i] += step
        assert constraints.actor.delta_and_gate.bias.grad[i].item() == pytest.approx(slope, abs=1e-5)


def test_the_originals_sizes():
    model, train = CONSTRAINTS["latent_constraints"].model, CONSTRAINTS["latent_constraints"].train
    assert (model.z_size, model.width, model.layers, model.penalty_weight) == (1024, 2048, 4, 10.0)
    assert (model.actor_every, model.prior_share, model.distance_weight) == (10, 0.1, 0.1)
    assert {name: getattr(model, name) for name in ORIGINAL} == ORIGINAL
    assert (train.learning_rate, train.min_learning_rate) == (1e-4, 1e-4)
    assert LatentConstraints.adam_betas == (0.0, 0.9)


SMALL = MelodyRepresentation(bars=1, min_pitch=60, max_pitch=63)


def test_lc_losses():
    torch.manual_seed(3)
    config = LCConfig(z_size=Z, encoded_z_size=3, dec_rnn_size=(4, 4), free_bits=0.1)
    bridge = LCMusicVAE(config, SMALL)
    for p in bridge.parameters():  # the original's 0.001 would hide mistakes
        torch.nn.init.normal_(p, std=0.4)
    rng = np.random.default_rng(2)
    z, eps, eps_base = (rng.standard_normal((B, n)) for n in (Z, 3, Z))
    x = rng.integers(0, SMALL.depth, (B, SMALL.steps))
    batch = LCBatch(
        torch.from_numpy(x),
        torch.full((B,), SMALL.steps),
        torch.zeros(B, Z),
        torch.ones(B, Z),
    )
    given = (torch.from_numpy(v).float() for v in (z, eps, eps_base))
    step = 500
    found = bridge.loss_from_noise(batch, step, *given)

    w = {name: p.detach().double().numpy() for name, p in bridge.state_dict().items()}

    def normal(name, v):
        mu = v @ w[f"{name}.mu.weight"].T + w[f"{name}.mu.bias"]
        return mu, np.log1p(np.exp(v @ w[f"{name}.sigma.weight"].T + w[f"{name}.sigma.bias"]))

    mu, sigma = normal("latent_encoder", z)
    code = mu + sigma * eps
    kl = 0.5 * (sigma**2 + mu**2 - 1 - 2 * np.log(sigma)).sum(1)
    kl_loss = np.maximum(kl - 0.1 * np.log(2), 0).mean()
    mu_g, sigma_g = normal("latent_decoder", code)
    distance = np.sqrt(((mu_g + sigma_g * eps_base - z) ** 2).sum(1)).mean()
    beta = 0.5 * (1 - 0.99999**step)
    r_loss = said(w, x, code)
    assert found["r_loss"].item() == pytest.approx(r_loss, rel=1e-5)
    assert found["kl_loss"].item() == pytest.approx(kl_loss, abs=1e-5)
    assert found["distance"].item() == pytest.approx(distance, abs=1e-5)
    assert found["beta"].item() == pytest.approx(beta, abs=1e-9)
    assert found["loss"].item() == pytest.approx(r_loss + beta * kl_loss + distance, rel=1e-5)


def said(w, x, code):
    """-log p(x | z') of the small decoder: state tanh(dense(z')) as c₀ h₀ c₁ h₁, inputs [x before, z']."""
    state = np.tanh(code @ w["said.decoder.initial_state.weight"].T + w["said.decoder.initial_state.bias"])
    states = np.split(state, 4, axis=1)
    before = np.zeros((B, SMALL.depth))
    nats = 0.0
    for t in range(SMALL.steps):
        v = np.concatenate([before, code], axis=1)
        for layer in range(2):
            of_x, of_h, bias = (w[f"said.decoder.layers.{layer}.{part}"] for part in ("w_x", "w_h", "bias"))
            i, f, g, o = np.split(v @ of_x + states[2 * layer + 1] @ of_h + bias, 4, axis=1)
            states[2 * layer] = sigmoid(f + 1) * states[2 * layer] + sigmoid(i) * np.tanh(g)
            states[2 * layer + 1] = v = sigmoid(o) * np.tanh(states[2 * layer])
        logits = v @ w["said.decoder.output.weight"].T + w["said.decoder.output.bias"]
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        nats -= log_p[np.arange(B), x[:, t]].mean()
        before = np.eye(SMALL.depth)[x[:, t]]
    return nats


def test_the_seeds_settings():
    model, train = LC["lc-cat-mel_2bar_big"].model, LC["lc-cat-mel_2bar_big"].train
    assert (model.z_size, model.encoded_z_size, model.dec_rnn_size) == (512, 8, (128, 128))
    assert (model.max_beta, model.beta_rate, model.free_bits) == (0.5, 0.99999, 0.0)
    assert (model.sampling_schedule, model.sampling_rate) == ("inverse_sigmoid", 1000.0)
    assert (train.batch_size, train.num_steps) == (2, 1000)
