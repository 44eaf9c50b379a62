"""`python -m backtranslate`: see `cli.py`."""

import sys

from backtranslate.cli import main

if __name__ == "__main__":  # worker processes import this file too
    sys.exit(main())
