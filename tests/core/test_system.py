"""Cache folder, file locks, atomic writes and usable cores."""

import ast
import os
import tempfile
import threading
from pathlib import Path

import pytest

from ccip_plugin.core import system
from ccip_plugin.core.system import atomic_write, cache_dir, file_lock, usable_cores

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "environment, expected",
    [
        pytest.param({"CCIP_CACHE_DIR": "/a/b"}, Path("/a/b"), id="ours"),
        pytest.param({"XDG_CACHE_HOME": "/x"}, Path("/x/ccip"), id="the user's"),
        pytest.param({"CCIP_CACHE_DIR": "~/a"}, Path.home() / "a", id="ours, in the home folder"),
        pytest.param({}, Path.home() / ".cache" / "ccip", id="neither"),
    ],
)
def test_the_cache_folder_can_be_chosen(monkeypatch, environment, expected):
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("CCIP_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache_dir() == expected


@pytest.mark.parametrize("chosen", [None, "~nobody-has-this-name/ccip"])
def test_a_user_without_a_home_folder_has_a_cache_folder(monkeypatch, chosen):
    """Such as a container that runs as some number."""
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 987_654)
    monkeypatch.setenv("CCIP_CACHE_DIR", chosen) if chosen else monkeypatch.delenv("CCIP_CACHE_DIR", raising=False)
    assert cache_dir().is_relative_to(tempfile.gettempdir())


# --- output


def test_a_process_started_apart_holds_no_output(run_python):
    code = """
        import subprocess, sys
        from ccip_plugin.core.system import output_apart
        print("before")
        try:
            with output_apart():
                print("within")
                print("a warning", file=sys.stderr)
                child = subprocess.Popen([sys.executable, "-c", "import sys; print('of the child'); sys.stdin.read()"],
                                         stdin=subprocess.PIPE)
                raise KeyError("x")
        except KeyError:
            print("after", child.poll())
        child.stdin.close()
        child.wait()
    """
    done = run_python(code)
    assert done.stdout == "before\nafter None\n"
    assert sorted(done.stderr.split("\n")) == ["", "a warning", "within"]


@pytest.mark.parametrize("closed", ["1", "1, 2"])
def test_a_process_without_output_runs_the_block(run_python, tmp_path, closed):
    code = f"""
        import os
        from ccip_plugin.core.system import output_apart
        for stream in ({closed},):
            os.close(stream)
        with output_apart():
            open({str(tmp_path / "done")!r}, "w").close()
        os._exit(0)
    """
    assert run_python(code).stdout == "" and (tmp_path / "done").exists()


# --- locks


def test_a_lock_is_held_by_one_at_a_time_and_the_other_is_told(tmp_path):
    waited, is_inside = threading.Event(), threading.Event()

    def second():
        with file_lock(tmp_path / "lock", waited.set):
            is_inside.set()

    with file_lock(tmp_path / "lock", lambda: pytest.fail("nobody else holds it")):
        thread = threading.Thread(target=second)
        thread.start()
        assert waited.wait(10)
        assert not is_inside.is_set()
    thread.join(10)
    assert is_inside.is_set()


def test_waiting_for_a_lock_ends_with_what_the_caller_raises(tmp_path):
    def stop():
        raise KeyboardInterrupt

    with (
        file_lock(tmp_path / "lock", stop),
        pytest.raises(KeyboardInterrupt),
        file_lock(tmp_path / "lock", stop),
    ):
        pass


# --- atomic writes


def write_file(part):
    part.write_text("new")


def write_folder(part):
    (part / "inner").mkdir(parents=True)
    (part / "inner" / "file").write_text("new")
    (part / "link").symlink_to(part.parent / "outside", target_is_directory=True)


def content(path):
    return (path / "inner" / "file" if path.is_dir() else path).read_text()


def before(path, kind):
    if kind == "file":
        path.write_text("old")
    elif kind == "folder":
        (path / "inner").mkdir(parents=True)
        (path / "inner" / "file").write_text("old")
    elif kind == "link":
        path.symlink_to(path.parent / "outside", target_is_directory=True)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").write_text("kept")
    return tmp_path


@pytest.mark.parametrize("write", [write_file, write_folder], ids=["a file", "a folder"])
@pytest.mark.parametrize("kind", ["nothing", "file", "folder", "link"])
def test_the_new_content_replaces_the_old(folder, kind, write):
    before(folder / "it", kind)
    with atomic_write(folder / "it") as part:
        write(part)
        assert (folder / "it").exists() == (kind != "nothing")
    assert content(folder / "it") == "new"
    assert sorted(path.name for path in folder.iterdir()) == ["it", "outside"]
    assert (folder / "outside" / "kept").read_text() == "kept"


@pytest.mark.parametrize("write", [write_file, write_folder], ids=["a file", "a folder"])
@pytest.mark.parametrize("kind", ["nothing", "file", "folder"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_write_that_fails_changes_nothing(folder, kind, write, error):
    before(folder / "it", kind)
    with pytest.raises(error), atomic_write(folder / "it") as part:
        write(part)
        raise error
    assert sorted(path.name for path in folder.iterdir()) == ["it", "outside"][kind == "nothing" :]
    if kind != "nothing":
        assert content(folder / "it") == "old"


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(folder, monkeypatch):
    before(folder / "it", "folder")
    rename = Path.rename

    def fail(self, target):
        if self.name.endswith(system.PART_SUFFIX) and ".old" not in self.name:
            raise OSError("in use")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="in use"), atomic_write(folder / "it") as part:
        write_folder(part)
    assert content(folder / "it") == "old"
    assert sorted(path.name for path in folder.iterdir()) == ["it", "outside"]


def test_everything_is_on_disk_before_it_is_in_place(folder, monkeypatch):
    synced = []
    fsync = os.fsync

    def noted(handle):
        synced.append((Path(f"/proc/self/fd/{handle}").readlink().name, (folder / "it").exists()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    with atomic_write(folder / "it") as part:
        write_folder(part)
    assert {name for name, is_in_place in synced if not is_in_place} == {part.name, "inner", "file"}
    assert synced[-1] == (folder.name, True)


# --- cores


V1 = "5:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n"


@pytest.mark.parametrize("membership, files, expected", [
    pytest.param(None, {}, None, id="no control groups"),
    pytest.param("0::/\n", {}, None, id="no quota file"),
    pytest.param("0::/\n", {"cpu.max": "max 100000"}, None, id="no quota"),
    pytest.param("0::/\n", {"cpu.max": "150000 100000"}, 1.5, id="the mount is the group"),
    pytest.param("0::/a/b\n", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "max 100000"}, 2.0, id="a parent's quota"),
    pytest.param("0::/a/b\n", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "50000 100000"}, 0.5, id="the smallest"),
    pytest.param("0::/outside\n", {"cpu.max": "300000 100000"}, 3.0, id="named as outside of the container"),
    pytest.param("0::/../..\n", {"cpu.max": "300000 100000"}, 3.0, id="above the mount"),
    pytest.param("0::/\n", {"cpu.max": "nonsense"}, None, id="not understood"),
    pytest.param(V1, {"cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "400000",
                      "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000"}, 4.0, id="version 1"),
    pytest.param(V1, {"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "100000"}, 2.5, id="1, inside"),
    pytest.param(V1, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None, id="1, none"),
])  # fmt: skip
def test_the_quota_of_a_container(tmp_path, membership, files, expected):
    if membership is not None:
        (tmp_path / "cgroup").write_text(membership)
    for name, text in files.items():
        (tmp_path / "mount" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mount" / name).write_text(f"{text}\n")
    assert system._cpu_quota(tmp_path / "cgroup", tmp_path / "mount") == expected


QUOTA = "200000 100000"
V1_MOUNT = "31 25 0:27 {root} {mount}/elsewhere rw,relatime - cgroup cgroup rw,cpuacct,cpu"
V2_MOUNT = "32 25 0:28 {root} {mount}/unified rw shared:9 - cgroup2 cgroup2 rw,nsdelegate"


@pytest.mark.parametrize("membership, mounts, files, expected", [
    pytest.param("0::/a/b", V2_MOUNT.format(root="/", mount="{mount}"), {"unified/a/cpu.max": QUOTA}, 2.0,
                 id="version 2 mounted elsewhere"),
    pytest.param("0::/docker/abc/inner/x", V2_MOUNT.format(root="/docker/abc", mount="{mount}"),
                 {"unified/inner/cpu.max": QUOTA, "unified/cpu.max": "400000 100000"}, 2.0,
                 id="a group within the group of the container"),
    pytest.param("0::/docker/abc", V2_MOUNT.format(root="/docker/abc", mount="{mount}"), {"unified/cpu.max": QUOTA},
                 2.0, id="the mount is the group"),
    pytest.param("0::/../other", V2_MOUNT.format(root="/", mount="{mount}"), {"unified/cpu.max": QUOTA}, 2.0,
                 id="a group that is not visible"),
    pytest.param("4:cpuacct,cpu:/kubepods/pod/c/job", V1_MOUNT.format(root="/kubepods/pod/c", mount="{mount}"),
                 {"elsewhere/job/cpu.cfs_quota_us": "150000", "elsewhere/job/cpu.cfs_period_us": "100000"}, 1.5,
                 id="version 1 mounted elsewhere"),
    pytest.param("4:memory:/a\n3:cpuset:/a", V1_MOUNT.format(root="/", mount="{mount}"),
                 {"elsewhere/a/cpu.cfs_quota_us": "150000", "elsewhere/a/cpu.cfs_period_us": "100000"}, None,
                 id="groups that do not limit the CPU"),
    pytest.param("nonsense\n0:\n::\n\n0::/a", "nonsense\n - cgroup2\n1 2 3 - cgroup2 x rw",
                 {"cpu.max": QUOTA}, 2.0, id="lines that are not understood"),
])  # fmt: skip
def test_quotas_wherever_groups_are_mounted(tmp_path, membership, mounts, files, expected):
    (tmp_path / "cgroup").write_text(membership)
    (tmp_path / "mountinfo").write_text(mounts.format(mount=tmp_path / "mount"))
    for name, text in files.items():
        (tmp_path / "mount" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mount" / name).write_text(text)
    assert system._cpu_quota(tmp_path / "cgroup", tmp_path / "mount", tmp_path / "mountinfo") == expected


@pytest.mark.parametrize("quota, expected", [(None, 8), (0.3, 1), (2.0, 2), (2.5, 3), (64.0, 8)])
def test_cores_are_limited_by_affinity_and_quota(tmp_path, monkeypatch, quota, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(system, "_CGROUPS", tmp_path)
    monkeypatch.setattr(system, "_CGROUP_OF_PROCESS", tmp_path / "cgroup")
    monkeypatch.setattr(system, "_MOUNTS", tmp_path / "mountinfo")
    (tmp_path / "cgroup").write_text("0::/\n")
    if quota is not None:
        (tmp_path / "cpu.max").write_text(f"{int(quota * 100_000)} 100000\n")
    assert usable_cores() == expected


def test_cores_are_counted_in_one_module():
    """In ``core/system``, which knows the quota of a container."""
    paths = [path for name in ("ccip_plugin", "demo", "benchmarks", "parity") for path in (ROOT / name).rglob("*.py")]
    counting = [path for path in paths if {"cpu_count", "sched_getaffinity"} & set(_names_in(path))]
    assert [path.relative_to(ROOT).as_posix() for path in counting] == ["ccip_plugin/core/system.py"]


def _names_in(path):
    return (getattr(node, "attr", "") for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
