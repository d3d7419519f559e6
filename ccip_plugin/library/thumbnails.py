"""Thumbnails of characters: small WebP images without metadata."""

import logging
from collections.abc import Mapping

from ..core.errors import CCIPError
from ..core.library.files import THUMBNAIL_BYTES
from ..core.preprocessing import crop, load_image
from ..core.thumbnails import draw
from ..embeddings.store import EmbeddingStore, Keys

logger = logging.getLogger(__name__)


def thumbnails_of(store: EmbeddingStore, item_ids: Mapping[str, int]) -> dict[int, bytes]:
    """Makes thumbnails of items; files that cannot be read are left out with a warning.

    Args:
        store: where the items are
        item_ids: the ids of the items, with the numbers of their characters

    Returns:
        WebP images by number
    """
    all_keys = store.keys()
    keys = Keys(key for key in all_keys if key.item_id in item_ids)
    made: dict[int, bytes] = {}
    for item in store.items(keys):
        try:
            image = load_image(item.filepath)
            for key in item.keys:
                box = None if item.boxes is None else item.boxes[key]
                made[item_ids[key.item_id]] = draw(
                    image if box is None else crop(image, box), max_bytes=THUMBNAIL_BYTES
                )
        except CCIPError as error:
            logger.warning("no thumbnail: %s", error)
    return made
