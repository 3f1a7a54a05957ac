"""The folder of a run by recipe: that of an earlier run of its verb, never of something else."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tsfm.config import SECTION_OF_VERB
from tsfm.errors import ConfigError
from tsfm.jobs.reports import REPORT_FILE
from tsfm.toml_text import dump

CONFIG_FILE = "config.toml"
MARK = "# Written by tsfm: every value of the run in this folder."
# What runs of earlier versions, whose configuration has no mark, leave before their report.
TRACES = ("resume/state.pt", "seed*/ranker.json", "fold*/seed*/ranker.json")


def folder_of(output: str | Path | None, default: Path) -> Path:
    """Return the folder that a recipe names, or the default; ``~`` is the user's home."""
    return Path(output).expanduser() if output else default


def write_config(folder: Path, resolved: Mapping[str, Any]) -> None:
    """Write the configuration of a run, with the mark by which it is known again."""
    (folder / CONFIG_FILE).write_text(f"{MARK}\n\n{dump(resolved)}", encoding="utf-8")


def check_run_folder(folder: Path, verb: str, written: Sequence[str]) -> None:
    """Raise when a run would write over what is of no run, or of a run of another verb.

    Parameters
    ----------
    verb
        Of `SECTION_OF_VERB`.
    written
        Names of the files that the run will write.

    Raises
    ------
    ConfigError
        Naming the files, or the other verb; also where a file is in the way of the folder.
    """
    found = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    if found.exists() and not found.is_dir():
        raise ConfigError(
            f"run.output must be a folder, got {folder}, and {found} is a file; name another place"
        )
    taken = [name for name in written if (folder / name).exists()]
    if not taken:
        return
    text = _text(folder / CONFIG_FILE)
    if not text.startswith(MARK) and not _has_traces(folder):
        raise ConfigError(
            f"run.output must be a folder of its own, got {folder}, where {taken} "
            f"{'is' if len(taken) == 1 else 'are'} of no run and would be written over; name "
            "another folder"
        )
    others = [other for other, section in SECTION_OF_VERB.items() if section in _sections(text)]
    if others and verb not in others:
        raise ConfigError(
            f"run.output must be a folder of its own, got {folder} with a run of tsfm {others[0]}; "
            "name another folder"
        )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _sections(text: str) -> Mapping[str, Any]:
    with suppress(tomllib.TOMLDecodeError):
        return tomllib.loads(text)
    return {}


def _has_traces(folder: Path) -> bool:
    if any(next(folder.glob(name), None) for name in TRACES):
        return True
    with suppress(ValueError):
        report = json.loads(_text(folder / REPORT_FILE))
        return isinstance(report, dict) and {"recipe", "config", "versions"} <= set(report)
    return False
