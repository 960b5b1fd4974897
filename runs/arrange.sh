#!/bin/sh
# Train and measure arrange_small on POP909's songs: a tune becomes a piano arrangement.
#
#   sh runs/arrange.sh          about half an hour on one free CPU core
#
# The bundled weights have seen fewer steps, in stages, on a busy machine: see docs/log.md.
#
# DATA holds the data sets as runs/unpack.py describes them, and datasets/raw what that unpacked.
set -eu
DATA=${DATA:-../shared/data}
PYTHON=${PYTHON:-.venv/bin/python}
MINUTES=${MINUTES:-60}    # at most
kikibouba() { "$PYTHON" -m kikibouba "$@"; }

kikibouba prepare arrange_small datasets/raw/melody/pop909 datasets/arrange --splits "$DATA/music/pop909/split"
kikibouba train arrange_small --data datasets/arrange -o trained/arrange_small --max-minutes "$MINUTES"
kikibouba evaluate trained/arrange_small --data datasets/arrange --limit 400 --json trained/arrange_small/test.json
