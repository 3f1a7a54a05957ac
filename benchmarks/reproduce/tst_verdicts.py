"""The table of TST in words: what pre-training is worth, and whether the bar is met."""

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl
from tables import published, standard_error

DEEP = ("InceptionTime",)
# Published scores have four places.
ROUNDING = 5e-5


def verdicts(frame: pl.DataFrame, names: Mapping[str, str]) -> Iterator[str]:
    """Say of every set what pre-training is worth, seed by seed, and how the bar was met."""
    lines = []
    for (name, metric), part in frame.group_by(["dataset", "metric"], maintain_order=True):
        sign = -1 if metric == "rmse" else 1
        arms = {
            arm: part.filter(model=row).sort("seed")["value"].to_numpy()
            for arm, row in names.items()
        }
        words = [
            f"{arm} {gain(sign * (arms[arm] - arms['scratch']))}"
            for arm in ("target", "pool")
            if len(arms[arm]) == len(arms["scratch"]) > 1
        ]
        lines.append(f"- {name}: {'; '.join([*words, bar(str(name), sign, part, names)])}.")
    yield "Against scratch, paired by seed, and against the bar:\n\n" + "\n".join(lines)


def gain(by_seed: np.ndarray) -> str:
    """Say whether a gain is beyond its spread."""
    error = standard_error(by_seed)
    if by_seed.mean() > 2 * error:
        says = "beats scratch"
    elif by_seed.mean() < -2 * error:
        says = "is worse than scratch"
    else:
        says = "does not differ from scratch beyond two standard errors"
    return f"{says} ({by_seed.mean():+.4f} ± {error:.4f})"


def bar(name: str, sign: int, part: pl.DataFrame, names: Mapping[str, str]) -> str:
    """Say how two arms, seeds together where that was scored, compare with the bar."""
    deep = published("tst").filter(pl.col("model").is_in(DEEP), dataset=name)
    if not len(deep):
        deep = part.filter(label="baseline")
    wanted = sign * float((sign * deep["value"]).max())
    words = []
    for arm in ("scratch", "target"):
        of_arm = [part.filter(model=f"{names[arm]}{end}")["value"] for end in (", together", "")]
        ours = next((float(values.mean()) for values in of_arm if len(values)), np.nan)
        says = "meets" if sign * (ours - wanted) > -ROUNDING else "misses"
        words.append(f"{arm} {says} it by {abs(ours - wanted):.4f}")
    who = deep.filter(value=wanted)["model"][0]
    return f"the bar is {who} at {wanted:.4f}, {' and '.join(words)}"
