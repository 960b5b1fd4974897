"""What says an example, step by step, on the strength of z.

`LSTMDecoder` says it in one go. `SplitDecoder` has one decoder for each output, none of which hears the
others. `HierarchicalDecoder` first unfolds z into one vector for each segment, by LSTMs that are called
conductors, and then lets one of the others, the core, say the segments.

All take and give examples time first: T steps, B examples, K columns. A hierarchical decoder lays segments
side by side, [steps of a segment, S B, …], wherever it can; `in_segments` brings targets to that shape.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from kikibouba.data.layout import Part
from kikibouba.models.music_vae import stack
from kikibouba.models.music_vae.columns import Columns, Tables, dense
from kikibouba.models.music_vae.heads import CategoricalHead, Head
from kikibouba.models.music_vae.stack import (
    NO_NOISE,
    Noise,
    Read,
    State,
    Steps,
    glorot_linear,
    in_time,
    latent_linear,
    run_stack,
    stack_layers,
)


class Draw(NamedTuple):
    """How a decoder chooses what it says."""

    temperature: float = 0.0
    """Divides the logits; 0 takes the likeliest."""
    generator: torch.Generator | None = None
    stops: bool = True
    """Say padding after an end token (if the layout has both), as in training. The original runs on."""


GREEDY = Draw()


class Decoder(nn.Module):
    """What all decoders have: `forward`, `generate`, and these."""

    head: Head

    def in_segments(self, x: Tensor) -> Tensor:
        """x [T, B, …] in the shape in which `forward` gives its outputs."""
        return x

    def shift_right(self, targets: Tensor) -> Tensor:
        """Targets [T, B, K] → what the decoder reads before each of them, at first the zero vector."""
        start = self.start(targets.shape[1], targets.device).to(targets.dtype)
        return torch.cat([start[None], targets[:-1]])

    def start(self, batch: int, device: torch.device) -> Tensor:
        """Columns [B, K] that stand for the zero vector."""
        raise NotImplementedError

    def generate(
        self,
        z: Tensor,
        controls: Tensor,
        draw: Draw = GREEDY,
        start: Tensor | None = None,
        voices: Sequence["Voice"] = (),
    ) -> tuple[Tensor, Tensor]:
        """See `LSTMDecoder.generate`."""
        raise NotImplementedError

    def voices(self, rows: int) -> list["Voice"]:
        """What `generate` needs to say `rows` examples side by side, to be used more than once."""
        raise NotImplementedError

    def latent_layers(self) -> list[nn.Linear]:
        """The layers by which z reaches first states."""
        return [m.initial_state for m in self.modules() if isinstance(m, InitialisedStack)]


class InitialisedStack(nn.Module):
    """An LSTM stack whose first state is made of a vector e: tanh(W e + b) holds c₀, h₀, c₁, h₁, …"""

    def __init__(self, e_size: int, input_size: int, sizes: Sequence[int], residual: bool) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.initial_state = latent_linear(e_size, self.state_size)
        self.layers = stack_layers(input_size, sizes, residual)

    @property
    def state_size(self) -> int:
        """Width of all c and h together."""
        return 2 * sum(self.sizes)

    def first_states(self, e: Tensor) -> list[State]:
        """(c, h) of each layer, [B, H], before the first step."""
        widths = [size for size in self.sizes for _ in "ch"]
        parts = torch.tanh(self.initial_state(e).float()).split(widths, dim=1)
        return list(zip(parts[::2], parts[1::2], strict=True))


class LSTMDecoder(InitialisedStack, Decoder):
    """z → p(x_t | x_<t, z, controls): at every step the stack reads [x_t-1, z, controls_t].

    Args:
        head: scores and draws.
        parts: the columns that are said, counted from 0.
        controls: the columns of the controls, counted from 0.
        z_size: Z.
        sizes: H of each layer.
        residual: see `StackLayer`.
        after_end: (end token, label that follows it for good), or None.
    """

    def __init__(
        self,
        head: Head,
        parts: Sequence[Part],
        controls: Sequence[Part],
        z_size: int,
        sizes: Sequence[int],
        residual: bool = False,
        after_end: tuple[int, int] | None = None,
    ) -> None:
        said, control_columns = Columns(parts), Columns(controls)
        super().__init__(z_size, said.width + z_size + control_columns.width, sizes, residual)
        self.said, self.controls, self.head = said, control_columns, head
        self.after_end = after_end
        self.output = glorot_linear(sizes[-1], head.size)

    def start(self, batch: int, device: torch.device) -> Tensor:
        """Columns [B, K] that stand for the zero vector."""
        return self.said.start(batch, device)

    def forward(
        self, z: Tensor, inputs: Tensor, controls: Tensor, noise: Noise = NO_NOISE
    ) -> tuple[Tensor, Tensor]:
        """Raw outputs for the head, given what was said before.

        Args:
            z: [B, Z]
            inputs: [T, B, K], see `shift_right`.
            controls: [T, B, C]
            noise: dropout, and scheduled sampling.

        Returns:
            (raw outputs [T, B, head.size], state after the last step [B, state_size]).
        """
        if noise.sampling_probability > 0:
            inputs = self.scheduled_inputs(z, inputs, controls, noise)
        x, read = inputs, self._reader(z, controls)
        if noise.keep < 1:
            x, read = self._features(z, inputs, controls), dense
        x, ends = run_stack(self.layers, read, x, self.first_states(z), noise)
        return self.output(x), torch.cat([part for state in ends for part in state], 1)

    def _tables(self, weight: Tensor) -> tuple[Tables, Tensor, Tables]:
        """A first layer's weight by what it multiplies: x, z, controls."""
        of_x, of_z, of_controls = weight.split(
            [self.said.width, self.initial_state.in_features, self.controls.width]
        )
        return self.said.tables(of_x), of_z, self.controls.tables(of_controls)

    def _entry(
        self, tables: tuple[Tables, Tensor, Tables], z: Tensor, bias: Tensor
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """[x, z, controls] @ weight + bias as a function of (x [..., B, K], controls [..., B, C])."""
        of_x, of_z, of_controls = tables
        constant = z @ of_z + bias

        def product(x: Tensor, controls: Tensor) -> Tensor:
            total = self.said.look_up(x, of_x).add_(constant)
            return total.add_(self.controls.look_up(controls, of_controls)) if of_controls else total

        return product

    def _reader(self, z: Tensor, controls: Tensor) -> Read:
        """How inputs [T, B, K] enter a layer, beside z and these controls."""
        return lambda x, weight, bias: self._entry(self._tables(weight), z, bias)(x, controls)

    def _features(self, z: Tensor, inputs: Tensor, controls: Tensor) -> Tensor:
        """[x, z, controls] itself, [T, B, width]: what dropout works on."""
        parts = [self.said.features(inputs), z.expand(len(inputs), -1, -1)]
        return torch.cat([*parts, self.controls.features(controls)] if self.controls.width else parts, -1)

    @torch.no_grad()
    def voices(self, rows: int) -> list["Voice"]:
        """See `Decoder.voices`."""
        weight, bias = self.layers[0].entry()
        return [Voice(Steps(self.layers, rows), self._tables(weight), bias)]

    @torch.no_grad()
    def generate(
        self,
        z: Tensor,
        controls: Tensor,
        draw: Draw = GREEDY,
        start: Tensor | None = None,
        voices: Sequence["Voice"] = (),
        inputs: Tensor | None = None,
        own: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Let the decoder speak, without dropout.

        Args:
            z: [B, Z].
            controls: [T, B, C]; T steps are said.
            draw: how to choose.
            start: [B, K], read before the first step; None: the zero vector.
            voices: what `voices` made, to be used again.
            inputs: [T, B, K] given inputs; with None the decoder always reads what it said last.
            own: [T, B] bool, where to read what it said last instead of `inputs`.

        Returns:
            (what it said [T, B, K], state after the last step [B, state_size]).
        """
        (steps, tables, bias), *_ = voices or self.voices(len(z))
        steps.states, read = self.first_states(z), self._entry(tables, z, bias)
        shape = controls.shape[:2]
        noise = self.head.noise(shape, draw.temperature, draw.generator, z.device)
        end, after = self.after_end if self.after_end and draw.stops else (None, 0)
        over = torch.zeros(len(z), dtype=torch.bool, device=z.device)
        label = self.start(len(z), z.device) if start is None else start
        said: list[Tensor] = []
        for t in range(shape[0]):
            if inputs is not None and own is not None:
                label = torch.where(own[t, :, None], label, inputs[t])
            raw = self.output(steps(read(label, controls[t])))
            label = self.head.draw(raw, None if noise is None else noise[t])
            if end is not None:
                label = torch.where(over[:, None], after, label)
                over |= label[:, 0] == end
            said.append(label)
            if end is not None and over.all():
                said += [torch.full_like(label, after)] * (shape[0] - len(said))
                break
        return torch.stack(said), torch.cat([part for state in steps.states for part in state], 1)

    @torch.no_grad()
    def scheduled_inputs(self, z: Tensor, inputs: Tensor, controls: Tensor, noise: Noise) -> Tensor:
        """Scheduled sampling: each input but the first becomes, with some probability, the decoder's draw.

        No gradient flows through a draw, so it can be made beforehand: decode once without gradient, note
        what was read, then train on that as if it were given. Examples with nothing to replace are left out.

        Args:
            z: [B, Z].
            inputs: [T, B, K], the true inputs.
            controls: [T, B, C].
            noise: the probability of replacing, independently for each example and step, and the source of
                the choice and of the draws (temperature 1; for NADE 0).

        Returns:
            Inputs [T, B, K] with the replacements made.
        """
        shape, generator = inputs.shape[:2], noise.generator
        own = torch.rand(shape, generator=generator, device=z.device) < noise.sampling_probability
        own[0] = False
        rows = own.any(0).nonzero().squeeze(1)
        if len(rows) == 0 or shape[0] == 1:
            return inputs
        own, true = own[:, rows], inputs[:, rows]
        draw = Draw(self.head.training_temperature, generator, stops=False)
        said, _ = self.generate(z[rows], controls[:-1, rows], draw, true[0], inputs=true, own=own)
        replaced = inputs.clone()
        replaced[1:, rows] = torch.where(own[1:, :, None], said.to(inputs.dtype), true[1:])
        return replaced


class Voice(NamedTuple):
    """The weights of an `LSTMDecoder` made ready to speak with."""

    steps: Steps
    tables: tuple[Tables, Tensor, Tables]
    """What multiplies x, z and controls on their way into the first layer."""
    bias: Tensor


class SplitDecoder(Decoder):
    """One decoder for each output. All read the same z and controls, and each what it said itself."""

    def __init__(self, parts: Sequence[LSTMDecoder]) -> None:
        super().__init__()
        self.parts = cast(Sequence[LSTMDecoder], nn.ModuleList(parts))
        self.columns = [part.said.parts[0].stop for part in parts]
        self.head = CategoricalHead([columns for part in parts for columns in part.said.parts])

    @property
    def state_size(self) -> int:
        """Width of all states together."""
        return sum(part.state_size for part in self.parts)

    def start(self, batch: int, device: torch.device) -> Tensor:
        """Columns [B, K] that stand for the zero vector."""
        return torch.cat([part.start(batch, device) for part in self.parts], 1)

    def forward(
        self, z: Tensor, inputs: Tensor, controls: Tensor, noise: Noise = NO_NOISE
    ) -> tuple[Tensor, Tensor]:
        """See `LSTMDecoder.forward`; raw outputs and states one beside the other."""
        each = zip(self.parts, inputs.split(self.columns, -1), strict=True)
        raw, states = zip(*(part(z, x, controls, noise) for part, x in each), strict=True)
        return torch.cat(raw, -1), torch.cat(states, 1)

    def voices(self, rows: int) -> list["Voice"]:
        """See `Decoder.voices`."""
        return [voice for part in self.parts for voice in part.voices(rows)]

    def generate(
        self,
        z: Tensor,
        controls: Tensor,
        draw: Draw = GREEDY,
        start: Tensor | None = None,
        voices: Sequence["Voice"] = (),
    ) -> tuple[Tensor, Tensor]:
        """See `LSTMDecoder.generate`."""
        starts = [None] * len(self.parts) if start is None else start.split(self.columns, -1)
        each = zip(self.parts, starts, voices or self.voices(len(z)), strict=True)
        said, states = zip(*(part.generate(z, controls, draw, x, [v]) for part, x, v in each), strict=True)
        return torch.cat(said, -1), torch.cat(states, 1)


class HierarchicalDecoder(Decoder):
    """Conductors unfold z into vectors e, one for each segment; the core says each segment with e for a z.

    Level 0 makes `level_lengths[0]` vectors of z, level 1 `level_lengths[1]` of each of these, …; the last
    number is the steps of a segment. A segment's first input is the last step of the segment before.

    With `autoregressive`, a conductor also reads the state that the level below ended with, and its own e;
    else it reads a zero at each step, all vectors are known at once, and training runs the segments in
    parallel. The original's default is the former, its configurations all use the latter.
    """

    def __init__(
        self,
        core: LSTMDecoder | SplitDecoder,
        level_lengths: Sequence[int],
        z_size: int,
        sizes: Sequence[int],
        residual: bool = False,
        autoregressive: bool = False,
    ) -> None:
        super().__init__()
        *self.level_lengths, self.segment_steps = level_lengths
        self.autoregressive = autoregressive
        conductors, e_size = [], z_size
        for level in range(len(self.level_lengths)):
            is_last = level == len(self.level_lengths) - 1
            below = core.state_size if is_last else 2 * sum(sizes)
            conductors.append(
                InitialisedStack(e_size, below + e_size if autoregressive else 1, sizes, residual)
            )
            e_size = sizes[-1]
        self.conductors = cast(Sequence[InitialisedStack], nn.ModuleList(conductors))
        self.core = core

    @property
    def head(self) -> Head:  # type: ignore[override]
        """The core's."""
        return self.core.head

    def voices(self, rows: int) -> list["Voice"]:
        """The core's."""
        return self.core.voices(rows)

    def in_segments(self, x: Tensor) -> Tensor:
        """x [T, B, …] → [segment_steps, S B, …]."""
        return stack.in_segments(x, self.segment_steps)

    def start(self, batch: int, device: torch.device) -> Tensor:
        """Columns [B, K] that stand for the zero vector."""
        return self.core.start(batch, device)

    def forward(
        self, z: Tensor, inputs: Tensor, controls: Tensor, noise: Noise = NO_NOISE
    ) -> tuple[Tensor, Tensor]:
        """See `LSTMDecoder.forward`; raw outputs as [segment_steps, S B, head.size]."""
        if not self.autoregressive:
            e = self.embeddings(z, noise)
            return self.core(e.flatten(0, 1), self.in_segments(inputs), self.in_segments(controls), noise)
        raw: list[Tensor] = []

        def segment(e: Tensor) -> Tensor:
            now = slice(len(raw) * self.segment_steps, (len(raw) + 1) * self.segment_steps)
            outputs, state = self.core(e, inputs[now], controls[now], noise)
            raw.append(outputs)
            return state

        state = self._conduct(0, z, segment, noise)
        return torch.cat(raw, 1), state

    def embeddings(self, z: Tensor, noise: Noise = NO_NOISE) -> Tensor:
        """z [B, Z] → e of all segments in order, [S, B, H]. Not if `autoregressive`."""
        e = z[None]
        for conductor, steps in zip(self.conductors, self.level_lengths, strict=True):
            above = e.flatten(0, 1)
            nothing = z.new_zeros(steps, len(above), 1)
            e, _ = run_stack(conductor.layers, dense, nothing, conductor.first_states(above), noise)
            e = in_time(e, len(z))
        return e

    def _conduct(self, level: int, e: Tensor, segment: Callable[[Tensor], Tensor], noise: Noise) -> Tensor:
        """Run a conductor from e, and after each of its steps what is below it. Returns its last state.

        `segment` is called with the e of each segment in turn and returns the core's last state.
        """
        conductor = self.conductors[level]
        states, is_last = conductor.first_states(e), level == len(self.conductors) - 1
        heard = e.new_zeros(len(e), conductor.layers[0].input_width - e.shape[1])
        for _ in range(self.level_lengths[level]):
            x = torch.cat([heard, e], 1)[None]
            out, states = run_stack(conductor.layers, dense, x, states, noise)
            heard = segment(out[0]) if is_last else self._conduct(level + 1, out[0], segment, noise)
        return torch.cat([part for state in states for part in state], 1)

    @torch.no_grad()
    def generate(
        self,
        z: Tensor,
        controls: Tensor,
        draw: Draw = GREEDY,
        start: Tensor | None = None,
        voices: Sequence["Voice"] = (),
    ) -> tuple[Tensor, Tensor]:
        """See `LSTMDecoder.generate`. Segments follow each other: each begins where the last one ended."""
        said: list[Tensor] = []
        ready = voices or self.voices(len(z))

        def segment(e: Tensor) -> Tensor:
            now = slice(len(said) * self.segment_steps, (len(said) + 1) * self.segment_steps)
            before = said[-1][-1] if said else start
            labels, state = self.core.generate(e, controls[now], draw, before, ready)
            said.append(labels)
            return state

        if self.autoregressive:
            state = self._conduct(0, z, segment, NO_NOISE)
        else:
            state = [segment(e) for e in self.embeddings(z)][-1]
        return torch.cat(said), state
