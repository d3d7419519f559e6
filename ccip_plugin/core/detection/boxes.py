"""A box that a detector found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A box in whole pixels of an image; the right and lower edges are outside.

    Attributes:
        left: the first column
        top: the first row
        right: the column after the last one
        bottom: the row after the last one
        label: the class
        score: how sure the detector is, 0 to 1
    """

    left: int
    top: int
    right: int
    bottom: int
    label: str
    score: float

    def relative(self, width: int, height: int) -> list[float]:
        """The box as FiftyOne has it: ``[x, y, width, height]``, as shares of the image.

        Args:
            width: of the image, in pixels
            height: of the image, in pixels
        """
        size = self.right - self.left, self.bottom - self.top
        return [self.left / width, self.top / height, size[0] / width, size[1] / height]
