"""Training folders: plans which images of which characters, lays them out for a trainer, and writes the folder."""

from .balance import diverse, duplicates, repeats_for
from .captions import CaptionRules, caption_of
from .layouts import LAYOUTS, Layout, UnknownLayoutError, files_of, get_layout
from .manifest import MANIFEST, Manifest, ManifestError, read_manifest
from .names import file_stems, folder_names, safe_name, safe_stem
from .planning import ExportOptions, plan_export
from .preview import ExportPreview, FolderPreview, preview_export
from .records import (
    ExportError,
    Picture,
    Plan,
    PlannedFile,
    PlannedFolder,
    PlannedImage,
    TargetError,
    TrainingImage,
)
from .tree import ExportReport, ExportWriteError, recover_export, write_export

__all__ = [
    "LAYOUTS",
    "MANIFEST",
    "CaptionRules",
    "ExportError",
    "ExportOptions",
    "ExportPreview",
    "ExportReport",
    "ExportWriteError",
    "FolderPreview",
    "Layout",
    "Manifest",
    "ManifestError",
    "Picture",
    "Plan",
    "PlannedFile",
    "PlannedFolder",
    "PlannedImage",
    "TargetError",
    "TrainingImage",
    "UnknownLayoutError",
    "caption_of",
    "diverse",
    "duplicates",
    "file_stems",
    "files_of",
    "folder_names",
    "get_layout",
    "plan_export",
    "preview_export",
    "read_manifest",
    "recover_export",
    "repeats_for",
    "safe_name",
    "safe_stem",
    "write_export",
]
