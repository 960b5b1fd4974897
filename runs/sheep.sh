#!/bin/sh
# Sketch-RNN on 7,400 sheep (non-commercial data: for figures, never bundled), with z of 128, and z of 256 with
# both ways of scaling its KL terms; docs/sketch_rnn.md explains them and shows the curves.
#
#   MINUTES=30 sh runs/sheep.sh
#   MINUTES=10 SMALL="--set model.enc_rnn_size=128 --set model.dec_rnn_size=256" sh runs/sheep.sh   on a small CPU
set -eu
DATA=${DATA:-../shared/data}
DEVICE=${DEVICE:-cpu}
PYTHON=${PYTHON:-.venv/bin/python}
MINUTES=${MINUTES:-10}    # for each of the three
SMALL=${SMALL:-}          # options for all three
kikibouba() { "$PYTHON" -m kikibouba "$@"; }

[ -d datasets/raw/sheep ] || "$PYTHON" runs/unpack.py "$DATA" datasets/raw
kikibouba prepare sketch_rnn datasets/raw/sheep datasets/sheep --set representation.box=none \
    --set representation.epsilon=0 --set representation.keep_first_offset=true
for preset in sketch_rnn sketch_rnn_z256 sketch_rnn_z256_unscaled; do
    kikibouba train "$preset" --data datasets/sheep -o "trained/sheep_$preset" --max-minutes "$MINUTES" \
        --device "$DEVICE" --set train.precision=bf16 --set train.eval_every=50 --set train.log_every=10 $SMALL
    kikibouba evaluate "trained/sheep_$preset" --data datasets/sheep --json "trained/sheep_$preset/test.json"
done
