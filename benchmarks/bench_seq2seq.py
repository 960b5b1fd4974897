"""How fast sequence-to-sequence models train, beside one large matrix product, and how fast they speak.

    python benchmarks/bench_seq2seq.py [arrange_small] [arrange] [--seconds 20]

One thread, and its CPU time, so that a busy machine matters little. A training step is loss, backward pass,
clipping and Adam on a fixed batch of 64 sources of 64 symbols and targets of 150; steps and products
alternate, the best of each counts. Counted are the matrix products that a step cannot do without. Then an
untrained model says eight bars, window by window, taking what is likeliest, and with a beam of 5.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from kikibouba.config import load_preset
from kikibouba.data.artifacts import Tune
from kikibouba.data.event_tokens import BAR, END, START
from kikibouba.data.notes import NoteSequence, make_notes
from kikibouba.models.base import Batch
from kikibouba.models.seq2seq.model import Seq2Seq
from kikibouba.sequence_translator import Choice, SequenceTranslator
from kikibouba.train.checkpoint import build_module
from kikibouba.train.memory import keep_freed_memory
from kikibouba.train.optimizer import TensorFlowAdam, clip_global_norm

BATCH, SOURCE, TARGET = 64, 64, 150
SIZE = 2048


def useful_flop(model: Seq2Seq) -> int:
    """Floating-point operations of a training step on the batch above; a multiply-add is two."""
    h, v = model.config.units, model.vocabulary
    read = sum(
        layer.w_x.numel() + layer.w_h.numel() for layer in [*model.encoder.ahead, *(model.encoder.back or ())]
    )
    said = sum(layer.w_h.numel() for layer in model.layers) + h * v
    said += sum(layer.w_x.numel() for layer in model.layers[1:])
    if model.config.feeds_input:
        said += h * 4 * h
    if model.attention is not None:
        read += h * h
        said += 2 * SOURCE * h + model.attention.combine.weight.numel()
    return 3 * 2 * BATCH * (SOURCE * read + TARGET * said)


def training_step(model: Seq2Seq) -> Callable[[], object]:
    """One update on a fixed batch of random symbols."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(BAR, model.vocabulary, (BATCH, SOURCE + TARGET), generator=generator)
    x[:, SOURCE], x[:, -1] = START, END
    batch = Batch(x, torch.tensor([[SOURCE, TARGET]]).expand(BATCH, 2))
    optimizer = TensorFlowAdam(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        model.loss(batch, 0, generator)["loss"].backward()
        clip_global_norm(model.parameters(), 1.0, 10_000.0)
        optimizer.step()

    return step


def cpu_seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def eight_bars() -> Tune:
    """A tune of eighth notes."""
    start = np.arange(64) * 0.25
    return Tune(NoteSequence(make_notes(60 + np.arange(64) % 12, start, start + 0.25), total_time=16.0))


def report(name: str, seconds: float) -> None:
    """Print a line for each thing that is measured."""
    preset = load_preset(name)
    model = build_module(preset)
    assert isinstance(model, Seq2Seq)
    step, (a, b) = training_step(model), torch.randn(2, SIZE, SIZE)
    steps, products = [cpu_seconds(step)], [cpu_seconds(lambda: a @ b)]
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(steps) < 3:
        steps.append(cpu_seconds(step))
        products += [cpu_seconds(lambda: a @ b), cpu_seconds(lambda: a @ b)]
    rate, ceiling = useful_flop(model) / min(steps), 2 * SIZE**3 / min(products)
    share = f"{rate / 1e9:.0f} of {ceiling / 1e9:.0f} GFLOP/s, {rate / ceiling:.0%}"
    print(f"{name}: training step of {BATCH} in {min(steps):.2f} s, {share}")
    model.to_logits.bias.data[[END, BAR]] -= 3.0  # untrained, it would stop at once
    translator = SequenceTranslator(preset, model.eval(), name)
    tune = eight_bars()
    for words, choice in (("greedy", Choice()), ("beam of 5", Choice(beam=5))):
        translator.translate(tune, choice=choice)
        took = min(cpu_seconds(lambda c=choice: translator.translate(tune, choice=c)) for _ in range(3))
        symbols = sum(len(window.said.symbols) for window in translator.windows(tune, choice=choice))
        print(f"{name}: eight bars, {words}, {symbols} symbols, in {took:.2f} s")


def main() -> None:
    """Report the presets that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("presets", nargs="*", default=["arrange_small", "arrange"])
    parser.add_argument("--seconds", type=float, default=20, help="for the training steps of each preset")
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as `train.loop.fit` does
    for name in args.presets:
        report(name, args.seconds)


if __name__ == "__main__":
    main()
