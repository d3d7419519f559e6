"""Thresholds and sizes of average linkage."""

from dataclasses import dataclass

from ...errors import ParameterError


@dataclass(frozen=True)
class LinkageOptions:
    """Options of average linkage. Differences are multiples of the threshold, so that they fit every model.

    Attributes:
        near_duplicate: images with a mean difference up to this are near-duplicates and count as one image
        certain: groups with a mean difference up to this are merged, whatever their size
        large_size: number of images, near-duplicates counted once, from which a group is large
        min_limit: lower bound of the limit between large groups
        small_size: groups with fewer images are rescued on strong evidence
        reach: maximum mean difference of a small group to the group it is assigned to
        evidence: minimum evidence for a rescue; see :func:`~ccip_plugin.core.clustering.linkage.rescue.rescue`
    """

    near_duplicate: float = 0.1
    certain: float = 0.784
    large_size: int = 5
    min_limit: float = 0.868
    small_size: int = 3
    reach: float = 1.6
    evidence: float = 0.41

    def __post_init__(self) -> None:
        if not 0 <= self.near_duplicate <= self.certain <= 1:
            raise ParameterError("options", self, "0 <= near_duplicate <= certain <= 1")
