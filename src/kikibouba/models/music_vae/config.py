"""MusicVAE's presets.

Those with the original's names carry every value of its configurations: `cat-…` (melodies and drum patterns),
`nade-…` (drums said class by class), `flat-…`, `hierdec-…` and `hier-…` (16 bars: nothing, the decoder, or
encoder and decoder hierarchical; `hier-multiperf_…` a bar of up to eight instruments), `groovae_…` (drums
with dynamics and timing). `hier-drums_4bar_small` was made by a user of the original. `mel_2bar`,
`drums_2bar`, `mel_16bar`, `hier_drums_4bar` and `hier-drums_4bar` are our own.
"""

from dataclasses import replace

from kikibouba.config import Preset, TrainConfig
from kikibouba.data.drums import DrumsRepresentation
from kikibouba.data.groove import GrooveRepresentation
from kikibouba.data.melody import MelodyRepresentation
from kikibouba.data.multitrack import MultitrackRepresentation
from kikibouba.data.trio import TrioRepresentation
from kikibouba.models.music_vae.hyperparameters import ModelConfig, check

__all__ = ["ALIASES", "PRESETS", "ModelConfig", "check"]

# The original's recipe.
_BATCH_512, _BATCH_256 = TrainConfig(), TrainConfig(batch_size=256)

# Two bars, flat.
_SMALL = ModelConfig(sampling_schedule="inverse_sigmoid", sampling_rate=1000.0)
_BIG = replace(_SMALL, z_size=512, enc_rnn_size=(2048,), dec_rnn_size=(2048, 2048, 2048))
_CHORDS = ModelConfig(enc_rnn_size=(1024,), dec_rnn_size=(512, 512, 512), max_beta=1.0)
_NADE = replace(
    _SMALL, enc_rnn_size=(1024,), dec_rnn_size=(512, 512), decoder="nade", nade_num_hidden=128, free_bits=48.0
)
_GROOVE = ModelConfig(decoder="groove", dropout_keep_prob=0.3, free_bits=48.0)

# Sixteen bars.
_FLAT = ModelConfig(
    z_size=512, enc_rnn_size=(2048, 2048), dec_rnn_size=(2048, 2048, 2048), free_bits=256.0, max_beta=0.2
)
_HIERDEC = replace(_FLAT, dec_rnn_size=(1024, 1024), decoder_level_lengths=(16, 16))
_HIER = replace(_HIERDEC, enc_rnn_size=(1024,), encoder_level_lengths=(16, 16))
_MELODY_16 = MelodyRepresentation(bars=16, valid_programs=None, transpose_range=(0, 0))

# A bar of up to eight instruments of up to 64 events each.
_MULTITRACK_MED = ModelConfig(
    z_size=512,
    enc_rnn_size=(1024,),
    dec_rnn_size=(512, 512, 512),
    encoder_level_lengths=(64, 8),
    decoder_level_lengths=(8, 64),
    max_beta=1.0,
)
_MULTITRACK_BIG = replace(_MULTITRACK_MED, enc_rnn_size=(2048,), dec_rnn_size=(1024, 1024, 1024))
_MULTITRACK_CHORDS = MultitrackRepresentation(chords="triad")

# Ours.
_LITTLE = ModelConfig(
    z_size=128,
    enc_rnn_size=(256,),
    dec_rnn_size=(256,),
    free_bits=48.0,
    max_beta=0.1,
    beta_rate=0.9995,
    latent_init="clear",
)
_LITTLE_RECIPE = TrainConfig(
    batch_size=64,
    num_steps=60_000,
    learning_rate=1.5e-3,
    decay_rate=0.9998,
    min_learning_rate=5e-5,
    ema_decay=0.999,
    precision="bf16",
    log_every=50,
    eval_every=1000,
)
_FOUR_BARS = ModelConfig(free_bits=48.0, decoder_level_lengths=(4, 16))


def _preset(
    name: str, representation: object, model: ModelConfig, description: str, train: TrainConfig = _BATCH_512
) -> Preset:
    return Preset(name, "music_vae", representation, model, train, description)


_OURS = (
    _preset(
        "mel_2bar",
        MelodyRepresentation(),
        _LITTLE,
        "Two-bar melodies, 1.4 M parameters: small enough to ship, made to reconstruct well.",
        _LITTLE_RECIPE,
    ),
    _preset(
        "drums_2bar",
        DrumsRepresentation(rotate=True, swap_classes=True, drop_class_prob=0.15, drop_hit_prob=0.3),
        replace(_LITTLE, max_beta=0.05),
        "Two-bar drum patterns, 1.8 M parameters: small enough to ship, made to reconstruct well.",
        _LITTLE_RECIPE,
    ),
    _preset(
        "hier_drums_4bar",
        DrumsRepresentation(bars=4, rotate=True, swap_classes=True, drop_class_prob=0.15),
        replace(_FOUR_BARS, enc_rnn_size=(256,), beta_rate=0.9998, latent_init="clear"),
        "Four-bar drum patterns, said bar by bar, 3.8 M parameters: small enough to ship.",
        replace(_LITTLE_RECIPE, num_steps=8_000, decay_rate=0.9997),
    ),
    _preset(
        "mel_16bar",
        MelodyRepresentation(bars=16, gap_bars=2.0, skip_polyphony=True),
        ModelConfig(
            z_size=192,
            enc_rnn_size=(192,),
            encoder_level_lengths=(16, 16),
            decoder_level_lengths=(16, 16),
            free_bits=256.0,
            max_beta=0.05,
            beta_rate=0.9998,
            latent_init="clear",
        ),
        "Sixteen-bar melodies, read and said bar by bar, 3.9 M parameters: small enough to ship.",
        replace(_LITTLE_RECIPE, batch_size=32, num_steps=8_000, decay_rate=0.9997, eval_every=500),
    ),
    _preset(
        "groove_humanize_2bar",
        GrooveRepresentation(humanize=True, hits_as_controls=True, hop_bars=1),
        replace(
            _LITTLE, z_size=64, decoder="groove", max_beta=0.05, dropout_keep_prob=0.8, sampling_rate=1.0
        ),
        "Dynamics and timing for two bars of stiff drums, 1.1 M parameters: small enough to ship.",
        replace(_LITTLE_RECIPE, num_steps=4000, decay_rate=0.9995, eval_every=250),
    ),
    _preset(
        "hier-drums_4bar_small",
        DrumsRepresentation(bars=4),
        _FOUR_BARS,
        "Four-bar drum patterns, said bar by bar (5.7 M parameters).",
    ),
    _preset(
        "hier-drums_4bar",
        DrumsRepresentation(bars=4),
        replace(_FOUR_BARS, enc_rnn_size=(1024,), dec_rnn_size=(512, 512)),
        "Four-bar drum patterns, said bar by bar, with layers twice as wide (19.8 M parameters).",
    ),
)

_TWO_BARS = (
    _preset(
        "cat-mel_2bar_small",
        MelodyRepresentation(),
        replace(_SMALL, beta_rate=0.99999),
        "Two-bar melodies; the original's configuration (4.4 M parameters).",
    ),
    _preset(
        "cat-mel_2bar_big",
        MelodyRepresentation(),
        replace(_BIG, max_beta=0.5, beta_rate=0.99999),
        "Two-bar melodies; the original's configuration (134.6 M parameters).",
    ),
    _preset(
        "cat-mel_2bar_med_chords",
        MelodyRepresentation(valid_programs=None, transpose_range=(-3, 3), chords="triad"),
        _CHORDS,
        "Two-bar melodies over given chords; the original's configuration (17.5 M parameters).",
    ),
    _preset(
        "cat-drums_2bar_small",
        DrumsRepresentation(),
        replace(_SMALL, free_bits=48.0),
        "Two-bar drum patterns; the original's configuration (4.6 M parameters).",
    ),
    _preset(
        "cat-drums_2bar_big",
        DrumsRepresentation(),
        replace(_BIG, free_bits=48.0),
        "Two-bar drum patterns; the original's configuration (137.6 M parameters).",
    ),
    _preset(
        "nade-drums_2bar_reduced",
        DrumsRepresentation(roll_output=True),
        _NADE,
        "Two-bar drum patterns, class by class; the original's configuration (13.8 M parameters).",
    ),
    _preset(
        "nade-drums_2bar_full",
        DrumsRepresentation(pitch_classes="full"),
        _NADE,
        "Two-bar drum patterns of 61 classes; the original's configuration (14.4 M parameters).",
    ),
)

_SIXTEEN_BARS = (
    _preset(
        "flat-trio_16bar",
        TrioRepresentation(),
        replace(_FLAT, free_bits=0.0, max_beta=1.0),
        "Sixteen bars of melody, bass and drums, flat; the original's configuration (251.3 M parameters).",
        _BATCH_256,
    ),
    _preset(
        "hierdec-trio_16bar",
        TrioRepresentation(),
        replace(_HIERDEC, decoder="split"),
        "Sixteen bars of melody, bass and drums; the original's configuration (231.0 M parameters).",
        _BATCH_256,
    ),
    _preset(
        "hier-trio_16bar",
        TrioRepresentation(),
        replace(_HIER, decoder="split"),
        "Sixteen bars of melody, bass and drums, also read bar by bar; the original's configuration "
        "(122.5 M parameters).",
        _BATCH_256,
    ),
    _preset(
        "flat-mel_16bar",
        _MELODY_16,
        _FLAT,
        "Sixteen-bar melodies, flat; the original's configuration (235.3 M parameters).",
    ),
    _preset(
        "hierdec-mel_16bar",
        _MELODY_16,
        _HIERDEC,
        "Sixteen-bar melodies; the original's configuration (176.1 M parameters).",
    ),
    _preset(
        "hier-mel_16bar",
        _MELODY_16,
        _HIER,
        "Sixteen-bar melodies, also read bar by bar; the original's configuration (72.5 M parameters).",
    ),
)

_MULTITRACK = (
    _preset(
        "hier-multiperf_vel_1bar_med",
        MultitrackRepresentation(),
        _MULTITRACK_MED,
        "A bar of two to eight instruments; the original's configuration (55.6 M parameters).",
        _BATCH_256,
    ),
    _preset(
        "hier-multiperf_vel_1bar_big",
        MultitrackRepresentation(),
        _MULTITRACK_BIG,
        "A bar of two to eight instruments; the original's configuration (204.6 M parameters).",
        _BATCH_256,
    ),
    _preset(
        "hier-multiperf_vel_1bar_med_chords",
        _MULTITRACK_CHORDS,
        _MULTITRACK_MED,
        "A bar of two to eight instruments over given chords; the original's configuration "
        "(56.1 M parameters).",
        _BATCH_256,
    ),
    _preset(
        "hier-multiperf_vel_1bar_big_chords",
        _MULTITRACK_CHORDS,
        _MULTITRACK_BIG,
        "A bar of two to eight instruments over given chords; the original's configuration "
        "(205.6 M parameters).",
        _BATCH_256,
    ),
)

_GROOVES = (
    _preset(
        "groovae_4bar",
        GrooveRepresentation(bars=4),
        _GROOVE,
        "Four bars of drums with dynamics and timing; the original's configuration (4.1 M parameters).",
    ),
    _preset(
        "groovae_2bar_humanize",
        GrooveRepresentation(humanize=True),
        _GROOVE,
        "Gives drum patterns dynamics and timing; the original's configuration (4.1 M parameters).",
    ),
    _preset(
        "groovae_2bar_tap_fixed_velocity",
        GrooveRepresentation(tapify=True, fixed_velocities=True),
        _GROOVE,
        "Makes drums of a tapped rhythm; the original's configuration (4.1 M parameters).",
    ),
    _preset(
        "groovae_2bar_tap_fixed_velocity_note_dropout",
        GrooveRepresentation(tapify=True, fixed_velocities=True, max_note_dropout_probability=0.8),
        _GROOVE,
        "Makes drums of a tapped rhythm with gaps; the original's configuration (4.1 M parameters).",
    ),
    _preset(
        "groovae_2bar_add_closed_hh",
        GrooveRepresentation(add_instruments=(2,)),
        _GROOVE,
        "Adds a closed hi-hat to drums; the original's configuration (4.1 M parameters).",
    ),
    _preset(
        "groovae_2bar_hits_control_tfds",
        GrooveRepresentation(hits_as_controls=True),
        _GROOVE,
        "Carries dynamics and timing over to other hits; the original's configuration (4.1 M parameters).",
    ),
)

PRESETS: dict[str, Preset] = {
    preset.name: preset for preset in (*_OURS, *_TWO_BARS, *_SIXTEEN_BARS, *_MULTITRACK, *_GROOVES)
}

ALIASES = {
    "mel_2bar_small": "cat-mel_2bar_small",
    "mel_2bar_big": "cat-mel_2bar_big",
    "mel_2bar_chords": "cat-mel_2bar_med_chords",
    "drums_2bar_small": "cat-drums_2bar_small",
    "drums_2bar_big": "cat-drums_2bar_big",
    "multitrack": "hier-multiperf_vel_1bar_med",
    "multitrack_chords": "hier-multiperf_vel_1bar_med_chords",
    "groovae_2bar_hits_control": "groovae_2bar_hits_control_tfds",
}
"""Plain name → original name."""
