"""OnDevice: what every task that reads with one model begins with."""

from pathlib import Path

import torch

from tsfm.errors import ConfigError
from tsfm.models.model import TimeSeriesModel
from tsfm.models.pretrained import save_pretrained
from tsfm.tasks.arguments import find_device


class OnDevice:
    """A model ready to read, on a device.

    Parameters
    ----------
    device
        A device that torch knows; ``"auto"`` takes a GPU when there is one.

    Raises
    ------
    ConfigError
        When there is no such device, or the model is not a loaded one.
    """

    def __init__(self, model: TimeSeriesModel, *, device: str = "auto") -> None:
        if not isinstance(model, TimeSeriesModel):
            got = repr(str(model)) if isinstance(model, str | Path) else type(model).__name__
            raise ConfigError(
                f"model must be a TimeSeriesModel, got {got}; load one by its name with "
                f"tsfm.{type(self).__name__}.from_pretrained"
            )
        self.device = find_device(device)
        self.model = model.eval().to(self.device)

    def move_to(self, device: str) -> None:
        """Move the model to a device, where it stays; ``"auto"`` leaves it where it is."""
        self.device = self.place(device)
        self.model.to(self.device)

    def place(self, device: str) -> torch.device:
        """Return a device by its name; ``"auto"`` is where the model is."""
        return self.device if device == "auto" else find_device(device)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the model to a folder."""
        return save_pretrained(self.model, folder)
