"""What worker processes are made of; imported late, so that the server itself loads no torch."""

from typing import Any


def studio() -> Any:
    """All bundled models."""
    from kikibouba.web.studio import Studio

    return Studio()


def reader() -> Any:
    """Reads files; loads no torch."""
    from kikibouba.web.reader import Reader

    return Reader()


def voices(models: Any) -> Any:
    """Music translation networks: `voices.Offered`."""
    from kikibouba.web.voices import Voices

    return Voices(models)


def workshop() -> Any:
    """Makes and keeps personal models."""
    from kikibouba.web.workshop import Workshop

    return Workshop()
