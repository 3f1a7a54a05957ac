"""Where the output of every input file goes, decided before anything is read."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath, PurePosixPath

from tsfm.errors import ConfigError
from tsfm.lake.store import find_remote, is_address, join, locate
from tsfm.series.find_files import find_files, fixed_root

SUFFIXES = (".parquet", ".csv")


def output_places(inputs: Sequence[str | Path], output: Path) -> dict[Path, Path]:
    """Return the place of every input file in the folder `output`.

    A file of an input folder, or of a pattern, keeps its place below the folder, or below the part
    of the pattern that is fixed; any other file its name. Where the output lies below the input
    folder, what is in it is no input, so that the same command can be given again.

    Raises
    ------
    ConfigError
        When a file cannot be written under its name, two would be written to one place, or an
        input would be overwritten.
    DataError
        When an input names nothing.
    """
    found = lake_places(inputs, output)
    return {Path(source): output / name for source, name in found.items()}


def lake_places(
    inputs: Sequence[str | Path], output: str | Path, *, absolute: bool = False
) -> dict[str, str]:
    """Return the same for inputs and an output that may be addresses, as names below the output.

    Parameters
    ----------
    absolute
        Whether local files are named from the root, for workers that start elsewhere.
    """
    places: dict[str, str] = {}
    sources: dict[str, str] = {}
    for entry in inputs:
        for source, name in _inputs(entry, output):
            if not name.endswith(SUFFIXES):
                raise ConfigError(
                    f"an input must end in {' or '.join(SUFFIXES)} to be written under its name, "
                    f"got {source}; convert it"
                )
            if _is_same(source, output, name):
                raise ConfigError(f"output must be another folder than that of {source}; name one")
            if name in sources:
                if _located(sources[name]) == _located(source):
                    raise ConfigError(
                        f"inputs must be named once each, got {name} twice, as {sources[name]} and "
                        f"as {source}; leave one out"
                    )
                raise ConfigError(
                    f"inputs must have names of their own, got {name} twice; write them into "
                    "folders of their own"
                )
            sources[name] = source
            is_local = absolute and not is_address(source)
            key = str(Path(source).absolute()) if is_local else source
            if key in places:
                raise ConfigError(
                    f"inputs must have one place each, got {source} for {places[key]} and for "
                    f"{name}; name it once"
                )
            places[key] = name
    return places


def _inputs(entry: str | Path, output: str | Path) -> list[tuple[str, str]]:
    """Return the files of an entry and their names, without those that the job itself wrote."""
    named, place = list(_named(entry)), _located(output)
    kept = [(source, name) for source, name in named if not _is_own(source, name, place)]
    if not kept:
        raise ConfigError(f"output must be another folder than that of {named[0][0]}; name one")
    return kept


def _is_own(source: str, name: str, output: tuple[str, PurePath]) -> bool:
    """Say whether a file is in the output, and the output below the folder that was asked for."""
    (kind, path), (other, folder) = _located(source), output
    return kind == other and folder in path.parents[: name.count("/")]


def _named(entry: str | Path) -> Iterator[tuple[str, str]]:
    if is_address(entry):
        yield from find_remote(str(entry))
        return
    root = fixed_root(entry)
    for source in find_files(entry):
        yield str(source), source.relative_to(root).as_posix() if root else source.name


def _is_same(source: str, output: str | Path, name: str) -> bool:
    place = join(str(output), name)
    if _located(source) == _located(place):
        return True
    if is_address(source) or is_address(place):
        return False
    # The system follows a link before it goes up from there, and knows of further names of a file.
    path = Path(place)
    is_there = path.exists() and path.samefile(source)
    return is_there or path.resolve() == Path(source).resolve()


def _located(entry: str | Path) -> tuple[str, PurePath]:
    """Return kind of filesystem and path, so that every way to write a place gives the same."""
    filesystem, path = locate(str(entry))
    kind: str = filesystem.type_name
    return kind, Path(path).resolve() if kind == "local" else PurePosixPath(path)
