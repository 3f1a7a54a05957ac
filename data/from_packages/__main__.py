"""Run as ``python data/from_packages ARCHIVE... --output FOLDER``."""

import sys
from importlib import import_module
from pathlib import Path

# Not this folder itself: its modules are called like the packages that they read.
sys.path[0] = str(Path(__file__).resolve().parents[1])

if __name__ == "__main__":
    sys.exit(import_module("from_packages.command").main())
