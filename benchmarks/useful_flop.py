"""How much arithmetic a MusicVAE's training step cannot do without.

Counted are the matrix products: recurrences (none for a zero state), the inputs of upper layers, z, mu,
sigma, first states and raw outputs, each once forwards and twice backwards. Looking up a label's row, gate
functions and everything else count as nothing.
"""

from collections.abc import Sequence

from kikibouba.models.music_vae.decoders import Decoder, HierarchicalDecoder, LSTMDecoder, SplitDecoder
from kikibouba.models.music_vae.encoders import BidirectionalEncoder, Encoder, HierarchicalEncoder
from kikibouba.models.music_vae.heads import NadeHead
from kikibouba.models.music_vae.model import MusicVAE
from kikibouba.models.music_vae.stack import StackLayer


def useful_flop(model: MusicVAE, batch_size: int) -> int:
    """Floating-point operations (a multiply-add is two) of one training step."""
    products = of_decoder(model.decoder, model.steps)
    if model.encoder is not None:
        read = numbers_in([*model.layout.inputs, *model.layout.controls])
        products += of_encoder(model.encoder, model.steps, read)
        products += model.encoder.mu.weight.numel() + model.encoder.sigma.weight.numel()
    return 3 * 2 * batch_size * products


def of_encoder(encoder: Encoder, steps: int, read: int) -> int:
    """Multiply-adds to sum up one example, whose steps are `read` numbers each (labels do not count)."""
    if isinstance(encoder, HierarchicalEncoder):
        products, segments = 0, steps
        for level, length in zip(encoder.levels, encoder.level_lengths, strict=True):
            segments //= length
            products += segments * of_encoder(level, length, read)
            read = level.size
        return products
    if isinstance(encoder, BidirectionalEncoder):
        both = encoder.forward_layers, encoder.backward_layers
        return sum(of_stack(layers, steps, read, first_step=1) for layers in both)
    return of_stack(encoder.layers, steps, read, first_step=1)  # type: ignore[arg-type]


def of_decoder(decoder: Decoder, steps: int) -> int:
    """Multiply-adds to say one example of so many steps."""
    if isinstance(decoder, SplitDecoder):
        return sum(of_decoder(part, steps) for part in decoder.parts)
    if isinstance(decoder, HierarchicalDecoder):
        products, count = 0, 1
        for conductor, length in zip(decoder.conductors, decoder.level_lengths, strict=True):
            heard = conductor.layers[0].input_width if decoder.autoregressive else 0
            once = conductor.initial_state.weight.numel()
            products += count * (once + of_stack(conductor.layers, length, heard))
            count *= length
        return products + count * of_decoder(decoder.core, decoder.segment_steps)
    assert isinstance(decoder, LSTMDecoder)
    read = numbers_in([*decoder.said.parts, *decoder.controls.parts])
    z_size = decoder.initial_state.in_features
    products = decoder.initial_state.weight.numel() + z_size * 4 * decoder.sizes[0]
    products += of_stack(decoder.layers, steps, read) + steps * decoder.output.weight.numel()
    if isinstance(decoder.head, NadeHead):
        products += 2 * steps * decoder.head.nade.w_enc.numel()
    return products


def of_stack(layers: Sequence[StackLayer], steps: int, read: int, first_step: int = 0) -> int:
    """Multiply-adds of a stack over some steps, each of `read` numbers; recurrences start at `first_step`."""
    products = 0
    for k, layer in enumerate(layers):
        width = read if k == 0 else layer.input_width
        products += steps * width * layer.entry()[0].shape[1]
        if layer.projection is not None:
            products += steps * layer.w_x.numel()
        products += (steps - first_step) * layer.w_h.numel()
    return products


def numbers_in(parts: Sequence) -> int:
    """How many features of these parts of an example are numbers."""
    return sum(part.width for part in parts if part.table is None)
