"""Preprocessing: reads images of any kind, crops them, and converts them to the input of a CCIP model."""

from .blank import BLANK_REASON, INPUT_SIZE, is_blank, resized
from .boxes import crop
from .formats import describe_format
from .images import MAX_PIXELS, ImageSource, image_size, load_image, not_local, why_missing
from .pillow_warnings import collected_warnings
from .policies import READING_POLICY, is_read_otherwise
from .readers import REFUSED_FORMATS, register_optional_readers
from .tensors import MEAN, STD, preprocess

__all__ = [
    "BLANK_REASON",
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
    "is_blank",
    "is_read_otherwise",
    "load_image",
    "not_local",
    "preprocess",
    "register_optional_readers",
    "resized",
    "why_missing",
]
