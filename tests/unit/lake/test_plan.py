"""No item may be split between units, and none may be forgotten."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from tsfm.lake.parts import Part
from tsfm.lake.plan import make_plan

LAKES = st.lists(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 9), max_size=4),
    min_size=1,
    max_size=6,
)


def _lake(content: list[dict[str, int]]) -> tuple[list[Part], list[pl.DataFrame]]:
    schema = {"item": pl.String, "rows": pl.Int64}
    items = [
        pl.DataFrame({"item": list(one), "rows": list(one.values())}, schema=schema)
        for one in content
    ]
    parts = [
        Part(f"in/{n}.parquet", f"{n}.parquet", f"digest {n}", sum(one.values()), len(one))
        for n, one in enumerate(content)
    ]
    return parts, items


@given(LAKES, st.integers(1, 40))
def test_every_part_is_written_once_and_every_item_solved_once(content, rows_at_once):
    parts, items = _lake(content)
    plan = make_plan(parts, items, rows_at_once=rows_at_once)
    written = [one.part.name for one in (*plan.wholes, *plan.merges)]
    assert sorted(written) == sorted(part.name for part in parts)
    solved = [item for chunk in plan.chunks for item in chunk.items]
    alone = [item for one in plan.wholes for item in content[int(one.part.name.split(".")[0])]]
    assert sorted(solved + alone) == sorted(set().union(*content))
    for chunk in plan.chunks:
        holders = {f"{n}.parquet" for n, one in enumerate(content) if set(one) & set(chunk.items)}
        assert holders == {part.name for part in chunk.parts}
        assert len(chunk.items) == 1 or chunk.n_rows <= rows_at_once + 9 * len(content)
    for merge in plan.merges:
        own = set(content[int(merge.part.name.split(".")[0])])
        keys = {chunk.key for chunk in plan.chunks if own & set(chunk.items)}
        assert keys == set(merge.chunks)


def test_a_partition_changes_with_any_of_its_parts_and_no_other():
    parts, items = _lake([{"a": 1}, {"a": 1, "b": 2}, {"c": 3}])
    before = make_plan(parts, items).partitions()
    changed = [Part("in/0.parquet", "0.parquet", "another", 1, 1), *parts[1:]]
    after = make_plan(changed, items).partitions()
    assert [name for name in before if before[name] != after[name]] == ["0.parquet", "1.parquet"]


def test_what_is_done_is_not_planned_again():
    parts, items = _lake([{"a": 1}, {"a": 1, "b": 2}, {"c": 3}])
    plan = make_plan(parts, items)
    left = plan.without({"0.parquet", "2.parquet"})
    assert [one.part.name for one in left.merges] == ["1.parquet"]
    assert len(left.chunks) == 1
    assert not left.wholes
    assert not plan.without({part.name for part in parts}).chunks
