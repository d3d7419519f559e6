"""The parser of the command line: commands, options, help."""

import argparse
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import commands
from .options import Container, add_options
from .work import Work

GROUP = "group"
"""The command that ``ccip IMAGES --dataset NAME`` is short for."""

_DESCRIPTION = """\
Groups anime images by character with CCIP, as labels in a FiftyOne dataset.
"""
_EPILOG = """\
"%(prog)s COMMAND --help" describes the options of a command.
A folder with the name of a command is written ./group.

examples:
  %(prog)s ~/fanart --dataset fanart
        add the images to the dataset, embed and group them
  %(prog)s --dataset fanart --eps 0.15 --propose
        preview stricter groups
  %(prog)s apply --dataset fanart
        write the previewed groups
  %(prog)s undo --dataset fanart
        revert the last change
  %(prog)s models download ccip-caformer_b36-24
        download a model

exit status:
  0    success; unreadable files are listed, with the reasons in the field
       ccip_error
  1    failure; the message names the reason
  2    wrong usage
  3    success, except for the similarity index or the visualization
  130  stopped by Ctrl-C (143: by kill). Finished results are stored, and the
       same command resumes
"""
_ABOUT = ("-h", "--help", "-V", "--version")
"""Options that need no command."""

_GROUP_DESCRIPTION = """\
Adds the images of files and folders to a dataset, computes missing embeddings,
groups all images by character, and makes a similarity index and a
visualization for the App.

Nothing is computed twice: run the same command again after adding images, or to
resume after an interruption. Labels that you edited or confirmed in the App are
kept.
"""
_GROUP_EPILOG = """\
examples:
  %(prog)s ~/fanart more/*.png --dataset fanart
  %(prog)s --dataset fanart --model ccip-caformer_b36-24
        embed and group all images again, with the most accurate model
  %(prog)s --dataset fanart --eps 0.15
        group again, more strictly, with the stored embeddings
  %(prog)s --dataset frames --patches-field ground_truth
        group the detections in the field ground_truth
  %(prog)s ~/new --dataset fanart --mode add
        add images; existing labels are kept
  %(prog)s --dataset fanart --propose
        preview what grouping again would change
"""


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        help: one line for the list of commands
        description: the text above its options
        run: does the work; returns the exit status
        add_options: adds its options to a parser
        usage: its usage; made from the options by default
        epilog: the text below its options
    """

    help: str
    description: str
    run: Callable[[Work], int]
    add_options: Callable[[argparse.ArgumentParser], None]
    usage: str | None = None
    epilog: str | None = None


def parse(arguments: Sequence[str], prog: str, version: str = "") -> argparse.Namespace:
    """Parses a command line; without a command it is that of :data:`GROUP`.

    Args:
        arguments: at least one
        prog: the name of the program
        version (""): what ``--version`` prints

    Returns:
        the options, and the name of the command as ``command``

    Raises:
        SystemExit: help was asked for, or the usage is wrong
    """
    word = arguments[0]
    if problem := _problem(word, arguments[1:]):
        make_parser(prog, ()).error(problem)
    if word not in (*COMMANDS, *_ABOUT):
        arguments = [GROUP, *arguments]
    return make_parser(prog, arguments[:1], version).parse_args(arguments)


def _problem(word: str, rest: Sequence[str]) -> str | None:
    """Why the first word is no command and no path, or both."""
    if word in COMMANDS and Path(word).is_dir():
        return (
            f"{word!r} is a command, and also a folder here: write ./{word} for the folder, or run the command in "
            "another folder"
        )
    is_known = word in COMMANDS or word.startswith("-") or Path(word).exists()
    if is_known or any(argument.startswith("--d") for argument in rest):  # with --dataset it is meant as a path
        return None
    return f"{word!r} is neither a file or folder nor a command: {', '.join(COMMANDS)}"


def make_parser(prog: str, needed: Collection[str] | None = None, version: str = "") -> argparse.ArgumentParser:
    """The parser of the command line.

    Args:
        prog: the name of the program
        needed (None): the commands whose options are added, all by default; the options of some take time to import
        version (""): what ``--version`` prints
    """
    parser = argparse.ArgumentParser(
        prog=prog,
        usage="%(prog)s COMMAND [options]\n       %(prog)s IMAGES ... --dataset NAME [options]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-V", "--version", action="version", version=version, help="show the version and exit")
    add_parser = parser.add_subparsers(
        dest="command", title="commands", metavar="COMMAND", required=True, prog=prog
    ).add_parser
    for name, command in COMMANDS.items():
        subparser = add_parser(
            name,
            help=command.help,
            usage=command.usage,
            description=command.description,
            epilog=command.epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if needed is None or name in needed:
            command.add_options(subparser)
    return parser


def _add_group_options(parser: argparse.ArgumentParser) -> None:
    from ..embeddings.options import EmbeddingOptions
    from ..grouping.options import GroupingOptions

    parser.add_argument("images", metavar="IMAGES", nargs="*", help="image files, and folders of images")
    parser.add_argument(
        "--dataset",
        metavar="NAME",
        required=True,
        help="the dataset; created if it does not exist and images are given",
    )
    parser.add_argument("--no-recursive", action="store_true", help="do not search subfolders")
    _add_output_options(parser)
    fields = parser.add_argument_group("fields")
    fields.add_argument("--patches-field", metavar="FIELD", help="group the detections in this field, not whole images")
    add_options(fields, GroupingOptions, only=("embeddings_field", "group_field"))
    add_options(parser.add_argument_group("embedding"), EmbeddingOptions, without=("embeddings_field",))
    grouping = parser.add_argument_group("grouping")
    add_options(grouping, GroupingOptions, without=("embeddings_field", "group_field", "model_dir"))
    grouping.add_argument(
        "--propose", action="store_true", help="store the changes as a proposal for the command apply; write no labels"
    )
    app = parser.add_argument_group("App")
    app.add_argument("--no-similarity", action="store_true", help="make no similarity index")
    app.add_argument("--no-visualization", action="store_true", help="make no visualization")


def _add_change_options(parser: argparse.ArgumentParser) -> None:
    from ..grouping.options import GroupingOptions

    parser.add_argument("--dataset", metavar="NAME", required=True, help="the dataset")
    parser.add_argument("--patches-field", metavar="FIELD", help="the field with the detections that were grouped")
    add_options(parser, GroupingOptions, only=("group_field",))
    _add_output_options(parser)


def _add_undo_options(parser: argparse.ArgumentParser) -> None:
    _add_change_options(parser)
    parser.add_argument(
        "--number",
        metavar="N",
        type=int,
        help="revert change number N of the history alone; refused where later changes wrote the same labels or groups",
    )


def _add_history_options(parser: argparse.ArgumentParser) -> None:
    _add_change_options(parser)
    parser.add_argument(
        "--each", action="store_true", help="a line for each change; else corrections within a minute are one line"
    )
    parser.add_argument("--csv", metavar="FILE", help="write all changes into a CSV file")
    parser.add_argument("--drop", metavar="N", type=int, help="delete change number N, which was set aside")


def _add_decisions_options(parser: argparse.ArgumentParser) -> None:
    add_parser = parser.add_subparsers(dest="action", title="commands", metavar="COMMAND", required=True).add_parser
    export = add_parser(
        "export",
        help="write them into a file",
        description="Writes names, confirmed and ignored images, rejections, groups kept apart and covers into a file.",
    )
    imported = add_parser(
        "import",
        help="apply those of a file",
        description="Applies the decisions of a file, as one change that can be undone. Images are found by their "
        "content, or else by their paths; conflicts are listed, and what users of the dataset decided stays.",
    )
    for subparser in (export, imported):
        subparser.add_argument("file", metavar="FILE", help="the file")
        _add_change_options(subparser)
    imported.add_argument("--overwrite", action="store_true", help="in conflicts, the file decides")
    imported.add_argument("--dry-run", action="store_true", help="change nothing, only say what would be")


def _add_remove_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", metavar="NAME", required=True, help="the dataset")
    parser.add_argument("--yes", action="store_true", help="remove it; without this it is only listed")
    _add_output_options(parser)


def _add_models_options(parser: argparse.ArgumentParser) -> None:
    _add_model_dir(parser)
    _add_output_options(parser)
    add_parser = parser.add_subparsers(dest="action", title="commands", metavar="COMMAND").add_parser
    listing = add_parser(
        "list",
        help="list the models (default)",
        description="Lists the models, with their published scores.",
    )
    check = add_parser(
        "check",
        help="check the files, the outputs and the published scores of a model",
        description="Checks the files, the outputs and the published scores of a model. Downloads it if necessary.",
    )
    download = add_parser(
        "download",
        help="download a model, for later use without network",
        description="Downloads a model, for later use without network.",
    )
    for subparser in (check, download):
        subparser.add_argument("name", metavar="NAME", help="the model")
    check.add_argument(
        "--images",
        metavar="IMAGE",
        nargs="+",
        help="the four published example images, or their folder, to compare with the published differences",
    )
    for subparser in (listing, check, download):
        _add_model_dir(subparser, default=argparse.SUPPRESS)
        _add_output_options(subparser, default=argparse.SUPPRESS)


def _add_cache_options(parser: argparse.ArgumentParser) -> None:
    from ..jobs.cache_folder import PARTS

    _add_output_options(parser)
    add_parser = parser.add_subparsers(dest="action", title="commands", metavar="COMMAND").add_parser
    listing = add_parser(
        "list",
        help="say what is in it (default)",
        description="Says where the cache folder is, and how large its parts are.",
    )
    clean = add_parser(
        "clean",
        help="delete thumbnails and neighbor graphs",
        description="Deletes thumbnails and neighbor graphs. They are made again when they are needed.",
    )
    clean.add_argument("parts", metavar="PART", nargs="*", help=f"what to delete: {', '.join(PARTS)}; default: both")
    clean.add_argument("--unused-days", metavar="N", type=float, help="only what was not used for N days; default: all")
    clean.add_argument("--dry-run", action="store_true", help="delete nothing, only say how much it would be")
    for subparser in (listing, clean):
        _add_output_options(subparser, default=argparse.SUPPRESS)


def _add_character_similarity_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "subset",
        metavar="SUBSET",
        help="images_test_v1, images_xtiny_v0, images_tiny_v0 or images_pruned_v1, downloaded if necessary; or a tar "
        "archive of the same form",
    )
    parser.add_argument("--dataset", metavar="NAME", help="the dataset; default: character_similarity_<subset>")
    parser.add_argument(
        "--folder", metavar="DIR", help="the folder for the images; default: with FiftyOne's zoo datasets"
    )
    parser.add_argument("--revision", metavar="NAME", help="commit or branch of the published data; default: main")
    _add_output_options(parser)


def _add_model_dir(container: Container, **keywords: Any) -> None:
    from ..embeddings.options import EmbeddingOptions

    add_options(container, EmbeddingOptions, only=("model_dir",), **keywords)


def _add_output_options(container: Container, **keywords: Any) -> None:
    container.add_argument("--quiet", action="store_true", help="show no progress", **keywords)
    container.add_argument("--verbose", action="store_true", help="show all log messages", **keywords)


COMMANDS = {
    GROUP: Command(
        "add images to a dataset, embed and group them (default)",
        _GROUP_DESCRIPTION,
        commands.group,
        _add_group_options,
        "%(prog)s [IMAGES ...] --dataset NAME [options]",
        _GROUP_EPILOG,
    ),
    "apply": Command(
        "write the labels of a proposal",
        "Writes the labels that were proposed by group --propose. User labels are kept.",
        commands.apply,
        _add_change_options,
    ),
    "undo": Command(
        "revert the last change of the groups",
        "Reverts the last change of the character groups, or an earlier one alone. Labels\nedited since are kept.",
        commands.undo,
        _add_undo_options,
    ),
    "redo": Command(
        "apply the last undone change again",
        "Applies the change that was undone last again. Labels edited since are kept.",
        commands.redo,
        _add_change_options,
    ),
    "history": Command(
        "list the changes of the groups",
        "Lists the changes of the character groups that are kept, newest first: what,\nwhen, how many labels, by whom. "
        "A change that could not be completed is set\naside: undo reverts what it has written; --drop keeps that, and "
        "deletes the\nchange from the list.",
        commands.history,
        _add_history_options,
    ),
    "decisions": Command(
        "write the decisions of users into a file; apply those of a file",
        "Writes what users decided about the images into a file, and applies it to a\ndataset, as after a folder was "
        "moved, renamed or imported again.",
        commands.decisions,
        _add_decisions_options,
    ),
    "remove": Command(
        "remove everything that CCIP keeps with a dataset",
        "Lists the fields, runs, indexes, views and the history that CCIP keeps with a\ndataset; --yes removes them. "
        "Images, and what other tools wrote, stay.",
        commands.remove,
        _add_remove_options,
    ),
    "models": Command(
        "list the models; check or download one",
        "Lists the models, with their published scores. The commands below check or\ndownload one.",
        commands.models,
        _add_models_options,
    ),
    "cache": Command(
        "show or delete thumbnails and other cached files",
        "Shows what is in the cache folder (CCIP_CACHE_DIR), or deletes it. What was\ndeleted is made again when it is "
        "needed.",
        commands.cache,
        _add_cache_options,
    ),
    "character-similarity": Command(
        "load the images of the published scores",
        "Makes a dataset of the images that the published scores were measured on, with\nthe true characters in the "
        "field ground_truth.",
        commands.load_character_similarity,
        _add_character_similarity_options,
    ),
}
"""The commands by name, in the order of the help."""
