"""Seeds of a recipe, one run each: the spread over them is an error only if no two are the same."""

from typing import Annotated

from pydantic import AfterValidator, Field


def _different(seeds: tuple[int, ...]) -> tuple[int, ...]:
    twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twice:
        raise ValueError(
            f"seeds must differ, got {list(seeds)} with {twice} more than once; the same seed "
            "gives the same run again, so that the spread would be too small"
        )
    return seeds


Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0, lt=2**63)], ...],
    Field(min_length=1),
    AfterValidator(_different),
]
