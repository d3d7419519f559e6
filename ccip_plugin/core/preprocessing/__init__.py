"""Preprocessing: reads images of any kind, crops them, and converts them to the input of a CCIP model."""

from .boxes import crop
from .formats import describe_format
from .images import MAX_PIXELS, READING_POLICY, ImageSource, image_size, load_image, not_local, why_missing
from .pillow_warnings import collected_warnings
from .readers import REFUSED_FORMATS, register_optional_readers
from .tensors import INPUT_SIZE, MEAN, STD, preprocess

__all__ = [
    "INPUT_SIZE",
    "MAX_PIXELS",
    "MEAN",
    "READING_POLICY",
    "REFUSED_FORMATS",
    "STD",
    "ImageSource",
    "collected_warnings",
    "crop",
    "describe_format",
    "image_size",
    "load_image",
    "not_local",
    "preprocess",
    "register_optional_readers",
    "why_missing",
]
