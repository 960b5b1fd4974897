"""From MIDI files to a model of your own, in a minute: prepare, train, sample.

    python examples/05_train_a_tiny_model.py [OUT_FOLDER] [STEPS]

Six tunes make a poor composer: with a folder of your own MIDI files and more steps it is the real thing.
`kikibouba prepare` and `kikibouba train` do the same from the command line.
"""

import sys
from pathlib import Path

import kikibouba as kb
from kikibouba.config import load_preset
from kikibouba.training import train_model

tunes = Path(__file__).parent
out = Path(sys.argv[1] if len(sys.argv) > 1 else "out")
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 200

kb.prepare("melody", tunes, out / "tunes", workers=1, progress=False)

tiny = {"model.z_size": "16", "model.enc_rnn_size": "[64]", "model.dec_rnn_size": "[64]"}
tiny |= {"train.batch_size": "8"}
train_model(load_preset("mel_2bar", tiny), out / "tunes", out / "tiny_model", num_steps=steps)

model = kb.load(out / "tiny_model")
for number, tune in enumerate(model.sample(2, temperature=0.5, seed=0), start=1):
    print(tune.save(out / f"tiny_{number}.mid"))
