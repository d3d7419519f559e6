"""The least that FiftyOne needs of a model: what a person would write to use a CCIP file with FiftyOne's own means."""

from pathlib import Path

import fiftyone.core.models as fom
import numpy as np
from PIL import Image

from ccip_plugin.core.encoder import Encoder
from ccip_plugin.core.preprocessing import preprocess


class NativeModel(fom.Model, fom.EmbeddingsMixin):
    """Gets each image from FiftyOne as an array, and gives its embedding."""

    media_type = "image"
    has_embeddings = True
    ragged_batches = False
    transforms = None
    preprocess = True

    def __init__(self, folder: Path, model_name: str, *, threads: int):
        self._encoder = Encoder.open(model_name, model_dir=folder, threads=threads)

    def embed(self, arg: np.ndarray) -> np.ndarray:
        """Embeds an ``(h, w, 3)`` array."""
        return self._encoder.embed_tensor(preprocess(Image.fromarray(arg)))
