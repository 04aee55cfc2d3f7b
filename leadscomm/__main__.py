"""``python -m leadscomm``: the same as the command ``leadscomm``."""

import sys

from leadscomm.cli import main

if __name__ == "__main__":
    sys.exit(main())
