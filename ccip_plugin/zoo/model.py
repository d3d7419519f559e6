"""CCIP as a FiftyOne model, for ``apply_model``, ``compute_embeddings`` and the methods of the brain."""

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.core.frame as fofr
import fiftyone.core.media as fomm
import fiftyone.core.models as fom
import fiftyone.core.patches as fop
import fiftyone.core.sample as fos

from ..core import calibration
from ..core.arrays import Vectors
from ..core.encoder.encoder import Encoder
from ..core.references import SHARE, References
from ..core.system import usable_cores
from ..storage.fields import EMBEDDINGS_FIELD
from ..storage.schema import declare
from ..storage.targets import TargetError
from .recognition import Recognizer, ReferencesError, gather

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CCIPModelConfig:
    """The configuration of a :class:`CCIPModel`.

    Attributes:
        model_name: a name of the registry
        references: references of characters, see :func:`~ccip_plugin.zoo.recognition.gather`; with None, the model
            returns embeddings instead of names
        references_field: if the references are a dataset, the field with the names
        embeddings_field: if the references are a dataset, the field with embeddings
        threshold: the difference up to which two images show one character; None for that of the model
        share: the share of a character's references that has to be within the threshold
        provider: see :meth:`~ccip_plugin.core.encoder.encoder.Encoder.open`
        threads: threads of one run on the CPU, one per usable core by default, since FiftyOne passes images one by one
        model_dir: a folder of models
        revision: revision of the hub repository
    """

    model_name: str
    references: Any = None
    references_field: str | None = None
    embeddings_field: str = EMBEDDINGS_FIELD
    threshold: float | None = None
    share: float = SHARE
    provider: str = "auto"
    threads: int | None = None
    model_dir: str | Path | None = None
    revision: str | None = None


_OF_RECOGNITION = ("references", "references_field", "embeddings_field", "threshold", "share")


class CCIPModel(fom.EmbeddingsMixin, fom.SamplesMixin, fom.Model):
    """Embeds images or, with references, recognizes the characters in them.

    ``dataset.apply_model(model, label_field=...)`` writes embeddings of unit length or, with references, labels; see
    :meth:`~ccip_plugin.zoo.recognition.Recognizer.labels`. Pass references to ``apply_model``::

        dataset.apply_model(model, label_field="character", references="~/characters")

    ``load_zoo_model`` returns a cached model if its arguments have the same text as before (unless ``cache=False``),
    even if arrays, views or files in a folder have changed.

    ``apply_model`` on images reads the files like the rest of this package. The other methods of FiftyOne
    (``compute_embeddings``, ``compute_patch_embeddings``, the methods of the brain), and ``apply_model`` on video
    frames, pass pixels read by FiftyOne. The embeddings are the same, except of images with transparency or more than 8
    bits per channel.

    On the CPU, ``batch_size`` is ignored, with a warning of FiftyOne: it reads the images of a batch before it calls
    the model, and a file that it cannot read costs the whole batch. So it does on an accelerator, where batches are
    faster; ``ccip_plugin.compute_embeddings`` loses no image.

    The model stays loaded until the object is deleted or closed with :meth:`close`.

    Args:
        config: a :class:`CCIPModelConfig`

    Raises:
        CCIPError: the model or the references cannot be used; the text says why
    """

    media_type = "image"
    has_embeddings = True
    transforms = None
    preprocess = True

    def __init__(self, config: CCIPModelConfig):
        fom.SamplesMixin.__init__(self)
        self.config = config
        self._encoder = Encoder.open(
            config.model_name,
            model_dir=config.model_dir,
            provider=config.provider,
            threads=config.threads or usable_cores(),
            revision=config.revision,
        )
        self._references = None if config.references is None else self._gathered({})
        self._recognizer = None if config.references is None else self._recognizer_of({})
        self._recognizer_of_call: Recognizer | None = None
        self._last: tuple[Any, fo.Classification] | None = None

    def __exit__(self, *error: object) -> None:
        """Called by FiftyOne after it has written the results."""
        if self._last is not None:
            _declare_numbers(*self._last)
            self._last = None

    @property
    def ragged_batches(self) -> bool:
        """Whether FiftyOne has to pass images one by one, despite ``batch_size``: on the CPU, where that is as fast.

        FiftyOne reads all images of a batch before it calls the model: a file that it cannot read costs the whole
        batch, and the model never learns of it.
        """
        return self._encoder.is_cpu

    @property
    def needs_fields(self) -> dict[str, Any]:
        """The fields that ``predict`` needs, besides the path of the file: none."""
        return self._fields

    @needs_fields.setter
    def needs_fields(self, fields: Mapping[str, Any]) -> None:
        """Called by FiftyOne with the additional arguments of ``apply_model``; takes the options of recognition out."""
        options = {name: fields[name] for name in _OF_RECOGNITION if name in fields}
        self._recognizer_of_call = self._recognizer_of(options) if options else None
        self._fields = {name: field for name, field in fields.items() if name not in options}

    def predict(self, arg: Any, sample: Any = None) -> Any:
        """Computes the embedding of an image or, with references, its label.

        Args:
            arg: the image as an ``(h, w, 3)`` uint8 array
            sample (None): the sample of the image; its file is then read instead

        Returns:
            a ``(768,)`` array, or a ``fiftyone.Classification``

        Raises:
            UnreadableImageError: the image cannot be read
            TargetError: the sample is a patch, which ``apply_model`` cannot write to
        """
        return self.predict_all([arg], None if sample is None else [sample])[0]

    def predict_all(self, args: Sequence[Any], samples: Sequence[Any] | None = None) -> list[Any]:
        """Like :meth:`predict`, for several images.

        Args:
            args: the images as arrays
            samples (None): the samples of the images

        Returns:
            a list of arrays or labels
        """
        images = args if samples is None else list(map(_image, args, samples))
        vectors = self._encoder.embed(images)
        recognizer = self._recognizer_of_call or self._recognizer
        if recognizer is None:
            return list(vectors)
        labels = recognizer.labels(vectors)
        if samples is not None and labels:
            self._last = samples[-1], labels[-1]
        return labels

    def embed(self, arg: Any) -> Vectors:
        """Embeds an image.

        Args:
            arg: the image as an ``(h, w, 3)`` uint8 array

        Returns:
            a ``(768,)`` array

        Raises:
            UnreadableImageError: the image has no pixels, such as the crop of an empty box
        """
        vector: Vectors = self.embed_all([arg])[0]
        return vector

    def embed_all(self, args: Sequence[Any]) -> Vectors:
        """Embeds images of any sizes.

        Args:
            args: the ``n`` images as arrays

        Returns:
            an ``(n, 768)`` array
        """
        _warn_of_other_reader()
        return self._encoder.embed(args)

    def close(self) -> None:
        """Frees the model, which cannot be used afterwards."""
        self._encoder.close()

    def _recognizer_of(self, options: Mapping[str, Any]) -> Recognizer:
        """A recognizer with options that override those of the configuration.

        Raises:
            ReferencesError: there are no references
        """
        references = self._references if options.get("references") is None else self._gathered(options)
        if references is None:
            raise ReferencesError(f"there are no references for {', '.join(options)}")
        threshold, share = self._option("threshold", options), self._option("share", options)
        if threshold is None:
            name, model_dir, revision = self.config.model_name, self.config.model_dir, self.config.revision
            threshold = calibration.load(name, model_dir=model_dir, revision=revision).threshold
        return Recognizer(references, self._encoder, threshold, share)

    def _gathered(self, options: Mapping[str, Any]) -> References:
        return gather(
            self._option("references", options),
            self._encoder,
            field=self._option("references_field", options),
            embeddings_field=self._option("embeddings_field", options),
        )

    def _option(self, name: str, options: Mapping[str, Any]) -> Any:
        return options.get(name, getattr(self.config, name))


def _image(arg: Any, sample: Any) -> Any:
    """The file of an image, or the pixels of a video frame."""
    if isinstance(sample, fop.PatchView | fop.EvaluationPatchView):
        raise TargetError(
            "apply_model cannot write to patches. Use ccip_plugin.compute_embeddings(view) to embed them and "
            "group_characters(view) to label them, or make a dataset of the crops"
        )
    is_image = isinstance(sample, fo.Sample | fos.SampleView) and sample.media_type == fomm.IMAGE
    return sample.filepath if is_image else arg


def _declare_numbers(sample: Any, label: fo.Classification) -> None:
    """Declares the numbers of labels in the field that holds ``label``, so that the App can filter by them.

    FiftyOne does not pass the name of the field to the model.
    """
    field = next((name for name in sample.field_names if sample[name] is label), None)
    if field is None:
        return  # not written, because of confidence_thresh or classes
    for name in ("difference", "margin"):
        if isinstance(sample, fo.Frame | fofr.FrameView):
            sample.dataset.add_frame_field(f"{field}.{name}", fo.FloatField)
        else:
            declare(sample.dataset, f"{field}.{name}", fo.FloatField)


@functools.cache
def _warn_of_other_reader() -> None:
    """Warns once that FiftyOne reads the images."""
    logger.warning(
        "FiftyOne reads the images for this call. Embeddings of images with transparency, which it drops, or with more "
        "than 8 bits per channel differ from those of ccip_plugin.compute_embeddings and apply_model"
    )
