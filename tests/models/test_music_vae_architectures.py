"""Every architecture against `slow_music_vae`: its loss and all its gradients. And what it says, by itself,
against what it says when it is told the same.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from slow_music_vae import SlowMusicVAE

from kikibouba.data.layout import Layout, Part, one_hot
from kikibouba.interop.magenta_tf import music_vae_from_tf, music_vae_to_tf
from kikibouba.models.base import Batch
from kikibouba.models.music_vae.columns import Columns
from kikibouba.models.music_vae.decoders import Draw
from kikibouba.models.music_vae.hyperparameters import ModelConfig
from kikibouba.models.music_vae.model import MusicVAE, build, time_first
from kikibouba.models.music_vae.stack import Noise, in_time

STEPS, BATCH = 12, 3


@dataclass(frozen=True)
class Music:
    """A representation that is nothing but a layout."""

    layout: Layout
    steps: int = STEPS
    kind: str = "music"


def padded(column: int, depth: int) -> Part:
    return Part(column, column + 1, np.eye(depth + 1, depth, dtype=np.float32))


LABELS = Music(Layout((one_hot(0, 5),), (one_hot(0, 5),)))
CHORDS = Music(Layout((one_hot(0, 5),), (one_hot(0, 5),), (padded(1, 3), padded(2, 2))))
TRIO = Music(Layout(*[(one_hot(0, 3), one_hot(1, 4), one_hot(2, 5))] * 2))
TRACKS = Music(Layout((padded(0, 6),), (padded(0, 6),), (padded(1, 3),), padding=6, end=5))
BIT_TABLE = (np.arange(8)[:, None] >> np.arange(3) & 1).astype(np.float32)
ROLL_TABLE = np.column_stack([BIT_TABLE, np.arange(8) == 0]).astype(np.float32)
BIT_LABELS = Music(Layout((Part(0, 1, ROLL_TABLE),), (Part(0, 1, BIT_TABLE),)))
BITS = Music(Layout((Part(0, 4, adds_none=True),), (Part(0, 4),)))
GROOVE = Music(Layout((Part(0, 6),), (Part(6, 12),), (Part(6, 8),)))

SIZES = {"z_size": 3, "enc_rnn_size": (4,), "dec_rnn_size": (4, 3), "max_beta": 0.7, "nade_num_hidden": 5}
DEEP = {**SIZES, "enc_rnn_size": (4, 3, 3), "dec_rnn_size": (4, 4, 3)}
RESIDUAL = {**DEEP, "residual_encoder": True, "residual_decoder": True}
HIER = {"decoder_level_lengths": (3, 4)}
CASES = {
    "flat": (ModelConfig(**DEEP), LABELS),
    "residual": (ModelConfig(**RESIDUAL), CHORDS),
    "lstm encoder": (ModelConfig(**DEEP, encoder="lstm"), LABELS),
    "residual lstm encoder": (ModelConfig(**RESIDUAL, encoder="lstm"), LABELS),
    "several outputs": (ModelConfig(**SIZES), TRIO),
    "split": (ModelConfig(**SIZES, decoder="split"), TRIO),
    "hierarchical": (ModelConfig(**SIZES, **HIER, encoder_level_lengths=(4, 3)), CHORDS),
    "three levels": (
        ModelConfig(**DEEP, decoder_level_lengths=(2, 3, 2), encoder_level_lengths=(2, 3, 2)),
        LABELS,
    ),
    "residual hierarchical": (ModelConfig(**RESIDUAL, **HIER, encoder_level_lengths=(6, 2)), LABELS),
    "hierarchical lstm encoder": (ModelConfig(**SIZES, encoder="lstm", encoder_level_lengths=(4, 3)), LABELS),
    "autoregressive": (ModelConfig(**DEEP, **HIER, autoregressive=True), CHORDS),
    "autoregressive, three levels": (
        ModelConfig(**RESIDUAL, decoder_level_lengths=(2, 3, 2), autoregressive=True),
        LABELS,
    ),
    "autoregressive split": (ModelConfig(**SIZES, **HIER, decoder="split", autoregressive=True), TRIO),
    "hierarchical split": (ModelConfig(**SIZES, **HIER, decoder="split"), TRIO),
    "tracks": (ModelConfig(**SIZES, **HIER, encoder_level_lengths=(4, 3)), TRACKS),
    "nade from labels": (ModelConfig(**SIZES, decoder="nade", free_bits=0.3), BIT_LABELS),
    "nade from bits": (ModelConfig(**SIZES, decoder="nade"), BITS),
    "groove": (ModelConfig(**SIZES, decoder="groove", free_bits=0.3), GROOVE),
}


def some_columns(music: Music, g: torch.Generator) -> torch.Tensor:
    """Random examples [B, T, K]."""
    parts = [*music.layout.inputs, *music.layout.outputs, *music.layout.controls]
    columns: dict[int, torch.Tensor] = {}
    for part in parts:
        for column in range(part.start, part.stop):
            shape = BATCH, music.steps
            if part.table is not None:
                columns[column] = torch.randint(part.table.shape[1], shape, generator=g)
                if music is BIT_LABELS:
                    columns[column] = torch.randint(8, shape, generator=g)
            elif music is BITS or (music is GROOVE and 6 <= column < 8):
                columns[column] = torch.randint(2, shape, generator=g).float()
            else:
                columns[column] = torch.rand(shape, generator=g)
    x = torch.stack([columns[column] for column in sorted(columns)], -1)
    if music is TRACKS:  # three tracks of 1 … 4 labels, the last of them the end
        for b, t in np.ndindex(BATCH, 3):
            end = int(torch.randint(1, 5, (), generator=g))
            x[b, 4 * t : 4 * t + 4, 0].clamp_(max=4)
            x[b, 4 * t + end - 1, 0] = 5
            x[b, 4 * t + end : 4 * t + 4] = torch.tensor([6, 3])
    return x


@pytest.fixture(params=CASES)
def case(request) -> tuple[MusicVAE, Music, Batch]:
    """A model with weights large enough to hide no mistake, and a batch."""
    config, music = CASES[request.param]
    g = torch.Generator().manual_seed(0)
    model = build(config, music)
    with torch.no_grad():
        for param in model.parameters():
            param.normal_(std=0.6, generator=g)
    lengths = torch.full((BATCH,), STEPS)
    if not config.decoder_level_lengths and not config.encoder_level_lengths:
        lengths = torch.tensor([STEPS, 7, 1])
    return model, music, Batch(some_columns(music, g), lengths)


def features(parts, x: torch.Tensor) -> torch.Tensor:
    return Columns(parts).features(x).double() if parts else x.new_zeros((*x.shape[:2], 0)).double()


def test_loss_and_gradients_are_those_of_plain_code(case):
    model, music, batch = case
    layout = music.layout
    eps = torch.randn(BATCH, 3, generator=torch.Generator().manual_seed(1))
    loss = model.loss_from_noise(batch, 5, eps)["loss"]
    loss.backward()
    variables = {
        name: torch.tensor(value).double().requires_grad_()
        for name, value in music_vae_to_tf(model.state_dict()).items()
    }
    slow = SlowMusicVAE(variables, model.config, [part.width for part in layout.outputs])
    real = model._real(time_first(batch.x), batch.lengths).t()
    seen = [features(parts, batch.x) for parts in (layout.inputs, layout.outputs, layout.controls)]
    expected = slow.loss(*seen, real, eps.double(), model.config.max_beta)
    expected.backward()
    torch.testing.assert_close(loss.double(), expected, rtol=2e-6, atol=1e-6)
    gradients = music_vae_to_tf({name: p.grad for name, p in model.named_parameters()})
    for name, value in variables.items():
        wanted = torch.zeros_like(value) if value.grad is None else value.grad
        got = torch.tensor(gradients[name]).double()
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=2e-6, msg=name)


def test_weights_survive_the_originals_names(case):
    model, _, _ = case
    state = model.state_dict()
    back = music_vae_from_tf(music_vae_to_tf(state))
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], value) for name, value in state.items())


def test_what_is_said_is_what_the_outputs_given_it_say(case):
    """Greedy decoding step by step, and all at once given what was said."""
    model, music, batch = case
    z = torch.randn(BATCH, 3, generator=torch.Generator().manual_seed(2))
    controls = batch.x[..., [c for part in music.layout.controls for c in range(part.start, part.stop)]]
    said, _ = model.decode(z, 0.0, controls=controls)
    said = said if said.ndim == 3 else said[..., None]
    x = time_first(said)[..., : said.shape[-1] - controls.shape[-1]]
    told = time_first(controls)
    raw, _ = model.decoder(z, model.decoder.shift_right(x), told)
    raw = in_time(raw, BATCH) if model.config.decoder_level_lengths else raw
    again = torch.stack([model.decoder.head.draw(row, None) for row in raw])
    if music.layout.padding is not None:
        again = torch.where(x == music.layout.padding, x, again)
    torch.testing.assert_close(again.to(x.dtype), x, rtol=0, atol=1e-5)


def test_a_draw_depends_on_the_generator_alone(case):
    model, _, _ = case
    z = torch.randn(BATCH, 3, generator=torch.Generator().manual_seed(2))
    a, b, c = (model.decode(z, 1.0, torch.Generator().manual_seed(seed))[0] for seed in (5, 5, 6))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_dropout_that_drops_nothing_changes_nothing(case):
    """It multiplies features where else they are looked up."""
    model, _, batch = case
    eps = torch.zeros(BATCH, 3)
    almost_one = Noise(keep=1 - 1e-9, generator=torch.Generator().manual_seed(0))
    expected = model.loss_from_noise(batch, 5, eps)
    for name, value in model.loss_from_noise(batch, 5, eps, almost_one).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-5)


def test_dropout_is_noise_of_the_generator_and_only_in_training(case):
    model, _, batch = case
    model.config = ModelConfig(dropout_keep_prob=0.5, z_size=3)
    losses = [model.loss(batch, 5, torch.Generator().manual_seed(seed))["r_loss"] for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]
    eps = torch.randn((BATCH, 3), generator=torch.Generator().manual_seed(0))
    assert model.eval().loss(batch, 5, torch.Generator().manual_seed(0))["r_loss"] == pytest.approx(
        model.loss_from_noise(batch, 5, eps)["r_loss"].item()
    )


def test_low_precision_is_near_full_precision(case):
    """Under autocast, with what is drawn and dropped on the way."""
    model, _, batch = case
    eps = torch.randn(BATCH, 3, generator=torch.Generator().manual_seed(1))
    expected = model.loss_from_noise(batch, 5, eps)["loss"]
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss_from_noise(batch, 5, eps)["loss"]
        noise = Noise(0.8, 0.5, torch.Generator().manual_seed(0))
        disturbed = model.loss_from_noise(batch, 5, eps, noise)["loss"]
    torch.testing.assert_close(loss, expected, rtol=0.03, atol=0.03)
    disturbed.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_scheduled_sampling_in_every_architecture(case):
    """Inputs are replaced, the loss has a gradient, and at probability 0 it is the teacher-forced one."""
    model, _, batch = case
    eps = torch.zeros(BATCH, 3)
    noise = Noise(sampling_probability=1.0, generator=torch.Generator().manual_seed(0))
    loss = model.loss_from_noise(batch, 5, eps, noise)["loss"]
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    assert loss.item() != pytest.approx(model.loss_from_noise(batch, 5, eps)["loss"].item(), rel=1e-4)


@pytest.mark.parametrize("name", ["hierarchical split", "tracks", "nade from bits", "groove"])
def test_learns_a_batch_by_heart(name):
    """Random examples, so that all of them must pass through z."""
    config, music = CASES[name]
    torch.manual_seed(0)
    sizes = {"z_size": 12, "enc_rnn_size": (24,), "dec_rnn_size": (32,), "max_beta": 0.0, "free_bits": 0.0}
    model = build(replace(config, latent_init="clear", **sizes), music)
    x = some_columns(music, torch.Generator().manual_seed(0))
    batch = Batch(x, torch.full((BATCH,), STEPS))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for step in range(150):
        optimizer.zero_grad()
        parts = model.loss(batch, step, torch.Generator().manual_seed(step))
        parts["loss"].backward()
        optimizer.step()
    assert parts["accuracy"] == 1.0
    controls = x[..., [c for part in music.layout.controls for c in range(part.start, part.stop)]]
    said, _ = model.decode(model.encode(*batch).mu, 0.0, controls=controls)
    if name == "groove":
        torch.testing.assert_close(said[..., :2], x[..., 6:8])
        assert (said[..., 2:6] - x[..., 8:12]).abs().mean() < 0.15
    else:
        assert torch.equal(said.to(x.dtype), x)


def test_tracks_end_at_their_end_token_unless_they_run_on():
    config, music = CASES["tracks"]
    model = build(config, music)
    with torch.no_grad():
        for param in model.parameters():
            param.normal_(std=0.6, generator=torch.Generator().manual_seed(3))
    z = torch.randn(20, 3, generator=torch.Generator().manual_seed(2))
    stopped, lengths = model.decode(z, 1.0, torch.Generator().manual_seed(1))
    tracks = stopped[..., 0].unflatten(1, (3, 4))
    for track in tracks.flatten(0, 1).tolist():
        end = track.index(5) if 5 in track else 3
        assert 6 not in track[: end + 1]
        assert set(track[end + 1 :]) <= {6}
    assert lengths.tolist() == [STEPS] * 20
    said = music.layout.outputs
    assert stopped.shape[-1] == len(said) + 1
    running, _ = model.decode(z, 1.0, torch.Generator().manual_seed(1), stops=False)
    assert (running[..., 0] < 6).all()
    assert (tracks == 6).any()


def test_sampled_shares_are_the_heads_probabilities():
    """One step, the same z 20,000 times: what is drawn follows the raw outputs, at any temperature."""
    for name in ("flat", "nade from bits", "groove"):
        config, music = CASES[name]
        model = build(config, music)
        with torch.no_grad():
            for param in model.parameters():
                param.normal_(std=0.8, generator=torch.Generator().manual_seed(3))
        z = torch.ones(1, 3).expand(20_000, -1)
        width = sum(part.stop - part.start for part in music.layout.controls)
        controls = torch.zeros(1, 20_000, width)
        said, _ = model.decoder.generate(z, controls, Draw(0.7, torch.Generator().manual_seed(1)))
        start = model.decoder.start(1, z.device)
        raw, _ = model.decoder(z[:1], start[None], controls[:, :1])
        if name == "flat":
            expected = (raw[0, 0] / 0.7).softmax(0)
            shares = said[0, :, 0].bincount(minlength=5) / 20_000
        elif name == "groove":
            hits, velocities, offsets = raw[0, 0].chunk(3)
            expected = torch.cat([torch.sigmoid(hits / 0.7), torch.sigmoid(velocities), torch.tanh(offsets)])
            shares = said[0].mean(0)
        else:  # the first bit depends on no other
            hidden = config.nade_num_hidden
            b_enc, b_dec = raw[0, 0, :hidden], raw[0, 0, hidden:]
            expected = torch.sigmoid(
                (b_dec[0] + torch.sigmoid(b_enc) @ model.decoder.head.nade.w_dec[0]) / 0.7
            )
            shares = said[0, :, 0].mean()
        torch.testing.assert_close(shares, expected, rtol=0, atol=0.02)
