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
kikibouba prepare groove_humanize_2bar datasets/raw/drums datasets/groove
kikibouba prepare hier_drums_4bar datasets/raw/drums datasets/drums4
kikibouba prepare sketch datasets/raw/sketch datasets/sketch

# A MusicVAE first learns to copy, almost without a KL term, and is then drawn towards the prior.
warm() {  # name, data, steps
    kikibouba train "$1" --data "$2" -o "trained/$1_warm" --steps "$3" --device "$DEVICE" --set model.max_beta=0.05 \
        --set model.beta_rate=0.99995 --set train.learning_rate=0.002 --set train.decay_rate=0.99992 $4
}
warm mel_2bar datasets/melody 4000 ""
kikibouba train mel_2bar --data datasets/melody -o trained/mel_2bar --start-from trained/mel_2bar_warm \
    --steps "$STEPS" --max-minutes "$MINUTES" --device "$DEVICE"

# Drums are few, so they are varied more and more: not at all, by rotation and class, by single hits.
STILL="--set representation.drop_hit_prob=0"
warm drums_2bar datasets/drums 3000 "$STILL --set representation.rotate=false --set representation.swap_classes=false \
    --set representation.drop_class_prob=0"
kikibouba train drums_2bar --data datasets/drums -o trained/drums_2bar_main --start-from trained/drums_2bar_warm \
    --steps 5000 --device "$DEVICE" $STILL
kikibouba train drums_2bar --data datasets/drums -o trained/drums_2bar --start-from trained/drums_2bar_main \
    --steps "$STEPS" --max-minutes "$MINUTES" --device "$DEVICE" --set model.beta_rate=0 --set train.learning_rate=0.001

# The objective of hier-drums_4bar_small puts 48 bits into z; with less weight on the KL term it then puts more.
kikibouba train hier_drums_4bar --data datasets/drums4 -o trained/hier_drums_4bar_warm --steps 3734 --device "$DEVICE"
GENTLE="--set model.max_beta=0.03 --set train.learning_rate=0.0012 --set train.eval_every=500"
kikibouba train hier_drums_4bar --data datasets/drums4 -o trained/hier_drums_4bar_second --start-from trained/hier_drums_4bar_warm \
    --steps 2718 --device "$DEVICE" $GENTLE --set model.beta_rate=0.9995 --set train.decay_rate=0.9996
kikibouba train hier_drums_4bar --data datasets/drums4 -o trained/hier_drums_4bar --start-from trained/hier_drums_4bar_second \
    --steps 6000 --device "$DEVICE" $GENTLE --set model.beta_rate=0

kikibouba train groove_humanize_2bar --data datasets/groove -o trained/groove_humanize_2bar --device "$DEVICE"

kikibouba train sketch --data datasets/sketch -o trained/sketch --steps "$STEPS" --max-minutes "$MINUTES" \
    --device "$DEVICE"
"$PYTHON" runs/bundle.py mel_2bar drums_2bar hier_drums_4bar groove_humanize_2bar sketch

for pair in sketch:mel_2bar sketch:drums_2bar mel_2bar:drums_2bar; do
    a=${pair%:*}
    b=${pair#*:}
    data_of() { case $1 in mel_2bar) echo datasets/melody ;; drums_2bar) echo datasets/drums ;; *) echo datasets/sketch ;; esac; }
    # Some categories of drawings are kept out, to see how the unseen are translated.
    unseen='[]'
    [ "$a" = sketch ] && unseen='["butterfly","cactus","crab","face","ice cream","pineapple"]'
    kikibouba train translation_attributes --bases "$a" "$b" --data "$(data_of "$a")" "$(data_of "$b")" \
        -o "trained/$a-$b" --device "$DEVICE" --set "model.held_out=$unseen"
    "$PYTHON" runs/bundle.py "$a-$b"
done

# What can be asked of a base. Decoding drawings takes long, so fewer of those are judged.
kikibouba train constraints --bases mel_2bar --data datasets/melody -o trained/constraints-mel_2bar --device "$DEVICE"
kikibouba train constraints --bases drums_2bar --data datasets/drums -o trained/constraints-drums_2bar --device "$DEVICE" \
    --set train.eval_every=500
kikibouba train constraints --bases sketch --data datasets/sketch -o trained/constraints-sketch --device "$DEVICE" \
    --set model.judge_every=8 --set model.judged=48
"$PYTHON" runs/bundle.py constraints-mel_2bar constraints-drums_2bar constraints-sketch
