"""What a framing of your own is made from, under the name that the documentation has always given it."""

from leadscomm.protocol.framing.base import (
    DEFAULT_MAX_MESSAGE,
    MAX_FAULTS_KEPT,
    Framing,
    Pieces,
    excerpt,
    plain,
    split,
)

__all__ = ["DEFAULT_MAX_MESSAGE", "MAX_FAULTS_KEPT", "Framing", "Pieces", "excerpt", "plain", "split"]
