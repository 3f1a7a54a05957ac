"""`python -m tsfm` is the command `tsfm`."""

import sys

from tsfm.cli import main

if __name__ == "__main__":
    sys.exit(main())
