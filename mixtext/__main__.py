"""`python -m mixtext COMMAND`, and so `torchrun … -m mixtext train RECIPE`."""

import sys

from mixtext.cli import main

if __name__ == "__main__":
    sys.exit(main())
