#!/bin/sh
# Train timbre_small: tunes of O'Neill's, rendered on two instruments, become a translator between them.
#
#   sh runs/timbre.sh           an hour and a half on one CPU core
#
# It began with three. The violin came out dull, no classifier took it for one, and was left out; and the flute, which
# `flute` moves up an octave where a tune goes below its range, then played at any pitch (flute=73).
# RAW is what runs/unpack.py made.
set -eu
RAW=${RAW:-datasets/raw/melody}
PYTHON=${PYTHON:-.venv/bin/python}
kikibouba() { "$PYTHON" -m kikibouba "$@"; }

# The first 360, 18 and 18 tunes of the three splits.
mkdir -p datasets/oneill_split
for pair in train:360 valid:18 test:18; do
    grep '^oneill/' "$RAW/split/${pair%:*}.txt" | sed 's#^oneill/##' | head -n "${pair#*:}" > "datasets/oneill_split/${pair%:*}.txt"
done

kikibouba prepare render "$RAW/oneill" datasets/recordings3 --splits datasets/oneill_split \
    --domains piano violin flute --seconds 20
kikibouba prepare audio datasets/recordings3 datasets/timbre3
kikibouba prepare render "$RAW/oneill" datasets/recordings --splits datasets/oneill_split \
    --domains piano flute=73 --seconds 20
kikibouba prepare audio datasets/recordings datasets/timbre

# Less and less noise in what the decoders hear, and ever smaller steps.
kikibouba train timbre_small --data datasets/timbre3 -o trained/timbre_first --steps 1500
kikibouba train timbre_small --data datasets/timbre3 -o trained/timbre_second --start-from trained/timbre_first --steps 1011 \
    --set model.input_noise=0.005 --set train.learning_rate=0.0015 --set train.min_learning_rate=0.0001 \
    --set train.decay_rate=0.9993
kikibouba train timbre_small --data datasets/timbre -o trained/timbre_small --start-from trained/timbre_second --steps 1161 \
    --set model.input_noise=0.003 --set train.batch_size=8 --set train.learning_rate=0.0012 \
    --set train.min_learning_rate=0.0001 --set train.decay_rate=0.9985
"$PYTHON" runs/bundle.py timbre_small
