"""Frames in pickles, for a package that has nothing else.

A pickle may hold any code; what is no part of a frame is refused.
"""

import pickle
from io import BytesIO
from typing import Any

import pandas as pd

from tsfm.errors import DataError

SAFE = {
    ("builtins", "slice"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.numeric", "_frombuffer"),
    ("pandas._libs.internals", "_unpickle_block"),
    ("pandas.core.frame", "DataFrame"),
    ("pandas.core.indexes.base", "Index"),
    ("pandas.core.indexes.base", "_new_Index"),
    ("pandas.core.indexes.range", "RangeIndex"),
    ("pandas.core.internals.managers", "BlockManager"),
}
"""All that the pickle of a frame may name."""


class _FrameUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy.core.", "numpy._core.")
        if (module, name) not in SAFE:
            raise DataError(
                f"a pickle must hold a frame and nothing else, got {module}.{name}; it is not read"
            )
        return super().find_class(module, name)


def read_frame(content: bytes) -> pd.DataFrame:
    """Return the frame that a pickle holds.

    Raises
    ------
    DataError
        When it names anything that is no part of a frame.
    """
    return _FrameUnpickler(BytesIO(content)).load()
