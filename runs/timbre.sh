#!/bin/sh
# Train timbre_small: tunes of O'Neill's, rendered on three instruments, become a translator between them.
#
#   sh runs/timbre.sh           two hours on one CPU core
#
# RAW is what runs/unpack.py made.
set -eu
RAW=${RAW:-datasets/raw/melody}
PYTHON=${PYTHON:-.venv/bin/python}
MINUTES=${MINUTES:-120}    # at most
kikibouba() { "$PYTHON" -m kikibouba "$@"; }

# The first 360, 18 and 18 tunes of the three splits.
mkdir -p datasets/oneill_split
for pair in train:360 valid:18 test:18; do
    grep '^oneill/' "$RAW/split/${pair%:*}.txt" | sed 's#^oneill/##' | head -n "${pair#*:}" > "datasets/oneill_split/${pair%:*}.txt"
done

kikibouba prepare render "$RAW/oneill" datasets/recordings --splits datasets/oneill_split \
    --domains piano violin flute --seconds 20
kikibouba prepare audio datasets/recordings datasets/timbre
kikibouba train timbre_small --data datasets/timbre -o trained/timbre_small --max-minutes "$MINUTES"
kikibouba evaluate trained/timbre_small --data datasets/timbre --json trained/timbre_small/test.json
