"""What worker processes are made of; imported late, so that the server itself loads no torch."""

from typing import Any


def studio() -> Any:
    """All bundled models."""
    from kikibouba.web.studio import Studio

    return Studio()
