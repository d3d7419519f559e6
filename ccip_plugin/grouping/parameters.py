"""The parameters of a grouping run: its options, resolved for one model."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import fiftyone as fo

from ..core.calibration import PublishedParameters
from ..core.clustering.methods import DEFAULT_METHOD, get_method
from ..core.clustering.parameters import check_parameters
from ..core.errors import ParameterError
from ..core.neighbors.choice import EXACT
from ..storage.runs import read_config
from ..storage.targets import Target
from .calibrated import Calibrated, calibrated_for, calibrated_parameters
from .options import CALIBRATED, PUBLISHED, GroupingOptions

_MOVED = ("same_image", "tracks")  # attributes of GroupingParameters until 0.2.0


class NotCalibratedError(ParameterError):
    """Calibrated parameters were asked for, and there are none that can be relied on."""

    def __init__(self, method: str, embeddings_field: str, calibrated: Calibrated | None):
        super().__init__("parameters", CALIBRATED, repr(PUBLISHED))
        found = f"has nothing for {method}"
        if calibrated is None:
            found = "does not exist"
        elif calibrated.recommendation.thin:
            found = f"has too little evidence: {calibrated.recommendation.thin[0]}"
        self.args = (
            f"parameters is {CALIBRATED!r}, but a calibration for {embeddings_field!r} {found}: run calibrate, or "
            f"'CCIP: calibrate' in the App, or use {PUBLISHED!r}",
        )
        self.mentions = ("parameters", "calibrate")
        self.method, self.embeddings_field, self.calibrated = method, embeddings_field, calibrated


@dataclass(frozen=True)
class GroupingParameters:
    """What a grouping was made with.

    Attributes:
        method: one of :data:`~ccip_plugin.core.clustering.methods.METHODS`
        eps: the largest difference; of what, depends on the method
        min_samples: the number of images that make a group, or the core of one
        model_name: the model of the embeddings
        graph: "exact" where all pairs of images were compared, else "approximate"
        source: "published", or "calibrated" where eps and min_samples came from a calibration
        options: the options as they were given
    """

    method: str
    eps: float
    min_samples: int
    model_name: str
    graph: str = EXACT
    source: str = PUBLISHED
    options: GroupingOptions = field(default_factory=GroupingOptions)

    @property
    def embeddings_field(self) -> str:
        """The field with the embeddings."""
        return self.options.embeddings_field

    @property
    def mode(self) -> str:
        """What might change."""
        return self.options.mode

    def __getattr__(self, name: str) -> Any:
        if name not in _MOVED:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        warnings.warn(f"{name} of these parameters is now options.{name}", DeprecationWarning, stacklevel=2)
        return getattr(self.options, name)

    def record(self) -> dict[str, Any]:
        """Plain values for the record of a run: the options, and what they were resolved to."""
        return {
            **self.options.record(),
            "method": self.method,
            "eps": self.eps,
            "min_samples": self.min_samples,
            "model_name": self.model_name,
            "graph": self.graph,
            "source": self.source,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The parameters that a run recorded; options that it does not know have their defaults."""
        names = ("method", "eps", "min_samples", "model_name", "graph", "source")
        return cls(
            **{name: record[name] for name in names if name in record},
            options=GroupingOptions.from_record(record),
        )


def choose_parameters(
    published: PublishedParameters,
    options: GroupingOptions | None = None,
    *,
    calibrated: tuple[float, int] | None = None,
) -> GroupingParameters:
    """Resolves the options of a run for one model.

    The default is :data:`~ccip_plugin.core.clustering.methods.DEFAULT_METHOD`, which needs only the threshold and so
    works for every model.

    Args:
        published: the published parameters of the model
        options (None): the options of the run
        calibrated (None): eps and min_samples that take the place of the published ones

    Raises:
        ParameterError: the method, eps or min_samples is invalid
        UnknownPresetError: nothing is published for this method and this model
    """
    options = options or GroupingOptions()
    method = options.method or DEFAULT_METHOD
    default_eps, default_min_samples = calibrated or get_method(method).parameters(published)
    eps = default_eps if options.eps is None else options.eps
    min_samples = default_min_samples if options.min_samples is None else options.min_samples
    check_parameters(eps, min_samples)
    source = PUBLISHED if calibrated is None else CALIBRATED
    return GroupingParameters(
        method, float(eps), int(min_samples), published.model_name, source=source, options=options
    )


def calibrated_values(options: GroupingOptions, target: Target) -> tuple[float, int] | None:
    """The calibrated eps and min_samples, None where the options ask for the published ones.

    Raises:
        NotCalibratedError: they were asked for and there are none
    """
    if options.parameters != CALIBRATED:
        return None
    method = options.method or DEFAULT_METHOD
    calibrated = calibrated_parameters(target, options.embeddings_field, method)
    if calibrated is None:
        raise NotCalibratedError(method, options.embeddings_field, calibrated_for(target, options.embeddings_field))
    return calibrated


def previous_limit(dataset: fo.Dataset, run_key: str, parameters: GroupingParameters) -> float | None:
    """The limit between large groups in the last run, None where that was another method, eps or model."""
    last = read_config(dataset, run_key, ("limit", "parameters")) or {}
    names = ("method", "eps", "model_name", "embeddings_field")
    is_alike = all(last.get("parameters", {}).get(name) == getattr(parameters, name) for name in names)
    return last.get("limit") if is_alike else None
