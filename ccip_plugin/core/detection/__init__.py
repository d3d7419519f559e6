"""Finds persons, heads, half bodies and faces in images, with the published ONNX detectors or others of their form."""

from .boxes import Box
from .outputs import END_TO_END, LAYOUTS, RTDETR, YOLO, decode
from .suppression import keep_best

__all__ = ["END_TO_END", "LAYOUTS", "RTDETR", "YOLO", "Box", "decode", "keep_best"]
