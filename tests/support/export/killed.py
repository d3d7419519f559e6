"""Exports in child processes that end, as if killed, right before their n-th change of the file system.

A script: ``killed.py FOLDER HOW``. Prints, as JSON, the number of moments tried and the outcomes seen.
"""

import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

from ccip_plugin.core.export import exchange
from ccip_plugin.core.export.layouts import get_layout
from ccip_plugin.core.export.manifest import MANIFEST
from ccip_plugin.core.export.planning import plan_export
from ccip_plugin.core.export.records import TrainingImage
from ccip_plugin.core.export.tree import recover_export, write_export

CHANGES = {"os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.symlink", "shutil.copyfile", "os.truncate"}
KILLED = 9


def images(media, n):
    return [TrainingImage(str(key), str(media / f"{key}.png"), "Rei" if key % 2 else "Asuka") for key in range(n)]


def export(work, n, provenance):
    layout = get_layout("kohya")
    write_export(plan_export(images(work / "media", n)), layout, work / "out", provenance={"say": provenance})


def contents(folder):
    if not folder.is_dir():
        return None
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def prepare(work, how):
    """Images, and, but for the first export, an export with what a user added and edited, and one before it."""
    media = work / "media"
    media.mkdir(parents=True)
    for key in range(6):
        (media / f"{key}.png").write_bytes(b"picture %d" % key)
    if how == "first":
        return
    export(work, 3, "oldest")
    export(work, 4, "old")
    folder = next(path for path in (work / "out").iterdir() if path.name.endswith("_Rei"))
    (folder / "Rei_1.txt").write_text("edited")
    (folder / "Rei_1_0064x0064_sdxl.npz").write_bytes(b"latents")
    (work / "out" / "notes.md").write_text("notes")
    (media / "0.png").write_bytes(b"another picture")


def kill_at(number, root):
    """Ends this process right before its n-th change of a file in a folder."""
    left = number

    def hook(event, args):
        nonlocal left
        is_write = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if event in CHANGES or is_write:
            named = [str(each) for each in args[:2] if isinstance(each, str | bytes | os.PathLike)]
            if event == "os.rename" or any(Path(each).is_absolute() and each.startswith(root) for each in named):
                left -= 1
                if left < 0:
                    os._exit(KILLED)

    sys.addaudithook(hook)


def in_child(action):
    child = os.fork()
    if not child:
        try:
            action()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def states(work):
    return [contents(work / name) for name in ("out", "out.old")]


def main(root, how):
    if how == "two renames":
        exchange.swap = lambda *_: False
    work, start = root / "work", root / "start"
    prepare(work, how)
    shutil.copytree(work, start)  # settings name the folder, so that all happens in one
    before = contents(work / "out")
    export(work, 6, "new")
    after = contents(work / "out")
    assert after != before
    outcomes, number = Counter(), 0
    while True:
        shutil.rmtree(work)
        shutil.copytree(start, work)

        def killed(number=number):
            kill_at(number, str(work))
            export(work, 6, "new")

        code = in_child(killed)
        if code == 0:
            break
        assert code == KILLED, code
        outcomes[check(work, before, after)] += 1
        number += 1
    print(json.dumps({"moments": number, "outcomes": outcomes}))


def check(work, before, after):
    """What became of a killed export: nothing is lost at any time, and the next start and export set it right."""
    copy = work.with_name("copy")
    shutil.copytree(work, copy)
    kept = [contents(path) for path in work.iterdir() if path.name != "media" and path.is_dir()]
    assert before is None or before in kept, "the old export is nowhere whole"
    outcome = in_place(work, before, after, recover_export(work / "out"))
    shutil.rmtree(work)
    copy.rename(work)
    export(work, 6, "new")  # without a recovery of its own
    assert contents(work / "out") == after
    assert {path.name for path in work.iterdir()} <= {"media", "out", "out.old", ".out.ccip-lock"}
    return outcome


def in_place(work, before, after, recovered):
    now, old = states(work)
    assert now in (before, after), "neither the old export nor the new one"
    if now == after and before is not None:
        assert old == before
    hidden = {path.name for path in work.iterdir()} - {"media", "out", "out.old", ".out.ccip-lock"}
    assert not hidden, hidden
    return f"{'new' if now == after else 'old'}, {recovered}"


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2])
