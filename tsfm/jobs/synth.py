"""Series of the synthetic prior in a file, with the family of each beside it."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tsfm.arguments import at_least_one
from tsfm.environment import ran_on
from tsfm.errors import ConfigError
from tsfm.jobs.reports import REPORT_FILE, check_report_place, write_report
from tsfm.series.files import check_output, write_output
from tsfm.series.frequency import MONTHS, WEEKDAYS, YEAR_MONTHS, grid_of, parse_alias
from tsfm.series.grids import DAY, month_days
from tsfm.shapes import Int, ndarray
from tsfm.synthetic.mixture import FAMILIES, SHARES, SyntheticMixture

# Series drawn at once, so that many of them need no more memory than the frame itself.
BLOCK = 256
# A Saturday and the first of a year; its Monday is the first working day of the year.
FIRST_DAY = int(np.datetime64("2000-01-01", "D").astype(np.int64))
FIRST_MONTH = int(np.datetime64("2000-01", "M").astype(np.int64))


def run(
    output: Path,
    *,
    n_series: int = 100,
    length: int = 1024,
    families: Sequence[str] = (),
    seed: int = 0,
    freq: str = "h",
    missing_share: float = 0.0,
) -> dict[str, Any]:
    """Draw series and write them in long form; the same options give the same bytes.

    Parameters
    ----------
    output
        Parquet or CSV, with columns ``item_id``, ``timestamp``, ``target`` and ``family``, the
        main process of the series.
    n_series, length
        Series, and steps of each.
    families
        Names of processes, all equally often; by default all of the prior, in its shares.
    freq
        pandas alias of the stamps, which begin with the year 2000. Seasons are drawn in steps, so
        it changes nothing but the stamps.
    missing_share
        Share of the series with stretches of missing values.

    Returns
    -------
    report
        What ``report.json``, beside the output, holds, with ``message``.

    Raises
    ------
    ConfigError
        When an option is wrong.
    DataError
        When the output cannot be written under its name, or its report would replace another file.
    """
    started = time.perf_counter()
    check_output(output)
    report_file = Path(output).with_name(REPORT_FILE)
    check_report_place(str(report_file))
    at_least_one("n_series", n_series)
    if seed < 0:
        raise ConfigError(f"seed must not be negative, got {seed}; pass 0 or more")
    families = [name.strip() for name in families]
    unknown = sorted(set(families) - set(FAMILIES))
    if unknown:
        raise ConfigError(f"families must be among {sorted(FAMILIES)}, got {unknown}")
    shares = dict.fromkeys(families, 1.0) if families else dict(SHARES)
    mixture = SyntheticMixture(length=length, shares=shares, missing_share=missing_share)
    stamps = _stamps(freq, length)
    frame = _frame(mixture, n_series, np.random.default_rng(seed), stamps)
    report_file.unlink(missing_ok=True)
    write_output(frame, output)
    of_family = frame.group_by("family").agg(pl.col("item_id").n_unique()).sort("family")
    report = {
        "output": str(output),
        "series": n_series,
        "points": frame.height,
        "missing": frame["target"].null_count(),
        "families": dict(of_family.iter_rows()),
        "length": length,
        "seed": seed,
        "freq": freq,
        "missing_share": missing_share,
        "seconds": round(time.perf_counter() - started, 3),
        **ran_on(),
    }
    write_report(report_file, report)
    message = f"{n_series:,} series of {length:,} steps in {output}, report in {report_file}"
    return {**report, "message": message}


def _frame(
    mixture: SyntheticMixture, n_series: int, generator: np.random.Generator, stamps: pl.Series
) -> pl.DataFrame:
    width = len(str(n_series - 1))
    blocks = []
    for first in range(0, n_series, BLOCK):
        size = min(BLOCK, n_series - first)
        names, rows = mixture.sample_named(size, generator)
        repeated = np.repeat(np.arange(size), mixture.length)
        items = pl.Series([f"synthetic_{first + number:0{width}}" for number in range(size)])
        blocks.append(
            pl.DataFrame(
                {
                    "item_id": items.gather(repeated),
                    "timestamp": pl.concat([stamps] * size),
                    "target": pl.Series(rows.ravel()).fill_nan(None),
                    "family": pl.Series(names).gather(repeated),
                }
            )
        )
    return pl.concat(blocks)


def _stamps(freq: str, length: int) -> pl.Series:
    """Return the stamps of an alias from about the beginning of the year 2000 on."""
    origin: Int[ndarray, " row"] = np.array([_first_day(freq) * DAY])
    grid = grid_of(freq, origin, np.array([True]))
    places = grid.ordinals(origin, origin) + np.arange(length)
    numbers = grid.stamps(places, np.repeat(origin, length))
    return pl.Series(numbers).cast(pl.Datetime("us"))


def _first_day(freq: str) -> int:
    """Return the first day of an alias with its anchor, in days since 1970."""
    _, unit = parse_alias(freq)
    name, _, anchor = freq.lstrip("0123456789").partition("-")
    if unit in MONTHS:
        is_end = name.endswith("E")
        month = FIRST_MONTH - is_end  # what ends begins with the end of the year before
        if anchor:
            month += (YEAR_MONTHS.index(anchor) - month) % MONTHS[unit]
        return int(month_days(np.array([month]), 0 if is_end else 1, unit.startswith("B"))[0])
    if unit == "W":
        return FIRST_DAY + (WEEKDAYS.index(anchor or "SUN") - WEEKDAYS.index("SAT")) % 7
    return FIRST_DAY + (2 if unit == "B" else 0)
