"""The MLflow flavor of this package: models that MLflow logs, registers, loads and serves.

A logged model is a checkpoint folder (`config.json` and `model.safetensors`) beside MLflow's own
files. No pickle is written or read.
"""

import importlib
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from tsfm import __version__
from tsfm.errors import CheckpointError, DataError, TsfmError, UnsupportedError
from tsfm.mlflow_store import DEFAULT_URI, import_mlflow
from tsfm.mlflow_tracker import tracker_here
from tsfm.models.pretrained import fetch
from tsfm.tasks.forecasting.quantiles import DECILES
from tsfm.tracking import NoTracker, set_default_tracker

FLAVOR = "tsfm"
KIND_FILE = "kind.json"
# What MLflow's server sets in its own process.
SERVED = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"


class Kind(NamedTuple):
    """Where a kind of model lives, what it is asked with, and the parameters of that call."""

    home: str
    method: str
    params: Mapping[str, Any]


_COLUMNS = {
    "id_column": "item_id",
    "timestamp_column": "timestamp",
    "target": ["target"],
    "freq": None,
    "calendar": None,
}
KINDS = {
    "Forecaster": Kind(
        "tsfm.tasks.forecast",
        "predict",
        {"prediction_length": 24, "quantile_levels": list(DECILES), **_COLUMNS},
    ),
    "Imputer": Kind(
        "tsfm.tasks.impute",
        "impute",
        {"quantile_levels": [], "mode": None, "max_gap": None, **_COLUMNS},
    ),
    "Detector": Kind("tsfm.tasks.detect", "detect", _COLUMNS),
    "Embedder": Kind("tsfm.tasks.embed", "embed", _COLUMNS),
    "SeriesClassifier": Kind("tsfm.tasks.classify", "predict", {}),
    "SeriesRegressor": Kind("tsfm.tasks.classify", "predict", {}),
    "StockRanker": Kind(
        "tsfm.stocks.ranker",
        "rank",
        {
            "n_days": 0,
            "id_column": "item_id",
            "timestamp_column": "timestamp",
            "sector_column": None,
            "calendar": None,
        },
    ),
}
# Of parameters whose default does not tell.
_TYPES = {"quantile_levels": float, "max_gap": int}


def save_model(
    model: Any,
    path: str | Path,
    *,
    mlflow_model: Any = None,
    input_example: Any = None,
    pip_requirements: list[str] | None = None,
    metadata: dict[str, Any] | None = None,
) -> None:
    """Write a model as a folder that MLflow loads.

    Parameters
    ----------
    model
        A `Forecaster`, `Imputer`, `Detector`, `Embedder`, `SeriesClassifier`, `SeriesRegressor`
        or `StockRanker`.
    path
        Of a folder that does not exist yet.
    pip_requirements
        By default this version of the package.

    Raises
    ------
    UnsupportedError
        When the model is of no such kind.
    """
    name = type(model).__name__
    if name not in KINDS:
        raise UnsupportedError(f"model must be one of {sorted(KINDS)}, got {name}")
    import_mlflow()
    from mlflow import pyfunc
    from mlflow.models import Model

    described = mlflow_model or Model()
    described.add_flavor(FLAVOR, kind=name, tsfm_version=__version__)
    with TemporaryDirectory(prefix="tsfm-") as scratch, warnings.catch_warnings():
        # The signature names parameters only, for which there is no example.
        warnings.filterwarnings("ignore", ".*An input example was not provided", UserWarning)
        folder = Path(model.save_pretrained(Path(scratch) / FLAVOR))
        (folder / KIND_FILE).write_text(json.dumps({"kind": name}) + "\n", encoding="utf-8")
        pyfunc.save_model(
            path=str(path),
            loader_module="tsfm.mlflow",
            data_path=str(folder),
            mlflow_model=described,
            signature=_signature(KINDS[name]),
            input_example=input_example,
            pip_requirements=pip_requirements or [f"tsfm-kit=={__version__}"],
            metadata=metadata,
        )


def log_model(
    model: Any,
    *,
    name: str = "model",
    registered_model_name: str | None = None,
    input_example: Any = None,
    pip_requirements: list[str] | None = None,
    metadata: dict[str, Any] | None = None,
) -> Any:
    """Log a model, to the active run where there is one; see `save_model`.

    Where no address was set, MLflow's becomes ``sqlite:///mlflow.db``, as for every run of ours.

    Parameters
    ----------
    registered_model_name
        Also makes a version of a registered model.

    Returns
    -------
    ModelInfo
        MLflow's: its ``model_uri`` loads the model again.
    """
    mlflow = import_mlflow()
    from mlflow.models import Model

    if not mlflow.is_tracking_uri_set():
        mlflow.set_tracking_uri(DEFAULT_URI)
    return Model.log(
        artifact_path=None,
        name=name,
        flavor=importlib.import_module("tsfm.mlflow"),
        registered_model_name=registered_model_name,
        model=model,
        input_example=input_example,
        pip_requirements=pip_requirements,
        metadata=metadata,
    )


def load_model(model_uri: str | Path) -> Any:
    """Load what was saved or logged, as the class that it was.

    Parameters
    ----------
    model_uri
        A folder, ``models:/name@alias``, ``models:/name/3`` or ``runs:/run_id/name``.

    Raises
    ------
    CheckpointError
        When there is no such model, or it is no model of this package.
    """
    mlflow = import_mlflow()
    with TemporaryDirectory(prefix="tsfm-") as scratch:
        folder = Path(model_uri)
        if not folder.is_dir():
            fetch(str(model_uri), Path(scratch))
            folder = next((file.parent for file in Path(scratch).rglob("MLmodel")), Path(scratch))
        try:
            flavors = mlflow.models.Model.load(str(folder)).flavors
        except Exception:  # there is no MLmodel, or it is none
            flavors = {}
        if FLAVOR not in flavors:
            raise CheckpointError(
                f"model {str(model_uri)!r} must be one that tsfm.mlflow wrote, got flavors "
                f"{sorted(flavors)}; load others with mlflow.pyfunc"
            )
        return _load(folder / flavors["python_function"]["data"])


def autolog(*, disable: bool = False, experiment: str = "tsfm") -> None:
    """Record every fine-tuning from now on as an MLflow run: parameters, losses, data.

    Inside an active run of MLflow it is a run below that one.

    Parameters
    ----------
    disable
        Stop doing so.
    experiment
        Of runs outside of an active one; made when it does not exist.
    """
    set_default_tracker(NoTracker if disable else lambda: tracker_here(experiment))


class _PyFunc:
    """What `mlflow.pyfunc.load_model` wraps: a frame in, a frame out."""

    def __init__(self, model: Any, kind: Kind) -> None:
        self.model, self.kind = model, kind

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Ask the model with the parameters of its signature; empty ones take its defaults.

        What is wrong with the input is MLflow's own error here: its server answers with a trace
        for any other.
        """
        asked = {key: value for key, value in (params or {}).items() if _is_given(value)}
        given = {key: value for key, value in self.kind.params.items() if _is_given(value)} | asked
        if "target" in given:
            names = [str(name) for name in given["target"]]
            given["target"] = names[0] if len(names) == 1 else names
        try:
            found = getattr(self.model, self.kind.method)(_as_frame(model_input), **given)
        except TsfmError as error:
            exceptions = import_mlflow().exceptions
            raise exceptions.MlflowException.invalid_parameter_value(str(error)) from error
        return _for_json(found) if os.environ.get(SERVED) == "true" else found


def _load_pyfunc(path: str) -> _PyFunc:
    """Entry point that `mlflow.pyfunc` calls by name."""
    model = _load(Path(path))
    return _PyFunc(model, KINDS[type(model).__name__])


def _load(folder: Path) -> Any:
    name = json.loads((folder / KIND_FILE).read_text(encoding="utf-8"))["kind"]
    if name not in KINDS:
        raise CheckpointError(f"kind in {KIND_FILE} must be one of {sorted(KINDS)}, got {name!r}")
    return getattr(importlib.import_module(KINDS[name].home), name).from_pretrained(folder)


def _signature(kind: Kind) -> Any:
    """Declare the parameters: what a signature does not name, MLflow drops."""
    if not kind.params:
        return None
    from mlflow.models import ModelSignature
    from mlflow.types.schema import DataType, ParamSchema, ParamSpec

    specs = []
    for name, value in kind.params.items():
        one = value[0] if isinstance(value, list) and value else value
        its = _TYPES.get(name, type(one))
        numbers = {int: DataType.long, float: DataType.double}
        shape = (-1,) if isinstance(value, list) else None
        specs.append(ParamSpec(name, numbers.get(its, DataType.string), value, shape))
    return ModelSignature(params=ParamSchema(specs))


def _as_frame(found: Any) -> Any:
    """Return what MLflow makes of ``inputs`` and ``instances``, columns or rows, as a frame."""
    import numpy as np
    import pandas as pd

    if isinstance(found, list) and found and all(isinstance(row, dict) for row in found):
        # MLflow wraps each value of a row in an array of its own.
        found = [
            {key: one.tolist() if isinstance(one, np.ndarray) else one for key, one in row.items()}
            for row in found
        ]
    elif not isinstance(found, dict):
        return found
    try:
        return pd.DataFrame(found)
    except ValueError as error:
        raise DataError(f"columns must be of one length each, got: {error}; repeat ids") from None


def _for_json(found: Any) -> Any:
    """Return a pandas frame with None where MLflow's server would write NaN, which no JSON has."""
    import pandas as pd

    if not isinstance(found, pd.DataFrame):
        return found
    return found.astype(object).where(found.notna(), None)


def _is_given(value: Any) -> bool:
    return value is not None and (not isinstance(value, str) or value != "")
