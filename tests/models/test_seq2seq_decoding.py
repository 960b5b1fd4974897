"""Decoding obeys the grammar whatever the weights, and beam search finds what an exhaustive search finds."""

import itertools

import numpy as np
import pytest
import torch

from kikibouba.data.event_tokens import BAR, END, EventVocabulary, Kind
from kikibouba.models.seq2seq.config import ModelConfig
from kikibouba.models.seq2seq.decoding import say, search
from kikibouba.models.seq2seq.model import Seq2Seq

VOCABULARY = EventVocabulary(velocity_bins=4, longest=8)
BARS = 2
CONFIG = ModelConfig(embedding_size=8, units=12, dropout=0.0)


def wild(seed, grammar=True, vocabulary=VOCABULARY.size, scale=2.0, **fields):
    """An untrained network of strong opinions."""
    torch.manual_seed(seed)
    config = ModelConfig(**{"embedding_size": 8, "units": 12, "dropout": 0.0, **fields})
    model = Seq2Seq(config, vocabulary, VOCABULARY.grammar(BARS) if grammar else None).eval()
    for weight in model.parameters():
        weight.data *= scale
    return model


SOURCE = torch.tensor([[3, 30, 60, 3, 9], [3, 3, 0, 0, 0], [3, 40, 50, 3, 0]])
LENGTHS = torch.tensor([5, 2, 4])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("longest", [7, 12, 60])
def test_nothing_illegal_comes_out(seed, longest):
    model, grammar = wild(seed), VOCABULARY.grammar(BARS)
    for temperature, top_p in ((0.0, 1.0), (3.0, 1.0), (1.0, 0.8)):
        generator = torch.Generator().manual_seed(seed)
        for said in say(
            model, SOURCE, LENGTHS, longest, temperature=temperature, top_p=top_p, generator=generator
        ):
            assert grammar.violation(np.append(said.symbols, END)) is None
            assert len(said.symbols) < longest
    said = search(model, SOURCE[0], longest, beam=4)
    assert grammar.violation(np.append(said.symbols, END)) is None
    assert len(said.symbols) < longest


def test_every_legal_sentence_is_allowed():
    """The mask allows whatever the grammar has no objection to, step by step."""
    mask, grammar = wild(0).grammar, VOCABULARY.grammar(BARS)
    rng = np.random.default_rng(0)
    for _ in range(20):
        state, sentence = mask.begin(1), []
        while not sentence or sentence[-1] != END:
            allowed = mask.allowed(state, room=10**6)[0].numpy()
            for symbol in rng.choice(VOCABULARY.size, 20):
                trial = grammar.violation(np.array([*sentence, symbol]))
                assert allowed[symbol] == (trial is None or trial == "it does not end"), (sentence, symbol)
            options = np.flatnonzero(allowed)
            sentence.append(int(rng.choice(options if rng.random() < 0.7 else options[:1])))
            state = mask.advance(state, torch.tensor(sentence[-1:]))
        assert grammar.violation(np.array(sentence)) is None


def test_looks_are_where_the_source_is():
    model = wild(1)
    for said, length in zip(say(model, SOURCE, LENGTHS, 40), LENGTHS.tolist(), strict=True):
        assert said.looks.shape == (len(said.symbols), length)
        np.testing.assert_allclose(said.looks.sum(1), 1, atol=1e-5)
    found = search(model, SOURCE[0], 40, beam=3)
    assert found.looks.shape == (len(found.symbols), 5)
    assert say(wild(1, attention="none"), SOURCE, LENGTHS, 40)[0].looks.shape[1] == 0
    assert search(wild(1, attention="none"), SOURCE[0], 40, beam=2).looks.shape[1] == 0


def test_a_beam_of_one_is_greedy():
    for seed in range(5):
        model = wild(seed)
        greedy = say(model, SOURCE[:1], LENGTHS[:1], 30)[0]
        found = search(model, SOURCE[0], 30, beam=1, length_penalty=0.0)
        # A beam may stop at an end that scores better than what greedy goes on with.
        assert found.log_prob >= greedy.log_prob - 1e-4
    model = wild(0, scale=1.0)
    tiny = BARS + 5  # room for the bar lines, one note and the end
    np.testing.assert_array_equal(
        search(model, SOURCE[0], tiny, beam=1).symbols, say(model, SOURCE[:1], LENGTHS[:1], tiny)[0].symbols
    )


def test_a_wide_beam_finds_what_an_exhaustive_search_finds():
    vocabulary, longest = 6, 4  # symbols 3, 4, 5 and END
    for seed, penalty in itertools.product(range(4), (0.0, 1.0)):
        model = wild(seed, grammar=False, vocabulary=vocabulary, scale=1.5)
        source = torch.tensor([3, 4])
        best, words = -np.inf, ()
        for n in range(longest):
            for sentence in itertools.product((3, 4, 5), repeat=n):
                log_p = sentence_log_prob(model, source, sentence)
                if log_p / (n + 1) ** penalty > best:
                    best, words, best_log_p = log_p / (n + 1) ** penalty, sentence, log_p
        found = search(model, source, longest, beam=200, length_penalty=penalty)
        assert tuple(found.symbols) == words
        assert found.log_prob == pytest.approx(best_log_p, abs=1e-4)


@torch.no_grad()
def sentence_log_prob(model, source, sentence):
    memory, state = model.read(source[None], torch.tensor([len(source)]))
    told = torch.tensor([[1, *sentence]])
    logits = model.logits(model.teacher_forced(told, memory, state))[0]
    logits[:, :2] = -torch.inf  # PAD and START are never said
    return float(logits.log_softmax(-1)[range(len(sentence) + 1), [*sentence, END]].sum())


def test_a_beginning_is_kept_and_costs_nothing():
    model = wild(3)
    position, pitch, duration, velocity = VOCABULARY.first[Kind.POSITION : Kind.STYLE].tolist()
    prefix = np.array([BAR, position + 2, pitch + 60, duration + 3, velocity + 1, BAR])
    nothing = prefix[:0]
    said = say(model, SOURCE, LENGTHS, 40, prefix=[prefix, nothing, prefix[:2]])
    np.testing.assert_array_equal(said[0].symbols[:6], prefix)
    np.testing.assert_array_equal(said[2].symbols[:2], prefix[:2])
    alone = say(model, SOURCE[1:2, :2], LENGTHS[1:2], 40)[0]
    np.testing.assert_array_equal(said[1].symbols, alone.symbols)
    assert said[1].log_prob == pytest.approx(alone.log_prob, abs=1e-4)
    found = search(model, SOURCE[0], 40, beam=3, prefix=prefix)
    np.testing.assert_array_equal(found.symbols[:6], prefix)


def test_a_small_nucleus_is_greedy_and_draws_follow_the_generator():
    model = wild(2, scale=1.0)
    greedy = say(model, SOURCE, LENGTHS, 40)
    nucleus = say(model, SOURCE, LENGTHS, 40, temperature=1.0, top_p=1e-6)
    for one, other in zip(greedy, nucleus, strict=True):
        np.testing.assert_array_equal(one.symbols, other.symbols)

    def draw(seed):
        generator = torch.Generator().manual_seed(seed)
        return [
            s.symbols.tolist() for s in say(model, SOURCE, LENGTHS, 40, temperature=1.0, generator=generator)
        ]

    assert draw(0) == draw(0) != draw(1)
