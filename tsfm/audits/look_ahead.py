"""The look-ahead audit: change the future, and nothing before it may move."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from tsfm.audits.comparison import canonical
from tsfm.audits.cutoffs import choose_cutoffs
from tsfm.audits.frames import open_frame
from tsfm.audits.perturbation import PERTURBATIONS, Keys
from tsfm.audits.watching import Watched, watch
from tsfm.errors import DataError


@dataclass(frozen=True)
class AuditReport:
    """What an audit found.

    Parameters
    ----------
    leaks
        One row per column that moved, of the kind of frame that came in: ``column`` (``(rows)``
        where rows came or went), ``first_affected`` (the earliest stamp that moved), ``cutoff``
        (after which the future was changed then), ``size`` (of the largest change, in standard
        deviations of the column; infinite where a value came or went; the number of rows for
        ``(rows)``), ``share`` (of the watched values that moved), ``n_cutoffs`` (at which it
        moved) and ``perturbation`` (those that are enough by themselves).
    cutoffs
        All stamps after which the future was changed.
    n_calls
        Of the audited function.
    """

    leaks: Any
    cutoffs: tuple[Any, ...]
    n_calls: int
    table: pl.DataFrame = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether nothing moved."""
        return self.table.is_empty()

    def __str__(self) -> str:
        count = len(self.cutoffs)
        asked = f"{count} cutoff{'' if count == 1 else 's'}"
        if self.ok:
            return f"no look-ahead: after {asked} the future was changed, and nothing before moved"
        header = ("column", "first affected", "cutoff", "size", "share", "at", "perturbation")
        rows = [header] + [
            (
                row["column"],
                str(row["first_affected"]),
                str(row["cutoff"]),
                f"{row['size']:.3g}",
                f"{row['share']:.1%}",
                f"{row['n_cutoffs']} of {count}",
                row["perturbation"],
            )
            for row in self.table.iter_rows(named=True)
        ]
        widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([f"look-ahead: the future moved {len(self.table)} columns", *lines])


def audit(
    fn: Callable[[Any], Any],
    df: Any,
    n_cutoffs: int = 50,
    seed: int = 0,
    *,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    target: str | Sequence[str] | None = None,
    start: Any = None,
    cutoffs: Sequence[Any] | None = None,
    tolerance: float = 0.0,
    perturbations: Sequence[str] = PERTURBATIONS,
) -> AuditReport:
    """Change everything after many cutoffs, call `fn` again, and compare all rows up to them.

    Parameters
    ----------
    fn
        Takes a frame such as `df` and returns one, of any kind, with one row per item and stamp
        and whatever columns are to be watched: features, scores, labels. Rows may be left out, as
        a universe does. Random numbers in it must be seeded.
    n_cutoffs
        How many of the stamps, drawn at random without the last; all of them when there are fewer.
    id_column
        A frame without one is one item.
    target
        Columns whose future is changed; by default all but the keys.
    start
        First cutoff, which is always among them: for what is fitted on a training part, the end
        of that part.
    cutoffs
        Use these stamps.
    tolerance
        Largest change that is none, in standard deviations of the column. The default compares bit
        by bit, missing with missing being equal: any other number hides leaks below it, and is
        only right for what rounds differently when it is computed in other company, as batches of
        a model are.
    perturbations
        What may happen to the future, when not all of it makes sense for `fn`.

    Returns
    -------
    report
        ``report.ok``, ``report.leaks``, and a table as its text.

    Raises
    ------
    ConfigError
        When `fn` gives different results for the same frame, or an option is wrong.
    DataError
        When the frame or what `fn` returns lacks a key, no row of it is at or before a cutoff, or
        `fn` fails on another future.

    Notes
    -----
    `fn` is called twice with `df`, once per cutoff, and, where something moved, once more per
    perturbation to say which of them is enough.

    Examples
    --------
    >>> import tsfm
    >>> frame = pl.DataFrame({"timestamp": range(60), "target": [float(i % 7) for i in range(60)]})
    >>> tsfm.audit(lambda df: df.with_columns(pl.col("target").cum_max()), frame).ok
    True
    >>> report = tsfm.audit(lambda df: df.with_columns(pl.col("target") / pl.max("target")), frame)
    >>> report.leaks.select("column", "first_affected").rows()
    [('target', 1)]
    """
    frame, keys, columns, kind = open_frame(df, id_column, timestamp_column, target)
    stamp_type = frame[keys.timestamp].dtype
    chosen = choose_cutoffs(frame[keys.timestamp], n_cutoffs, seed, start=start, cutoffs=cutoffs)

    def observe(known: pl.DataFrame, _: pl.Series | None) -> pl.DataFrame:
        made = kind.read(fn(kind.write(known)))
        _check_long(made, known, keys)
        return canonical(made, keys, stamp_type)

    found = watch(
        observe,
        frame,
        keys,
        columns,
        chosen,
        seed=seed,
        tolerance=tolerance,
        perturbations=perturbations,
    )
    if not found.n_rows and not any(found.moves):
        raise DataError(
            "fn must return rows up to a cutoff, got none to compare; keep ids and stamps as they "
            "come in, or pass later cutoffs="
        )
    table = leak_table(found, chosen)
    return AuditReport(kind.plain(table), tuple(chosen), found.n_calls, table)


def _check_long(made: pl.DataFrame, known: pl.DataFrame, keys: Keys) -> None:
    """Refuse a column per item: one that is new would look like something that moved."""
    if keys.item is None or keys.item in made.columns:
        return
    items = set(known[keys.item].unique().cast(pl.String)) & set(made.columns)
    if items:
        raise DataError(
            f"fn must return the column {keys.item!r} and a row per item and stamp, got a column "
            f"per item, such as {min(items)!r}; make it long with tsfm.to_long"
        )


def leak_table(found: Watched, cutoffs: pl.Series) -> pl.DataFrame:
    """Return one row per column that moved, as `AuditReport` describes them."""
    rows: dict[str, dict[str, Any]] = {}
    for cutoff, moves in zip(cutoffs, found.moves, strict=True):
        for move in moves:
            row = rows.setdefault(
                move.column,
                {
                    "column": move.column,
                    "first_affected": move.first,
                    "cutoff": cutoff,
                    "size": 0.0,
                    "share": 0.0,
                    "n_cutoffs": 0,
                    "perturbation": ", ".join(found.causes.get(move.column, ["together"])),
                },
            )
            if move.first < row["first_affected"]:
                row |= {"first_affected": move.first, "cutoff": cutoff}
            row["size"] = max(row["size"], move.size)
            row["share"] += move.n_moved / max(found.n_rows, 1)
            row["n_cutoffs"] += 1
    schema: dict[str, Any] = {
        "column": pl.String,
        "first_affected": cutoffs.dtype,
        "cutoff": cutoffs.dtype,
        "size": pl.Float64,
        "share": pl.Float64,
        "n_cutoffs": pl.Int64,
        "perturbation": pl.String,
    }
    return pl.DataFrame(list(rows.values()), schema=schema)
