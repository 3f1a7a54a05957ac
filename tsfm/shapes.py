"""Legend of axes and the named tensor types.

Axes, always in this order: ``batch`` · ``item`` · ``quantile`` · ``time`` (``context``,
``horizon``) · ``channel`` for values; ``batch channel token d_model`` inside models;
``day stock feature`` for panels.

The checks run in the tests only (pytest's ``--jaxtyping-packages``), so jaxtyping is a
development dependency; without it the annotations fall back to the bare array type.
"""

from typing import TYPE_CHECKING, Any

from numpy import ndarray
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32, Float64, Int, Num
else:
    try:
        from jaxtyping import Bool, Float, Float32, Float64, Int, Num
    except ImportError:

        class _Unchecked:
            def __class_getitem__(cls, item: tuple[Any, str]) -> Any:
                return item[0]

        Bool = Float = Float32 = Float64 = Int = Num = _Unchecked

Values = Float[Tensor, "batch time channel"]
Observed = Bool[Tensor, "batch time channel"]
Inside = Bool[Tensor, "batch time"]
Tokens = Float[Tensor, "batch channel token d_model"]
Patches = Float[Tensor, "batch channel token patch"]
PatchMask = Bool[Tensor, "batch channel token patch"]
Scalar = Float[Tensor, ""]

__all__ = [
    "Bool",
    "Float",
    "Float32",
    "Float64",
    "Inside",
    "Int",
    "Num",
    "Observed",
    "PatchMask",
    "Patches",
    "Scalar",
    "Tensor",
    "Tokens",
    "Values",
    "ndarray",
]
