"""PyPI CityLearn 2.1.2, MIT: metered homes of the 2022 challenge; no licence of the data is stated.

The other folders of the package are simulated and left out.
"""

import pandas as pd

from from_packages.series import from_wide, on_grid
from from_packages.wheels import Wheel

FOLDER = "citylearn/data/citylearn_challenge_2022_phase_all"
FIRST_HOUR = "2016-08-01"
"""The files say month and hour alone and begin in August; the year is ours."""


def homes(wheel: Wheel) -> pd.DataFrame:
    """Load and photovoltaics of each home, the weather, and the carbon intensity of the grid."""
    columns = {}
    for home in range(1, 18):
        frame = wheel.csv(f"{FOLDER}/Building_{home}.csv")
        columns[f"load_{home:02d}"] = frame["Equipment Electric Power [kWh]"]
        columns[f"solar_{home:02d}"] = frame["Solar Generation [W/kW]"]
    del columns["solar_15"]  # nearly all zero
    weather = wheel.csv(f"{FOLDER}/weather.csv")
    for place in range(4):  # the columns after these are forecasts
        columns[f"weather_{place}"] = weather.iloc[:, place]
    columns["grid_carbon"] = wheel.csv(f"{FOLDER}/carbon_intensity.csv").iloc[:, 0]
    wide = pd.DataFrame(columns)
    wide.index = pd.date_range(FIRST_HOUR, periods=len(wide), freq="h")
    return on_grid(from_wide(wide), "h")


SETS = {"citylearn_2022_homes_hourly": homes}
