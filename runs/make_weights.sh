#!/bin/sh
# Remake every bundled model from the raw data: three bases, then the translators between them.
#
#   sh runs/make_weights.sh                       two CPU cores: about three hours
#   DEVICE=cuda STEPS=60000 MINUTES=9 sh runs/make_weights.sh
#
# DATA holds the data sets as runs/unpack.py describes them. Interrupted, it goes on where it stopped.
set -eu
DATA=${DATA:-../shared/data}
DEVICE=${DEVICE:-cpu}
PYTHON=${PYTHON:-.venv/bin/python}
STEPS=${STEPS:-60000}     # at most, in the main phase
MINUTES=${MINUTES:-40}    # at most, for each base's main phase
kikibouba() { "$PYTHON" -m kikibouba "$@"; }

"$PYTHON" runs/unpack.py "$DATA" datasets/raw
kikibouba prepare mel_2bar datasets/raw/melody datasets/melody
kikibouba prepare drums_2bar datasets/raw/drums datasets/drums
kikibouba prepare sketch datasets/raw/sketch datasets/sketch

# A MusicVAE first learns to copy, almost without a KL term, and is then drawn towards the prior.
for job in mel_2bar:melody:4000 drums_2bar:drums:3000; do
    name=${job%%:*}
    warm=${job##*:}
    data=${job#*:}
    data=datasets/${data%:*}
    kikibouba train "$name" --data "$data" -o "trained/${name}_warm" --steps "$warm" --device "$DEVICE" \
        --set model.max_beta=0.05 --set model.beta_rate=0.99995 --set train.learning_rate=0.002 --set train.decay_rate=0.99992
    kikibouba train "$name" --data "$data" -o "trained/$name" --start-from "trained/${name}_warm" \
        --steps "$STEPS" --max-minutes "$MINUTES" --device "$DEVICE"
done
kikibouba train sketch --data datasets/sketch -o trained/sketch --steps "$STEPS" --max-minutes "$MINUTES" \
    --device "$DEVICE"
"$PYTHON" runs/bundle.py mel_2bar drums_2bar sketch

for pair in sketch:mel_2bar sketch:drums_2bar mel_2bar:drums_2bar; do
    a=${pair%:*}
    b=${pair#*:}
    data_of() { case $1 in mel_2bar) echo datasets/melody ;; drums_2bar) echo datasets/drums ;; *) echo datasets/sketch ;; esac; }
    kikibouba train translation_attributes --bases "$a" "$b" --data "$(data_of "$a")" "$(data_of "$b")" \
        -o "trained/$a-$b" --device "$DEVICE"
    "$PYTHON" runs/bundle.py "$a-$b"
done
