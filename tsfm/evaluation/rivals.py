"""Rivals: what stands in a results table, and what its weights have seen."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tsfm.tasks.forecasting.baselines import ArrayForecaster


@dataclass(frozen=True)
class Rival:
    """A forecaster under the name it has in a table.

    Parameters
    ----------
    trained_on
        Names of the cards whose values the weights have seen.
    n_parameters
        None for what has no weights.
    """

    name: str
    kind: Literal["model", "baseline"]
    forecaster: ArrayForecaster
    trained_on: tuple[str, ...] = ()
    n_parameters: int | None = None

    def label(self, dataset: str) -> str:
        """Return how a score on `dataset` came about; what was trained on it is never zero-shot."""
        if self.kind == "baseline":
            return "baseline"
        return "seen" if dataset in self.trained_on else "zero-shot"

    def facts(self) -> dict[str, Any]:
        """Return what a report says about a model."""
        return {"n_parameters": self.n_parameters, "trained_on": list(self.trained_on)}


def load_rival(name: str, *, device: str = "auto") -> Rival:
    """Load a model by its bundled name, folder or MLflow address.

    A folder is called by its last part: the whole path says nothing about the model.
    """
    from tsfm.tasks.forecast import Forecaster

    forecaster = Forecaster.from_pretrained(name, device=device)
    model = forecaster.model
    return Rival(
        name=Path(name).name if Path(name).is_dir() else name,
        kind="model",
        forecaster=forecaster,
        trained_on=tuple(model.trained_on),
        n_parameters=sum(parameter.numel() for parameter in model.parameters()),
    )
