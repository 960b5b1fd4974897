"""A sweep of eight tiny models of melody, for tests that run it."""

from pathlib import Path

from kikibouba import hub
from kikibouba.data.prepare import prepare

EXAMPLES = Path(__file__).parents[2] / "examples"

SWEEP = """
preset = "mel_2bar"
data = "{data}"
steps = {steps}

[model]
enc_rnn_size = [6]
free_bits = 0.0

[train]
batch_size = 4
precision = "fp32"
eval_every = 1000
save_every = 5
log_every = 10

[grid]
model.z_size = [3, 5]
model.dec_rnn_size = [[6], [9]]
train.learning_rate = [0.001, 0.02]

[asha]
first_steps = 10
factor = 2
"""
"""Eight trials, compared after 10, 20, 40, … steps."""


def melodies(folder: Path) -> Path:
    """A dataset of the example tunes in `folder`."""
    lists = folder / "lists"
    lists.mkdir(parents=True)
    names = [path.name for path in sorted(EXAMPLES.glob("*.mid")) if not path.name.startswith("drums")]
    for split, part in (("train", names[:-1]), ("valid", names[-1:])):
        (lists / f"{split}.txt").write_text("\n".join(part), encoding="utf-8")
    representation = hub.representation_for("melody")
    prepare(representation, EXAMPLES, folder / "melodies", splits=lists, workers=1, progress=False)
    return folder / "melodies"


def sweep_file(folder: Path, data: Path, steps: int) -> Path:
    """`SWEEP` as a file in `folder`."""
    path = folder / "tiny.toml"
    path.write_text(SWEEP.format(data=data, steps=steps), encoding="utf-8")
    return path
