"""Where a run tells how it goes: the console, `log.jsonl`, optionally TensorBoard, and a picture of the
loss curve.

`log.jsonl` holds nothing but what follows from weights, data and seed, so that two equal runs write equal
files; wall-clock times go to `times.jsonl`. Both are cut back to the resumed step when a run goes on.
"""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from tqdm import tqdm

from kikibouba.errors import KikiboubaError


class TrainLog:
    """The log of a run in a folder, continued from a step.

    Args:
        folder: the run's output folder.
        start: steps done before; later lines of an interrupted run are dropped.
        num_steps: the run's goal, for the progress bar.
        loud: False writes nothing anywhere (all processes of a parallel run but the first).
        tensorboard: also write TensorBoard event files to `folder/tensorboard`.
    """

    def __init__(self, folder: Path, start: int, num_steps: int, loud: bool, tensorboard: bool) -> None:
        self.loud = loud
        self._began, self._start = time.monotonic(), start
        self._bar = tqdm(total=num_steps, initial=start, unit="step", disable=None if loud else True)
        self._board: Any = None
        if not loud:
            return
        self._log = _open_cut(folder / "log.jsonl", start)
        self._times = _open_cut(folder / "times.jsonl", start)
        if tensorboard:
            self._board = _open_board(folder / "tensorboard", start)

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """One line: values of "train" or "valid" after `step` updates."""
        if not self.loud:
            return
        rate = (step - self._start) / max(time.monotonic() - self._began, 1e-9)
        self._log.write(json.dumps({"step": step, "split": split, **values}) + "\n")
        self._log.flush()
        times = {"step": step, "unix_time": time.time(), "steps_per_second": rate}
        self._times.write(json.dumps(times) + "\n")
        self._times.flush()
        tqdm.write(f"{as_text(step, split, values)}  ({rate:.3g} steps/s)")
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{split}/{name}", value, step)

    def say(self, text: str) -> None:
        """A line for the console only."""
        if self.loud:
            tqdm.write(text)

    def advance(self) -> None:
        """One step is done."""
        self._bar.update()

    def __enter__(self) -> "TrainLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
        if self.loud:
            self._log.close()
            self._times.close()
        if self._board is not None:
            self._board.close()


def as_text(step: int, split: str, values: Mapping[str, float]) -> str:
    """A line of the log for people."""
    shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
    return f"{split:5} step {step:>7}  {shown}"


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's `log.jsonl`; a last line torn by a crash is left out."""
    lines = []
    path = folder / "log.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        with suppress(ValueError):
            lines.append(json.loads(line))
    return lines


def plot_loss(folder: Path) -> Path | None:
    """Draw `loss.png` from the log. None, and no picture, where matplotlib is not installed or nothing is
    logged.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    lines = read_log(folder)
    if not lines:
        return None
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for split, colour in (("train", "tab:blue"), ("valid", "tab:orange")):
        points = [(line["step"], line["loss"]) for line in lines if line["split"] == split]
        if points:
            axes.plot(
                *zip(*points, strict=True), color=colour, label=split, marker="." if len(points) < 30 else ""
            )
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(folder / "loss.png", dpi=120)
    return folder / "loss.png"


def _open_cut(path: Path, last_step: int) -> TextIO:
    """Open a log for appending, without lines later than a step and without a torn last line."""
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        with suppress(ValueError):
            if json.loads(line)["step"] <= last_step:
                kept.append(line + "\n")
    fresh = path.with_suffix(".unfinished")
    fresh.write_text("".join(kept), encoding="utf-8")
    fresh.replace(path)
    return path.open("a", encoding="utf-8")


def _open_board(folder: Path, start: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise KikiboubaError("TensorBoard is not installed; pip install 'kikibouba[tensorboard]'") from None
    return SummaryWriter(folder, purge_step=start)
