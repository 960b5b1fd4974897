"""`python -m kikibouba` is the `kikibouba` command."""

import sys

from kikibouba.cli import main

if __name__ == "__main__":
    sys.exit(main())
