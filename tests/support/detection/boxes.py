"""Boxes in a dataset, in pixels of images of 64 x 64."""

SIZE = 64


def boxes_of(sample, field="persons"):
    """The corners of the detections of a sample: left, top, right, bottom."""
    return [pixels(each.bounding_box) for each in sample[field].detections]


def pixels(box):
    """A relative box as corners in pixels."""
    x, y, width, height = (round(number * SIZE, 6) for number in box)
    return x, y, x + width, y + height


def relative(left, top, right, bottom):
    """Corners in pixels as a relative box."""
    return [left / SIZE, top / SIZE, (right - left) / SIZE, (bottom - top) / SIZE]
