"""What the command line understands, and its help."""

import argparse
from pathlib import Path
from typing import Any

from ..embeddings.options import EmbeddingOptions
from ..grouping.options import GroupingOptions
from .options import add_option, add_options

_DESCRIPTION = """\
Groups anime images by character, with CCIP, as labels in a FiftyOne dataset.

Finds the images in files and folders, adds those that the dataset does not have
yet, embeds those that have no embedding yet, groups all of them by character,
and makes a similarity index and a map of the images for the App. Nothing is
done twice: run the same command again after adding images, or to go on after it
was stopped. Labels that you changed or confirmed in the App stay as they are.
"""
_EPILOG = """\
examples:
  %(prog)s ~/fanart more/*.png --dataset fanart
  %(prog)s --dataset fanart --model ccip-caformer_b36-24
        embed and group everything anew, with the most accurate model
  %(prog)s --dataset fanart --eps 0.11
        group again, more strictly; no image is embedded twice
  %(prog)s --dataset frames --patches-field ground_truth
        group the detections in the field ground_truth
  %(prog)s ~/new --dataset fanart --mode add
        add images; what has a label keeps it
  %(prog)s --dataset fanart --propose
        see what grouping again would change, and write nothing

other commands (a folder of such a name is written ./models):
  %(prog)s models
        the models, and which are on this machine
  %(prog)s models download NAME
        get a model, for later use without network
  %(prog)s models check NAME
        check a model from its files to its numbers
  %(prog)s apply --dataset NAME
        write what was proposed
  %(prog)s undo --dataset NAME
        take the last change of the groups back
  %(prog)s redo --dataset NAME
        bring it back
  %(prog)s character-similarity images_test_v1
        the images that the published scores were measured on, as a dataset

exit status:
  0    done; files that could not be read are listed, and have the reason in
       the field ccip_error
  1    not done; the message says why
  2    the command line is not right
  3    done, except for the similarity index or the map
  130  stopped by Ctrl-C (143: by kill). What was finished is stored, and the
       same command goes on
"""


def group_parser(prog: str) -> argparse.ArgumentParser:
    """The parser of the main job."""
    parser = argparse.ArgumentParser(
        prog=prog,
        usage="%(prog)s [IMAGES ...] --dataset NAME [options]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("images", metavar="IMAGES", nargs="*", help="image files, and folders of them")
    parser.add_argument("--dataset", metavar="NAME", required=True, help="the dataset; made when there is none")
    parser.add_argument("--no-recursive", action="store_true", help="do not look into the folders in folders")
    _add_field_options(parser)
    _add_embedding_options(parser)
    _add_grouping_options(parser)
    _add_output_options(parser)
    return parser


def apply_parser(prog: str) -> argparse.ArgumentParser:
    """The parser of ``apply``."""
    return _turn_parser(f"{prog} apply", "Writes the groups that were proposed. Labels that people decided stay.")


def undo_parser(prog: str) -> argparse.ArgumentParser:
    """The parser of ``undo``."""
    return _turn_parser(f"{prog} undo", "Takes the last change of the character groups back. Labels edited since stay.")


def redo_parser(prog: str) -> argparse.ArgumentParser:
    """The parser of ``redo``."""
    return _turn_parser(f"{prog} redo", "Brings back the change that was last undone. Labels edited since stay.")


def models_parser(prog: str) -> argparse.ArgumentParser:
    """The parser of ``models``."""
    parser = _CommandParser(prog=f"{prog} models", description="Lists the models; downloads one; checks one.")
    _add_model_dir(parser)
    _add_output_options(parser)
    commands = parser.add_subparsers(dest="what", metavar="{check,download}", title="commands")
    check = commands.add_parser("check", help="check a model from its files to its numbers")
    check.add_argument(
        "--images",
        metavar="IMAGE",
        nargs="+",
        help="the four published example images, or their folder, to compare with the published differences",
    )
    download = commands.add_parser("download", help="get a model, for later use without network")
    for each in (check, download):
        each.add_argument("name", metavar="NAME", help="of the model")
        _add_model_dir(each, default=argparse.SUPPRESS)
        _add_output_options(each, default=argparse.SUPPRESS)
    return parser


def character_similarity_parser(prog: str) -> argparse.ArgumentParser:
    """The parser of ``character-similarity``."""
    description = "Makes a dataset of the published evaluation data, with who is who in the field ground_truth."
    parser = _CommandParser(prog=f"{prog} character-similarity", description=description)
    parser.add_argument(
        "what",
        metavar="SUBSET",
        help="images_test_v1, images_xtiny_v0, images_tiny_v0 or images_pruned_v1, which are downloaded where they are "
        "not here; or a tar archive of the same kind",
    )
    parser.add_argument("--dataset", metavar="NAME", help="default: character_similarity_<subset>")
    parser.add_argument("--folder", metavar="DIR", help="where the images go; default: with FiftyOne's zoo datasets")
    parser.add_argument("--revision", metavar="NAME", help="commit or branch of the data; default: main")
    _add_output_options(parser)
    return parser


class _CommandParser(argparse.ArgumentParser):
    """The parser of a command whose name may also be that of a folder."""

    def error(self, message: str) -> Any:
        name = Path(self.prog.split()[-1])
        super().error(f"{message} (the folder {name} is written ./{name})" if name.exists() else message)


def _turn_parser(prog: str, description: str) -> argparse.ArgumentParser:
    parser = _CommandParser(prog=prog, description=description)
    parser.add_argument("--dataset", metavar="NAME", required=True, help="the dataset")
    parser.add_argument("--patches-field", metavar="FIELD", help="the field with the detections that were grouped")
    parser.add_argument("--group-field", metavar="FIELD", help="default: character_group")
    _add_output_options(parser)
    return parser


def _add_field_options(parser: argparse.ArgumentParser) -> None:
    fields = parser.add_argument_group("fields")
    fields.add_argument("--patches-field", metavar="FIELD", help="group the detections in this field, not whole images")
    for option in GroupingOptions.all():
        if option.name in ("embeddings_field", "group_field"):
            add_option(fields, option)


def _add_embedding_options(parser: argparse.ArgumentParser) -> None:
    add_options(parser.add_argument_group("embedding"), EmbeddingOptions, without=("embeddings_field",))


def _add_grouping_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("grouping")
    add_options(group, GroupingOptions, without=("embeddings_field", "group_field", "model_dir"))
    add = group.add_argument
    add("--propose", action="store_true", help="write no labels, but keep them as a proposal; see the command apply")
    add("--no-similarity", action="store_true", help="make no similarity index")
    add("--no-visualization", action="store_true", help="make no map of the images")


def _add_model_dir(parser: argparse._ActionsContainer, **options: Any) -> None:
    text = "the folder of DIR/<model>/model_feat.onnx; default: $CCIP_MODEL_DIR, else the hub and its cache"
    parser.add_argument("--model-dir", metavar="DIR", type=_folder, help=text, **options)


def _add_output_options(parser: argparse.ArgumentParser, **options: Any) -> None:
    parser.add_argument("--quiet", action="store_true", help="show no progress", **options)
    parser.add_argument("--verbose", action="store_true", help="show everything that is logged", **options)


def _folder(text: str) -> str:
    if not Path(text).expanduser().is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {text!r}")
    return text
