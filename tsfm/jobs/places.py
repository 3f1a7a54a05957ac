"""Where the output of every input file goes, decided before anything is read."""

from collections.abc import Sequence
from pathlib import Path

from tsfm.errors import ConfigError
from tsfm.series.files import find_files

SUFFIXES = (".parquet", ".csv")


def output_places(inputs: Sequence[str | Path], output: Path) -> dict[Path, Path]:
    """Return the place of every input file in the folder `output`.

    A file of an input folder keeps its place below it, any other file its name.

    Raises
    ------
    ConfigError
        When a file cannot be written under its name, two would be written to one place, or an
        input would be overwritten.
    DataError
        When an input names nothing.
    """
    places: dict[Path, Path] = {}
    for entry in inputs:
        for source in find_files(entry):
            name = source.relative_to(entry) if Path(entry).is_dir() else Path(source.name)
            place = output / name
            if place.suffix not in SUFFIXES:
                raise ConfigError(
                    f"an input must end in {' or '.join(SUFFIXES)} to be written under its name, "
                    f"got {source}; convert it"
                )
            if place.exists() and place.samefile(source):
                raise ConfigError(f"output must be another folder than that of {source}; name one")
            if place in places.values():
                raise ConfigError(
                    f"inputs must have names of their own, got {place.name} twice; write them into "
                    "folders of their own"
                )
            places[source] = place
    return places
