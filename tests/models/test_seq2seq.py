"""Sequence to sequence: two ways to compute it agree, it learns toy tasks, and attention helps."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kikibouba.data.event_tokens import END, PAD, START, Steps
from kikibouba.data.pairs_restyle import RestyleRepresentation
from kikibouba.data.pairs_windows import join
from kikibouba.errors import KikiboubaError
from kikibouba.models.base import Batch
from kikibouba.models.seq2seq import back_translation
from kikibouba.models.seq2seq.clock import Clock
from kikibouba.models.seq2seq.config import ModelConfig
from kikibouba.models.seq2seq.decoding import say, search
from kikibouba.models.seq2seq.model import Seq2Seq, build

V = 11
SMALL = {"embedding_size": 8, "units": 12, "dropout": 0.0, "label_smoothing": 0.0}


def network(**fields):
    torch.manual_seed(1)
    return Seq2Seq(ModelConfig(**{**SMALL, **fields}), V).eval()


def toy_batch(rng, rows, backwards, lengths=(4, 7)):
    """Sources of symbols 3 … V - 1, and as targets the same, or the same backwards."""
    length = rng.integers(lengths[0], lengths[1] + 1, rows)
    longest = int(length.max())
    x = np.zeros((rows, 2 * longest + 2), np.int64)
    for row, n in zip(x, length.tolist(), strict=True):
        symbols = rng.integers(3, V, n)
        row[:n], row[longest] = symbols, 1
        row[longest + 1 : longest + 1 + n] = symbols[::-1] if backwards else symbols
        row[longest + 1 + n] = 2
    return Batch(torch.from_numpy(x), torch.from_numpy(np.stack([length, length + 2], 1)))


@pytest.mark.parametrize("attention", ["general", "dot", "concat", "none"])
@pytest.mark.parametrize("layers", [1, 2])
def test_all_steps_at_once_equal_one_by_one(attention, layers):
    model = network(attention=attention, input_feeding=False, encoder_layers=layers, decoder_layers=layers)
    batch = toy_batch(np.random.default_rng(0), 5, False)
    memory, state = model.read(batch.x[:, :7], batch.lengths[:, 0])
    told = torch.randint(0, V, (5, 6))
    together = model.teacher_forced(told, memory, state)
    entry = model.entry()
    for t in range(6):
        attended, _, state = model.step(told[:, t], entry[told[:, t]], state, memory)
        torch.testing.assert_close(attended, together[:, t], atol=1e-5, rtol=1e-5)


MUSIC = RestyleRepresentation(styles=("folk", "pop"), bars=2)


def musical(**fields):
    """An untrained model that knows the time, and a batch of sketches and tunes for it."""
    torch.manual_seed(2)
    model = build(ModelConfig(**SMALL, attention_by_time=True, **fields), MUSIC).eval()
    rng, vocabulary = np.random.default_rng(0), MUSIC.vocabulary
    arrays = []
    for n in (3, 9, 6):
        notes = Steps(rng.integers(0, 32, n), rng.integers(50, 70, n), rng.integers(1, 9, n), np.full(n, 80))
        arrays.append(join(np.array([vocabulary.style(n % 2)]), vocabulary.encode(notes, 2)))
    return model, Batch(*(torch.from_numpy(part.astype(np.int64)) for part in MUSIC.collate(arrays)))


def test_a_clock_tells_the_time_of_symbols():
    clock, vocabulary = Clock(MUSIC.vocabulary, MUSIC.bars), MUSIC.vocabulary
    notes = Steps(*np.array([[0, 4, 20, 20], [60, 62, 60, 64], [2, 2, 4, 4], [80] * 4]))
    sentence = np.concatenate([[vocabulary.style(1), START], vocabulary.encode(notes, 2)])
    expected = [0, 0, 16, 16, 16, 16, 20, 20, 20, 32, 36, 36, 36, 36, 36]
    symbols = torch.from_numpy(np.stack([sentence, sentence]))
    assert clock.times(symbols).tolist() == [expected, expected]
    time = clock.begin(2)
    for step, wanted in zip(symbols.t(), expected, strict=True):
        time = clock.after(time, step)
        assert time.tolist() == [wanted, wanted]


@pytest.mark.parametrize("feeding", [True, False])
def test_attention_by_time_is_the_same_step_by_step(feeding):
    model, batch = musical(input_feeding=feeding)
    source, target = batch.x.split([int(n) for n in batch.lengths.amax(0)], dim=1)
    memory, state = model.read(source, batch.lengths[:, 0])
    together = model.teacher_forced(target, memory, state)
    for t in range(target.shape[1]):
        gates = model.entry()[target[:, t]]
        attended, _, state = model.step(target[:, t], gates, state, memory)
        torch.testing.assert_close(attended, together[:, t], atol=1e-5, rtol=1e-5)
    alone = source[:1, : int(batch.lengths[0, 0])]
    for said in (say(model, source, batch.lengths[:, 0], 60)[0], search(model, alone[0], 60, beam=3)):
        memory, state = model.read(alone, batch.lengths[:1, 0])
        for told, looks in zip([START, *said.symbols[:-1].tolist()], said.looks, strict=True):
            gates = model.entry()[[told]]
            _, weights, state = model.step(torch.tensor([told]), gates, state, memory)
            torch.testing.assert_close(weights[0], torch.from_numpy(looks), atol=1e-5, rtol=1e-4)


def test_untrained_attention_by_time_looks_where_it_is():
    model, batch = musical()
    model.attention.to_keys.weight.data.zero_()
    source = batch.x[1:2, : int(batch.lengths[1, 0])]
    said = say(model, source, batch.lengths[1:2, 0], 60)[0]
    clock = model.clock
    now = clock.times(torch.from_numpy(np.append(START, said.symbols[:-1]))[None])[0]
    distance = (clock.times(source)[0][None] - now[:, None]).abs()
    looked = torch.from_numpy(said.looks)
    assert ((looked * distance).sum(1) < distance.float().mean(1)).all()


@pytest.mark.parametrize(
    "fields", [{}, {"attention_window": 2}, {"bidirectional": False, "reverse_source": True}]
)
def test_an_example_does_not_feel_the_others_padding(fields):
    model = network(**fields)
    batch = toy_batch(np.random.default_rng(2), 6, True)
    nlls, counts = [], (batch.lengths[:, 1] - 1).float()
    for row in range(6):
        s, t = batch.lengths[row].tolist()
        longest = int(batch.lengths[:, 0].max())
        x = torch.cat([batch.x[row, :s], batch.x[row, longest : longest + t]])[None]
        nlls.append(model.loss(Batch(x, batch.lengths[row : row + 1]), 0)["nll"])
    together = model.loss(batch, 0)["nll"]
    torch.testing.assert_close(together, (torch.stack(nlls) * counts).sum() / counts.sum())


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("backwards", [True, False])
def test_what_each_place_of_the_memory_knows(bidirectional, backwards):
    model = network(bidirectional=bidirectional, reverse_source=backwards)
    source = torch.tensor([[3, 4, 5, 6, 7]])
    other = torch.tensor([[3, 4, 9, 6, 7]])
    lengths = torch.tensor([5])
    changed = (model.encoder(source, lengths)[0] != model.encoder(other, lengths)[0]).any(-1)[0].tolist()
    ahead, back = [False, False, True, True, True], [True, True, True, False, False]
    assert changed == ([True] * 5 if bidirectional else back if backwards else ahead)


def test_input_feeding_is_a_switch():
    told = torch.tensor([[1, 3, 4]])
    outputs = []
    for feeding in (True, False):
        model = network(input_feeding=feeding)
        memory, state = model.read(torch.tensor([[3, 4]]), torch.tensor([2]))
        entry = model.entry()
        _, _, after = model.step(told[:, 0], entry[told[:, 0]], state, memory)
        fed = model.step(told[:, 1], entry[told[:, 1]], after, memory)[0]
        unfed = after._replace(feed=torch.zeros_like(after.feed))
        blank = model.step(told[:, 1], entry[told[:, 1]], unfed, memory)[0]
        outputs.append(torch.equal(fed, blank))
    assert outputs == [False, True]


def test_scheduled_sampling_replaces_what_is_told():
    model = network(own_symbols=0.5, own_symbols_steps=10)
    assert [model.config.own_share(step) for step in (0, 5, 10, 99)] == [0.0, 0.25, 0.5, 0.5]
    batch = toy_batch(np.random.default_rng(0), 8, False)
    memory, state = model.read(batch.x[:, :7], batch.lengths[:, 0])
    told = torch.full((8, 12), 3)

    def hear(own, seed=0):
        return model.teacher_forced(told, memory, state, own, torch.Generator().manual_seed(seed))

    assert torch.equal(hear(0.5), hear(0.5))
    assert not torch.equal(hear(0.5), hear(0.5, seed=1))
    assert torch.equal(hear(0.5)[:, 0], hear(0.0)[:, 0])  # START is never replaced
    assert not torch.equal(hear(0.5), hear(0.0))
    assert model.loss(batch, 10)["own"] == 0  # in eval mode the truth is told
    assert model.train().loss(batch, 10)["own"] == 0.5


@pytest.mark.parametrize("feeding", [True, False])
def test_what_is_not_heard_changes_training_only(feeding):
    model, batch = musical(unheard=0.9, input_feeding=feeding)
    source, target = batch.x.split([int(n) for n in batch.lengths.amax(0)], dim=1)
    memory, state = model.read(source, batch.lengths[:, 0])
    plain, _ = musical(input_feeding=feeding)
    torch.testing.assert_close(model.loss(batch, 0)["nll"], plain.loss(batch, 0)["nll"])
    hear = model.train().teacher_forced
    some, same, others = (
        hear(target, memory, state, generator=torch.Generator().manual_seed(k)) for k in (0, 0, 1)
    )
    assert torch.equal(some, same)
    assert not torch.equal(some, others)
    model.config = replace(model.config, unheard=1 - 1e-9)
    deaf = hear(torch.full_like(target, 60), memory, state)  # a pitch, at no time
    model.config = replace(model.config, unheard=0.0)
    torch.testing.assert_close(deaf, hear(torch.full_like(target, PAD), memory, state))


def test_label_smoothing_counts_in_training_only():
    model = network(label_smoothing=0.2)
    batch = toy_batch(np.random.default_rng(0), 4, False)
    held_out, training = model.loss(batch, 0), model.train().loss(batch, 0)
    assert held_out["loss"] == held_out["nll"]
    torch.testing.assert_close(training["nll"], held_out["nll"])
    assert training["loss"] != training["nll"]


def test_bad_settings_are_named():
    with pytest.raises(KikiboubaError, match="units = 7 must be even"):
        ModelConfig(units=7)
    with pytest.raises(KikiboubaError, match="dropout = 1"):
        ModelConfig(dropout=1.0)
    with pytest.raises(KikiboubaError, match="attention_window = 0"):
        ModelConfig(attention_window=0)


def learn(attention, backwards, steps=220):
    """Train on a toy task; the share of symbols that are right when it hears only itself."""
    torch.manual_seed(0)
    fields = {"embedding_size": 16, "units": 40, "attention": attention, "input_feeding": False}
    model = Seq2Seq(ModelConfig(**{**SMALL, **fields}), V)
    optimizer = torch.optim.Adam(model.parameters())
    rng = np.random.default_rng(0)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.012 * min(1.0, 2.5 * (1 - step / steps))
        optimizer.zero_grad()
        model.loss(toy_batch(rng, 32, backwards), step)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    batch = toy_batch(np.random.default_rng(9), 200, backwards)
    longest = int(batch.lengths[:, 0].max())
    said = say(model.eval(), batch.x[:, :longest], batch.lengths[:, 0], longest + 1)
    right = total = 0
    for result, row, n in zip(said, batch.x[:, longest + 1 :], batch.lengths[:, 0].tolist(), strict=True):
        symbols = np.full(n, -1)
        symbols[: len(result.symbols)] = result.symbols[:n]
        right += int((symbols == row[:n].numpy()).sum())
        total += n
    return right / total


def test_toy_tasks_are_learnt_with_attention_and_much_less_without():
    assert learn("general", backwards=False) >= 0.99
    assert learn("general", backwards=True) >= 0.99
    assert learn("none", backwards=False) < 0.9


def styled_batch():
    """Two tunes of one bar, of styles 0 and 2 of three, with their sketches."""
    kind = RestyleRepresentation(bars=1, styles=("a", "b", "c"))
    tunes = [Steps(*np.array([[0, 4], [60, 62], [4, 4], [80, 80]])), Steps(*np.array([[2], [70], [2], [80]]))]
    arrays = [
        join(np.array([kind.vocabulary.style(style)]), kind.vocabulary.encode(tune, 1))
        for style, tune in zip((0, 2), tunes, strict=True)
    ]
    x, lengths = (torch.from_numpy(part.astype(np.int64)) for part in kind.collate(arrays))
    return kind, Batch(x, lengths)


def test_back_translation_keeps_targets_and_says_sources_in_other_styles(monkeypatch):
    kind, batch = styled_batch()
    config = ModelConfig(**SMALL, back_translation=0.999, back_translation_from=3)
    model = build(config, kind).train()
    asked = []

    def listening(model, source, *rest, **how):
        asked.append(source)
        return say(model, source, *rest, **how)

    monkeypatch.setattr(back_translation, "say", listening)
    turned = back_translation.back_translated(model, batch, model.styles, torch.Generator().manual_seed(0))
    first, width = int(turned.lengths[:, 0].max()), int(batch.lengths[:, 1].max())
    assert torch.equal(turned.x[:, first:], batch.x[:, -width:])
    assert torch.equal(turned.lengths[:, 1], batch.lengths[:, 1])
    assert torch.equal(turned.x[:, 0], batch.x[:, 0])  # the style that is wanted back
    assert all(style in model.styles for style in asked[0][:, 0].tolist())
    assert (asked[0][:, 0] != batch.x[:, 0]).all()
    for row, (length, _) in zip(turned.x, turned.lengths.tolist(), strict=True):
        sentence = np.append(row[1:length].numpy(), END)
        assert kind.vocabulary.grammar(1).violation(sentence) is None
    assert model.training
    asked.clear()
    model.loss(batch, 2, torch.Generator().manual_seed(0))
    assert not asked
    model.loss(batch, 3, torch.Generator().manual_seed(0))["loss"].backward()
    assert len(asked) == 1
    model.eval().loss(batch, 3)
    assert len(asked) == 1
