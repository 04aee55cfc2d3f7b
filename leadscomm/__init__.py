"""leadscomm."""

from leadscomm.version import __version__ as __version__
