"""MusicVAE written down as plainly as possible: one example, one step, one concatenated vector at a time.

It works on the variables of the original, by their names there, so that it also tells whether our weights go
by the right names. Vectors are rows; all is float64.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kikibouba.models.music_vae.hyperparameters import ModelConfig

WRAPPER = "/input_projection_wrapper"


@dataclass
class SlowMusicVAE:
    """The original's variables and our configuration."""

    v: dict[str, Tensor]
    config: ModelConfig
    widths: list[int]
    """Of the outputs."""

    def dense(self, scope: str, x: Tensor) -> Tensor:
        return x @ self.v[scope + "/kernel"] + self.v[scope + "/bias"]

    def cell(self, scope: str, x: Tensor, state: tuple, residual: bool) -> tuple[Tensor, tuple]:
        """One step of one layer → (output, (c, h))."""
        if f"{scope}{WRAPPER}/kernel" in self.v:
            x, scope = self.dense(scope + WRAPPER, x), scope + WRAPPER
        c, h = state
        i, j, f, o = self.dense(scope + "/lstm_cell", torch.cat([x, h])).chunk(4)
        c = torch.sigmoid(f + 1) * c + torch.sigmoid(i) * torch.tanh(j)
        h = torch.sigmoid(o) * torch.tanh(c)
        return (h + x if residual else h), (c, h)

    def zeros(self, scope: str) -> tuple:
        inner = scope + (WRAPPER if f"{scope}{WRAPPER}/kernel" in self.v else "")
        size = len(self.v[inner + "/lstm_cell/bias"]) // 4
        return torch.zeros(size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)

    def run(self, scopes: list[str], x: list[Tensor], states: list, residual: bool) -> tuple[list, list]:
        """A stack over a sequence → (outputs, states)."""
        outputs = []
        for row in x:
            for k, scope in enumerate(scopes):
                row, states[k] = self.cell(scope, row, states[k], residual)
            outputs.append(row)
        return outputs, states

    def cells(self, prefix: str) -> list[str]:
        """prefix0, prefix1, … as far as there are any."""
        found = []
        while any(name.startswith(f"{prefix}{len(found)}/") for name in self.v):
            found.append(f"{prefix}{len(found)}")
        return found

    def sum_up(self, scope: str, x: list[Tensor]) -> Tensor:
        """An encoder without posterior over the real part of a sequence."""
        residual = self.config.residual_encoder
        if self.config.encoder == "lstm":
            scopes = self.cells(f"{scope}/multi_rnn_cell/cell_")
            return self.run(scopes, x, [self.zeros(s) for s in scopes], residual)[0][-1]
        for layer in self.cells(f"{scope}/cell_"):
            ends, outputs = [], []
            for direction, rows in ("fw", x), ("bw", x[::-1]):
                name = f"{layer}/bidirectional_rnn/{direction}/multi_rnn_cell/cell_0"
                out, [(_, h)] = self.run([name], rows, [self.zeros(name)], residual)
                ends.append(h)
                outputs.append(out if direction == "fw" else out[::-1])
            x = [torch.cat(pair) for pair in zip(*outputs, strict=True)]
        return torch.cat(ends)

    def posterior(self, x: list[Tensor], real: list[bool]) -> tuple[Tensor, Tensor]:
        """Features of one example (padding included) → mu, sigma."""
        scope, levels = "encoder", self.config.encoder_level_lengths
        for i, steps in enumerate(levels):
            segments = [slice(k, k + steps) for k in range(0, len(x), steps)]
            kept = [[row for row, is_real in zip(x[s], real[s], strict=True) if is_real] for s in segments]
            x = [self.sum_up(f"encoder/hierarchical_level_{i}", rows) for rows in kept]
            real = [True] * len(x)
        if levels:
            (e,) = x
        else:
            e = self.sum_up(scope, [row for row, is_real in zip(x, real, strict=True) if is_real])
        mu, s = self.dense("encoder/mu", e), self.dense("encoder/sigma", e)
        return mu, torch.log1p(torch.exp(s))

    def first_states(self, scope: str, e: Tensor, scopes: list[str]) -> list[tuple]:
        """c0, h0, c1, h1, … in order."""
        s = torch.tanh(self.dense(scope, e))
        states = []
        for name in scopes:
            n = len(self.zeros(name)[0])
            states.append((s[:n], s[n : 2 * n]))
            s = s[2 * n :]
        return states

    def core(self, prefix: str, z: Tensor, inputs: list, controls: list) -> tuple[list, Tensor]:
        """A flat decoder of one or several outputs over one segment → (raw outputs, last states)."""
        if any(name.startswith(f"{prefix}core_decoder_0/") for name in self.v):
            raw, states = [], []
            for k, part in enumerate(zip(*(row.split(self.widths) for row in inputs), strict=True)):
                out, state = self.core(f"{prefix}core_decoder_{k}/", z, list(part), controls)
                raw.append(out)
                states.append(state)
            return [torch.cat(row) for row in zip(*raw, strict=True)], torch.cat(states)
        scope = f"{prefix}decoder"
        scopes = self.cells(f"{scope}/multi_rnn_cell/cell_")
        states = self.first_states(f"{scope}/z_to_initial_state", z, scopes)
        x = [torch.cat([row, z, control]) for row, control in zip(inputs, controls, strict=True)]
        out, states = self.run(scopes, x, states, self.config.residual_decoder)
        raw = [self.dense(f"{scope}/output_projection", row) for row in out]
        return raw, torch.cat([part for state in states for part in state])

    def raw(self, z: Tensor, outputs: list[Tensor], controls: list[Tensor]) -> list[Tensor]:
        """Raw outputs of all steps, given the true outputs as far as they go."""
        inputs = [torch.zeros_like(outputs[0]), *outputs[:-1]]
        levels = self.config.decoder_level_lengths
        if not levels:
            return self.core("", z, inputs, controls)[0]
        found: list[Tensor] = []

        def segment(e: Tensor) -> Tensor:
            now = slice(len(found), len(found) + levels[-1])
            out, state = self.core("core_decoder/", e, inputs[now], controls[now])
            found.extend(out)
            return state

        def conduct(level: int, e: Tensor) -> Tensor:
            scope = f"decoder/hierarchical_level_{level}"
            scopes = self.cells(f"{scope}/cell_")
            states, heard = self.first_states(f"{scope}/initial_state", e, scopes), None
            for _ in range(levels[level]):
                x = torch.zeros(1, dtype=torch.float64)
                if self.config.autoregressive:
                    x = torch.cat([self.nothing_heard(scopes[0], e) if heard is None else heard, e])
                [out], states = self.run(scopes, [x], states, self.config.residual_decoder)
                heard = segment(out) if level == len(levels) - 2 else conduct(level + 1, out)
            return torch.cat([part for state in states for part in state])

        conduct(0, z)
        return found

    def nothing_heard(self, scope: str, e: Tensor) -> Tensor:
        """Zeros in the place of what a conductor hears before its first step."""
        wrapped = f"{scope}{WRAPPER}/kernel" in self.v
        rows = len(self.v[f"{scope}{WRAPPER}/kernel" if wrapped else f"{scope}/lstm_cell/kernel"])
        state = 0 if wrapped else len(self.zeros(scope)[1])
        return torch.zeros(rows - len(e) - state, dtype=torch.float64)

    def nats(self, raw: Tensor, target: Tensor) -> Tensor:
        """-ln p of one step's features."""
        if self.config.decoder == "nade":
            hidden = self.config.nade_num_hidden
            a, b_dec, nats = raw[:hidden], raw[hidden:], torch.zeros((), dtype=torch.float64)
            for i, bit in enumerate(target):
                p = torch.sigmoid(b_dec[i] + torch.sigmoid(a) @ self.v["decoder/nade/w_dec_t"][i, :, 0])
                nats = nats - bit * (1e-6 + p).log() - (1 - bit) * (1e-6 + 1 - p).log()
                a = a + bit * self.v["decoder/nade/w_enc"][i, 0]
            return nats
        if self.config.decoder == "groove":
            (hits, velocities, offsets), (y, v, o) = raw.chunk(3), target.chunk(3)
            p = torch.sigmoid(hits)
            nats = -y * (p + 1e-7).log() - (1 - y) * (1 - p + 1e-7).log()
            return (nats + (v - torch.sigmoid(velocities)) ** 2 + (o - torch.tanh(offsets)) ** 2).sum()
        parts = zip(raw.split(self.widths), target.split(self.widths), strict=True)
        return -sum((one * logits.log_softmax(0)).sum() for logits, one in parts)

    def loss(
        self, x: Tensor, outputs: Tensor, controls: Tensor, real: Tensor, eps: Tensor, beta: float
    ) -> Tensor:
        """The loss of a batch: features [B, T, …], real [B, T], eps [B, Z]."""
        total = torch.zeros((), dtype=torch.float64)
        for b in range(len(x)):
            told = list(controls[b])
            seen = [torch.cat(pair) for pair in zip(x[b], controls[b], strict=True)]
            mu, sigma = self.posterior(seen, real[b].tolist())
            raw = self.raw(mu + sigma * eps[b], list(outputs[b]), told)
            for t in real[b].nonzero():
                total = total + self.nats(raw[t], outputs[b, t].squeeze(0))
            kl = 0.5 * (sigma**2 + mu**2 - 1 - 2 * sigma.log()).sum()
            total = total + beta * (kl - self.config.free_bits * torch.log(torch.tensor(2.0))).clamp(min=0)
        return total / len(x)
