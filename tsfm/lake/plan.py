"""The plan: which parts can be filled by themselves, and which share items with others."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from tsfm.errors import DataError
from tsfm.lake.parts import Part
from tsfm.series.blanks import refuse_blank_twins

ROWS_AT_ONCE = 2_000_000
"""Rows whose ids, stamps and targets are in memory together, if no item alone has more."""


@dataclass(frozen=True)
class Whole:
    """A part that shares no item with another."""

    part: Part
    partition: str

    @property
    def n_rows(self) -> int:
        """Rows that are read."""
        return self.part.n_rows


@dataclass(frozen=True)
class Chunk:
    """Some items of parts that share items; what is filled is kept until the parts are written."""

    key: str
    parts: tuple[Part, ...]
    items: tuple[str, ...]
    n_rows: int


@dataclass(frozen=True)
class Merge:
    """A part that is written from what several chunks filled."""

    part: Part
    partition: str
    chunks: tuple[str, ...]

    @property
    def n_rows(self) -> int:
        """Rows that are written."""
        return self.part.n_rows


@dataclass(frozen=True)
class Plan:
    """First every `Whole` and `Chunk`, in any order; then every `Merge`."""

    wholes: tuple[Whole, ...]
    chunks: tuple[Chunk, ...]
    merges: tuple[Merge, ...]

    def without(self, done: set[str]) -> "Plan":
        """Return what is left when the parts of these names are done."""
        merges = tuple(one for one in self.merges if one.part.name not in done)
        needed = {key for merge in merges for key in merge.chunks}
        return Plan(
            tuple(one for one in self.wholes if one.part.name not in done),
            tuple(one for one in self.chunks if one.key in needed),
            merges,
        )

    def partitions(self) -> dict[str, str]:
        """Return, by name of part, the digest of all input that its output depends on."""
        of_wholes = {one.part.name: one.partition for one in self.wholes}
        return of_wholes | {one.part.name: one.partition for one in self.merges}


def find_blank_twins(parts: Sequence[Part], items: Sequence[pl.DataFrame]) -> dict[str, str]:
    """Return, by name of part, what is wrong where ids differ by nothing but blanks around them.

    Such ids may lie in different files, which nobody would see who fills one after the other.
    """
    ids = pl.concat([pl.Series("item", [], pl.String), *(one["item"] for one in items)]).unique()
    stripped = ids.str.strip_chars()
    ids = ids.filter(stripped.is_duplicated())
    found = {}
    for part, own in zip(parts, items, strict=True) if len(ids) else ():
        shared = own["item"].filter(own["item"].is_in(ids.implode())).str.strip_chars()
        named = ids.filter(ids.str.strip_chars().is_in(shared.implode()))
        name = part.columns.id if part.columns else ""
        try:
            refuse_blank_twins(named, f"{part.source}: column {name!r}")
        except DataError as error:
            found[part.name] = str(error)
    return found


def make_plan(
    parts: Sequence[Part],
    items: Sequence[pl.DataFrame],
    *,
    rows_at_once: int = ROWS_AT_ONCE,
) -> Plan:
    """Group parts that share items, and cut groups that are too large for memory by item.

    The plan depends on the lake alone, never on who works on it, so neither does any value.

    Parameters
    ----------
    items
        Of every part: columns `item` and `rows`, as of `scan`.
    """
    wholes, chunks, merges = [], [], []
    table = pl.concat(
        [
            pl.DataFrame(schema={"item": pl.String, "rows": pl.Int64, "part": pl.Int64}),
            *(one.with_columns(pl.lit(n, pl.Int64).alias("part")) for n, one in enumerate(items)),
        ]
    )
    for group in _groups(table, len(parts)):
        members = [parts[number] for number in group]
        partition = _digest(members)
        total = sum(part.n_rows for part in members)
        if len(members) == 1 and (total <= rows_at_once or len(items[group[0]]) < 2):
            wholes.append(Whole(members[0], partition))
            continue
        of_part: dict[int, list[str]] = defaultdict(list)
        own = table.filter(pl.col("part").is_in(group))
        for chunk, numbers in _cut(own, parts, partition, rows_at_once):
            chunks.append(chunk)
            for number in numbers:
                of_part[number].append(chunk.key)
        merges += [Merge(parts[n], partition, tuple(of_part[n])) for n in group]
    return Plan(tuple(wholes), tuple(chunks), tuple(merges))


def _groups(table: pl.DataFrame, n_parts: int) -> list[list[int]]:
    """Return the connected components of parts by shared items, in the order of the parts."""
    root = list(range(n_parts))

    def find(one: int) -> int:
        while root[one] != one:
            root[one] = root[root[one]]
            one = root[one]
        return one

    shared = table.group_by("item").agg(pl.col("part").unique().sort()).select("part").unique()
    for together in shared["part"].to_list():
        for other in together[1:]:
            low, high = sorted((find(together[0]), find(other)))
            root[high] = low
    groups: Mapping[int, list[int]] = defaultdict(list)
    for number in range(n_parts):
        groups[find(number)].append(number)
    return list(groups.values())


def _cut(
    table: pl.DataFrame, parts: Sequence[Part], partition: str, rows_at_once: int
) -> list[tuple[Chunk, list[int]]]:
    """Cut the items of a group, in their order, into chunks of so many rows."""
    totals = table.group_by("item").agg(pl.col("rows").sum()).sort("item")
    number = (totals["rows"].cum_sum() - totals["rows"]) // rows_at_once
    numbered = totals.with_columns(number.alias("chunk"))
    found = []
    for count, (_, own) in enumerate(numbered.group_by("chunk", maintain_order=True)):
        names = own["item"].to_list()
        members = table.filter(pl.col("item").is_in(names))["part"].unique().sort().to_list()
        key = f"{partition[:16]}-{count:05d}"
        rows = int(np.sum(own["rows"].to_numpy()))
        chunk = Chunk(key, tuple(parts[one] for one in members), tuple(names), rows)
        found.append((chunk, members))
    return found


def _digest(parts: Sequence[Part]) -> str:
    content = "\n".join(sorted(f"{part.name} {part.digest}" for part in parts))
    return hashlib.sha256(content.encode()).hexdigest()
