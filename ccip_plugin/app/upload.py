"""Files uploaded in a form."""

import base64
import binascii
from typing import Any

from ..core.errors import CCIPError

MAX_BYTES = 32 << 20
"""The limit of an uploaded image."""
_SIZE = f"{MAX_BYTES >> 20} MB"


class UploadError(CCIPError, ValueError):
    """An uploaded file cannot be used."""


def content(uploaded: Any) -> bytes:
    """The content of an uploaded file. Too large files are refused before they are decoded.

    Args:
        uploaded: what the App sends: the ``name`` of the file and its ``content`` in base64

    Raises:
        UploadError: nothing was uploaded, it is too large, or its content is damaged
    """
    if problem := problem_with(uploaded):
        raise UploadError(problem)
    encoded = uploaded.get("content")
    if not isinstance(encoded, str) or not encoded:
        raise UploadError(f"the content of the uploaded file {uploaded.get('name')!r} did not arrive; upload it again")
    encoded = encoded[encoded.find(",") + 1 :] if encoded.startswith("data:") else encoded
    if len(encoded) > 4 * (MAX_BYTES // 3 + 1):
        raise UploadError(_too_large(uploaded.get("name")))
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise UploadError(f"the content of the uploaded file {uploaded.get('name')!r} is damaged: {error}") from error


def problem_with(uploaded: Any) -> str | None:
    """The problem with an uploaded file, by its name and size; None without one."""
    if not isinstance(uploaded, dict) or not uploaded:
        return "no image was uploaded"
    size = uploaded.get("size")
    return _too_large(uploaded.get("name")) if isinstance(size, int | float) and size > MAX_BYTES else None


def _too_large(name: Any) -> str:
    return f"{name!r} is too large: at most {_SIZE} can be uploaded"
