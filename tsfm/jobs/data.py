"""Data sets: list them, find them, check them, and build the pool that pre-training reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tsfm.series.cards import file_digest, find_file, list_cards, load_card, require_file
from tsfm.series.pool import SingleSeriesPool
from tsfm.series.pool_builder import build_pool


def build(inputs: Sequence[str | Path], output: Path) -> dict[str, Any]:
    """Build a single-series pool; every file is a data set, named as the file."""
    build_pool(inputs, output)
    pool = SingleSeriesPool.open(output)
    text = f"{len(pool)} series, {pool.n_points} points in {output}"
    return {"series": len(pool), "points": pool.n_points, "message": text}


def list_data() -> dict[str, Any]:
    """List the cards, and where the file of each is."""
    places = {name: find_file(load_card(name)) for name in list_cards()}
    lines = [f"{name}: {place or 'not here'}" for name, place in places.items()]
    return {"cards": places, "message": "\n".join(lines)}


def path(name: str) -> dict[str, Any]:
    """Return where the file of a data set is."""
    file = require_file(load_card(name))
    return {"path": str(file), "message": str(file)}


def verify() -> dict[str, Any]:
    """Compare every file that is here with the checksum on its card."""
    found = {name: find_file(load_card(name)) for name in list_cards()}
    here = {name: file for name, file in found.items() if file is not None}
    failed = [
        f"{file} must have the checksum of its card"
        for name, file in here.items()
        if file_digest(file) != load_card(name).sha256
    ]
    return {"failed": failed, "message": f"{len(here)} of {len(found)} files are here"}
