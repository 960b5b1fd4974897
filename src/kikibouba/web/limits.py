"""What a stranger may ask of the server, in one place; docs/api.md quotes these figures."""

MAX_BODY = 1_000_000
"""Bytes of a request."""
MAX_FILE = 5_000_000
"""Bytes of a file that is read."""
MAX_SONGS_BODY = 12_000_000
"""Bytes of a request for a personal model; its files are in it as base64."""

MAX_STROKES = 500
MAX_POINTS = 10_000
"""Of one drawing."""
MAX_COORDINATE = 1e6
MAX_NOTES = 5_000
MAX_SECONDS = 120.0
"""Of one tune."""
MAX_WINDOWS = 32
"""Of a piece that is read, in pieces of two bars."""
MAX_RESULTS = 49
"""Artifacts of one answer: samples, steps, cells of a morph."""
MAX_SOUND_SECONDS = 20.0
"""Of a recording that is played on other instruments."""
MAX_SONGS = 20
"""Files for one personal model."""

READ_SECONDS, WORK_SECONDS, VOICE_SECONDS, TRAIN_SECONDS = 10.0, 30.0, 120.0, 300.0
"""How long reading a file, a call of a model, playing a recording, and making a personal model may take."""
READ_MEMORY = 1_500_000_000
"""Bytes of address space of the process that reads files."""

MAX_WAITING = 64
"""Requests that wait for a worker; further ones are told to come back."""
RETRY_AFTER = 2
"""Seconds after which to come back."""
MAX_PERSONAL = 20
"""Personal models in memory, of all sessions together."""
PERSONAL_SECONDS = 30 * 60
"""A personal model that is not used for so long is forgotten."""
