"""The published detectors: what they find, where they are, and the thresholds with which they were published."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..errors import ParameterError
from .outputs import YOLO

PERSONS, HEADS, HALF_BODIES, FACES = "persons", "heads", "halfbodies", "faces"
"""What detectors find."""


@dataclass(frozen=True)
class DetectorSpec:
    """A detector.

    Attributes:
        name: its name, and that of its folder
        finds: one of :data:`KINDS`
        repo: its repository on the hub
        min_score: boxes with this score or less are left out
        max_overlap: intersection over union up to which two boxes are both kept
        layout: of its output, one of :data:`~ccip_plugin.core.detection.outputs.LAYOUTS`
        license: as its repository says
    """

    name: str
    finds: str
    repo: str
    min_score: float
    max_overlap: float
    layout: str = YOLO
    license: str = "mit"


def _family(finds: str, name: str, min_score: float, max_overlap: float, *models: str) -> list[DetectorSpec]:
    repo = f"deepghs/anime_{name}_detection"
    return [DetectorSpec(f"{name}_detect_{each}", finds, repo, min_score, max_overlap) for each in models]


DETECTORS: Mapping[str, DetectorSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            *_family(PERSONS, "person", 0.3, 0.5, "v1.1_m", "v1.1_n", "v1.1_s", "v1.1_x"),
            *_family(HEADS, "head", 0.4, 0.7, "v2.0_s"),
            *_family(HALF_BODIES, "halfbody", 0.5, 0.7, "v1.0_s", "v1.0_n"),
            *_family(FACES, "face", 0.25, 0.7, "v1.4_s", "v1.4_n"),
        )
    }
)
"""The detectors by name; the first one of each kind is its default. Thresholds as in dghs-imgutils 0.19."""

KINDS = tuple(dict.fromkeys(spec.finds for spec in DETECTORS.values()))
"""What can be found."""


def get_detector(name: str) -> DetectorSpec:
    """A detector by its name, or the default one by what it finds.

    Args:
        name: a name of :data:`DETECTORS`, or one of :data:`KINDS`

    Raises:
        ParameterError: there is none of that name
    """
    for spec in DETECTORS.values():
        if name in (spec.finds, spec.name):
            return spec
    raise ParameterError("detector", name, f"one of {', '.join((*KINDS, *DETECTORS))}")
