"""The parameters of a grouping run and where they come from."""

from dataclasses import dataclass

from ..core.calibration import Calibration
from ..core.clustering.parameters import check_parameters, published_parameters
from ..core.neighbors.choice import EXACT
from ..labels.snapshot import ALL
from ..storage.fields import EMBEDDINGS_FIELD
from .constraints import APART

DEFAULT_METHOD = "linkage"


PUBLISHED, CALIBRATED = "published", "calibrated"


SOURCES = (PUBLISHED, CALIBRATED)


"""Where eps and min_samples come from: what is published for the model, or what was found for the user's own images."""


@dataclass(frozen=True)
class Parameters:
    """What a grouping was made with.

    Attributes:
        method: one of :data:`~ccip_plugin.core.clustering.parameters.METHODS`
        eps: the largest difference; what it is the largest of depends on the method
        min_samples: how many images make a group, or the core of one
        model_name: the model that the embeddings are of
        embeddings_field: the field with the embeddings
        mode: what might be changed, one of :data:`~ccip_plugin.labels.snapshot.MODES`
        same_image: what two detections in one image meant, one of :data:`~ccip_plugin.grouping.constraints.SAME_IMAGE`
        tracks: the field that says which video a frame is of, None where tracks meant nothing
        graph: whether all images were compared with all, one of :data:`~ccip_plugin.core.neighbors.choice.GRAPHS`
        source: where eps and min_samples come from if they were not given, one of :data:`SOURCES`
    """

    method: str
    eps: float
    min_samples: int
    model_name: str
    embeddings_field: str
    mode: str = ALL
    same_image: str = APART
    tracks: str | None = None
    graph: str = EXACT
    source: str = PUBLISHED


def choose_parameters(
    calibration: Calibration,
    *,
    method: str | None = None,
    eps: float | None = None,
    min_samples: int | None = None,
    embeddings_field: str = EMBEDDINGS_FIELD,
    mode: str = ALL,
    same_image: str = APART,
    tracks: str | None = None,
    calibrated: tuple[float, int] | None = None,
) -> Parameters:
    """Fills in what is published for a method, or follows from the threshold of the model.

    The default method is :data:`DEFAULT_METHOD`, which needs nothing but the threshold, and so works for every model.
    With ``calibrated``, these ``(eps, min_samples)`` take the place of what is published.

    Raises:
        ParameterError: the method, eps or min_samples has no meaning
        UnknownPresetError: nothing is published for this method and this model
    """
    method = DEFAULT_METHOD if method is None else method
    preset_eps, preset_min_samples = calibrated or published_parameters(calibration, method)
    eps = preset_eps if eps is None else eps
    min_samples = preset_min_samples if min_samples is None else min_samples
    check_parameters(eps, min_samples)
    return Parameters(
        method,
        float(eps),
        int(min_samples),
        calibration.model_name,
        embeddings_field,
        mode,
        same_image,
        tracks,
        source=PUBLISHED if calibrated is None else CALIBRATED,
    )
