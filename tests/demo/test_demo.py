"""The demo: its servers, started, used again and ended; its table; the user's folder in the user's FiftyOne."""

import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from ccip_plugin.core.registry import DEFAULT_MODEL, DEMO_MODEL
from demo import truth, workspace
from demo.app import main as app_command
from demo.servers import ROOT, Servers, Shown
from demo.shell import main as shell_command
from demo.world import make_world
from scripts.local_services import Running, ServiceError, birth, free_port, is_port_free
from tests.support import tiny_models

SMALL = (64, 80)
DEMO, APP = ["-m", "demo.run"], ["-m", "demo.app"]
PATIENCE = 60.0
READ = """
import json
import fiftyone as fo
dataset = fo.load_dataset("ccip-demo")
print(json.dumps({
    "paths": dataset.values("filepath"),
    "characters": dataset.values("character.label"),
    "people": dataset.values("people.detections.character"),
    "groups": dataset.values("character_group.label"),
    "views": dataset.list_saved_views(), "workspaces": dataset.list_workspaces(),
}))
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A small world, drawn once."""
    folder = tmp_path_factory.mktemp("世界") / "images"
    return make_world(
        folder, n_characters=4, n_images=16, n_groups=2, n_nobody=1, n_broken=1, short_side=SMALL, workers=1
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with tiny models under the names of the demo's and of the default one."""
    folder = tmp_path_factory.mktemp("models")
    for name in (DEMO_MODEL, DEFAULT_MODEL):
        tiny_models.write_model_dir(folder, name=name)
    return folder


@pytest.fixture
def servers(tmp_path):
    """The servers of a demo in a folder of the test, ended after it."""
    servers = Servers(tmp_path / "デモ demo")
    yield servers
    servers.stop()


@pytest.fixture
def drawn(servers, world):
    """The same, with the small world drawn."""
    shutil.copytree(world.folder, servers.folder / "images")
    return servers


@pytest.fixture
def run_demo(run_python, models):
    """``run_demo(servers, *options)`` runs the demo with tiny models."""

    def run(servers, *options, **more):
        command = [*DEMO, "--folder", servers.folder, "--model-dir", models, *options]
        return run_python(list(map(str, command)), **more)

    return run


def recorded(servers: Servers) -> dict:
    return json.loads((servers.folder / "state.json").read_text(encoding="utf-8"))


def process(servers: Servers, name: str) -> Running:
    entry = recorded(servers)[name]
    return Running(entry["pid"], entry["born"], entry["port"])


def content(port: int) -> dict:
    """Everything in the database of the demo that does not change by opening a dataset and by trying a broken file.

    The last report of a run, with its time, is that of the newest run; the overview of groups is that of the dataset
    with the broken file's time.
    """
    import pymongo

    with pymongo.MongoClient("127.0.0.1", port) as client:
        database = client["ccip_demo"]
        found = {name: list(database[name].find(sort=[("_id", 1)])) for name in database.list_collection_names()}
    derived = ("ccip_reports", "ccip_overview")
    found["execution_store"] = [each for each in found["execution_store"] if each["store_name"] not in derived]
    for dataset in found["datasets"]:
        dataset.pop("last_loaded_at")
        dataset["sample_fields"] = [field for field in dataset["sample_fields"] if field["name"] != "metadata"]
    for document in itertools.chain.from_iterable(found.values()):
        if document.get("ccip_error"):
            document.pop("last_modified_at")
    return found


def answer(url: str, **sent: object) -> dict:
    request = urllib.request.Request(url, json.dumps(sent).encode() if sent else None)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def wait_until(check) -> None:
    end = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.05)


@pytest.mark.mongo
@pytest.mark.slow
class TestOurOwn:
    def test_from_the_first_run_to_the_end(self, drawn, world, run_demo, run_python, mongo):
        first = run_demo(drawn)
        self.shows_a_table(first.stdout, world)
        self.is_in_a_database_of_its_own(drawn, run_python, world)
        self.changes_nothing_when_run_again(drawn, run_demo)
        self.has_a_shell(drawn, run_python)
        self.opens_in_the_app(drawn, run_python)
        self.stops(drawn, run_python, mongo)

    def shows_a_table(self, text, world):
        assert "a stand-in that knows only the demo drawings" in text
        assert re.search(r"^  Added +16$", text, flags=re.MULTILINE)
        assert re.search(r"^  Failed +1$", text, flags=re.MULTILINE)
        assert re.search(r"^compared +13 +\d+$", text, flags=re.MULTILINE)
        for score in ("adjusted Rand index", "B-cubed F", "pair precision", "pair recall"):
            assert re.search(rf"^{score} +-?[01]\.\d{{3}} +-?[01]\.\d{{3}}$", text, flags=re.MULTILINE)
        assert text.endswith(
            "look at the groups:  make app\ntry ccip or Python:  make shell\nend the servers:     make stop\n"
        )
        assert len(world.of_kind("single")) + len(world.of_kind("nobody")) == 13

    def is_in_a_database_of_its_own(self, drawn, run_python, world):
        import fiftyone as fo

        assert not fo.dataset_exists("ccip-demo")
        found = json.loads(run_python(READ, **drawn.environment()).stdout)
        names = [Path(path).relative_to(drawn.folder / "images").as_posix() for path in found["paths"]]
        assert sorted(names) == sorted(image.path for image in world.images)
        rows = zip(found["characters"], found["people"], found["groups"], strict=True)
        by_path = dict(zip(names, rows, strict=True))
        for image in world.images:
            character, people, group = by_path[image.path]
            who = [seen.name for seen in image.seen]
            assert (character, people) == ((who[0], None) if len(who) == 1 else (None, who or None))
            assert (group is None) == (image.kind in ("group", "broken"))
        assert (found["views"], found["workspaces"]) == ([workspace.VIEW], [workspace.WORKSPACE])

    def changes_nothing_when_run_again(self, drawn, run_demo):
        database = process(drawn, "database")
        before = content(database.port)
        again = run_demo(drawn)
        assert process(drawn, "database") == database, "the server is used again"
        assert content(database.port) == before
        assert re.search(r"^  Added +0$", again.stdout, flags=re.MULTILINE)
        assert (drawn.folder / "table.txt").read_text(encoding="utf-8") in again.stdout

    def has_a_shell(self, drawn, run_python):
        shell = ["-m", "demo.shell", "--folder", str(drawn.folder)]
        said = run_python([*shell, "--", "ccip", "undo", "--dataset", "ccip-demo"]).stdout
        assert said.startswith("undid group by character: 13 labels\n")
        run_python([*shell, "--", "ccip", "redo", "--dataset", "ccip-demo"])
        code = "import fiftyone as fo, ccip_plugin; print(len(fo.load_dataset('ccip-demo')))"
        assert run_python([*shell, "--", "python", "-c", code]).stdout == "16\n"
        interactive = run_python(shell, SHELL="/bin/true").stdout
        assert "Its dataset is ccip-demo" in interactive

    def opens_in_the_app(self, drawn, run_python):
        port = free_port()
        said = run_python([*APP, "--folder", str(drawn.folder), "--port", str(port)]).stdout
        address = f"http://localhost:{port}/datasets/ccip-demo?workspace=character-groups"
        assert f"The App is open:  {address}\n" in said
        operators = answer(f"http://127.0.0.1:{port}/operators", dataset_name="ccip-demo")["operators"]
        assert "@ccip/characters/group_characters" in {each["uri"] for each in operators}
        app = process(drawn, "app")
        assert f"still open:  {address}\n" in run_python([*APP, "--folder", str(drawn.folder)]).stdout
        assert process(drawn, "app") == app

    def stops(self, drawn, run_python, mongo):
        both = process(drawn, "app"), process(drawn, "database")
        said = run_python([*APP, "stop", "--folder", str(drawn.folder)]).stdout
        assert re.fullmatch(r"ended the App \(.*\)\nended the database \(.*\)\n", said)
        assert [each.is_alive for each in both] == [False, False]
        assert mongo.start(), "others stay"
        assert "Nothing of the demo was running." in run_python([*APP, "stop", "--folder", str(drawn.folder)]).stdout

    def test_ctrl_c_while_it_draws(self, servers, start_python, run_python):
        demo = start_python([*DEMO, "--folder", str(servers.folder), "--n-images", "40"])
        assert demo.stdout.readline().startswith("drawing 40 images into ")
        wait_until(lambda: any((servers.folder / "images").glob("*")))
        demo.send_signal(signal.SIGINT)
        out, err = demo.communicate(timeout=PATIENCE)
        assert (demo.returncode, out) == (130, "")
        assert err.endswith("stopped. Finished results are stored. Run the same command to resume:\n  make demo\n")
        before = sorted((servers.folder / "images").rglob("*"))
        time.sleep(1.5)
        assert sorted((servers.folder / "images").rglob("*")) == before, "nobody draws any more"
        assert not (servers.folder / "state.json").exists()

    def test_ctrl_c_while_it_works(self, drawn, start_python, run_demo, models):
        demo = start_python([*DEMO, "--folder", str(drawn.folder), "--model-dir", str(models)])
        for line in demo.stderr:
            if line.startswith("embedding"):
                break
        demo.send_signal(signal.SIGINT)
        out, err = demo.communicate(timeout=PATIENCE)
        assert demo.returncode == 130, err
        assert "Traceback" not in err
        assert re.search("^ +Image files found +16$", out, flags=re.MULTILINE)
        assert process(drawn, "database").is_alive, "in a session of its own"
        assert "adjusted Rand index" in run_demo(drawn).stdout

    def test_draws_what_it_shows(self, servers, run_demo):
        text = run_demo(servers, "--n-images", "4", "--dataset", "other name").stdout
        assert "4 files in " in text
        assert re.search(r"^ +Image files found +4$", text, flags=re.MULTILINE)
        assert recorded(servers)["shown"]["path"] == "datasets/other%20name?workspace=character-groups"

    def test_an_unknown_model_is_named_before_anything_is_done(self, servers, run_demo):
        assert "unknown CCIP model 'ccip-demi'" in run_demo(servers, "--model", "ccip-demi", status=1).stderr
        assert not servers.folder.exists()


@pytest.mark.mongo
class TestServers:
    def test_a_record_from_before_a_restart_is_of_nobody(self, servers, start_python):
        other = start_python("import time; print(flush=True); time.sleep(600)")
        other.stdout.readline()
        stale = {"pid": other.pid, "born": "another boot 1234", "port": 27017}
        servers.folder.mkdir()
        (servers.folder / "state.json").write_text(json.dumps({"database": stale, "app": stale}), encoding="utf-8")
        uri = servers.environment()["FIFTYONE_DATABASE_URI"]
        assert uri == f"mongodb://127.0.0.1:{process(servers, 'database').port}"
        assert [said.partition(" (")[0] for said in servers.stop()] == ["the database"]
        assert other.poll() is None, "it has the number of ours, and is not ours"

    def test_ended_by_somebody_else_it_is_started_again(self, servers):
        servers.environment()
        first = process(servers, "database")
        os.kill(first.pid, signal.SIGKILL)
        wait_until(lambda: not first.is_alive)
        servers.environment()
        assert process(servers, "database").is_alive

    def test_a_database_that_does_not_answer(self, servers, start_python):
        other = start_python("import time; print(flush=True); time.sleep(600)")
        other.stdout.readline()
        hanging = {"pid": other.pid, "born": birth(other.pid), "port": free_port()}
        servers.folder.mkdir()
        (servers.folder / "state.json").write_text(json.dumps({"database": hanging}), encoding="utf-8")
        with pytest.raises(ServiceError, match=rf"process {other.pid}\) does not answer .* make stop"):
            servers.environment()

    def test_settings_of_the_shell_do_not_reach_it(self, servers, monkeypatch):
        monkeypatch.setenv("FIFTYONE_MODULE_PATH", "/theirs")
        monkeypatch.setenv("FIFTYONE_DATABASE_NAME", "theirs")
        monkeypatch.setenv("HF_HUB_CACHE", "/cache of all my models")
        env = servers.environment()
        assert {name: value for name, value in env.items() if "theirs" in value} == {}
        assert env["HF_HUB_CACHE"] == "/cache of all my models"
        assert (Path(env["FIFTYONE_PLUGINS_DIR"]) / "@ccip" / "characters" / "fiftyone.yml").is_file()

    def test_the_port_of_the_app_is_taken(self, servers, capsys):
        servers.show(Shown("a", "datasets/a"))
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            assert app_command(["--folder", str(servers.folder), "--port", str(port)]) == 1
        assert f"port {port} is in use or reserved; choose another one: make app PORT={port + 1}" in (
            capsys.readouterr().err
        )
        assert "database" not in recorded(servers), "nothing was started"


def test_no_shell_without_a_demo(servers, capsys):
    assert shell_command(["--folder", str(servers.folder)]) == 1
    assert capsys.readouterr().err == "error: there is no demo yet: make demo\n"


def test_nothing_to_show_yet(servers, capsys):
    assert app_command(["--folder", str(servers.folder)]) == 1
    assert capsys.readouterr().err == "error: there is nothing to show yet: make demo\n"


def test_a_damaged_record_is_named(servers, capsys):
    servers.folder.mkdir()
    record = servers.folder / "state.json"
    record.write_text('{"database": {"pi', encoding="utf-8")
    assert app_command(["--folder", str(servers.folder)]) == 1
    assert f"{record} is damaged" in capsys.readouterr().err
    record.unlink()


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "1.5"])
def test_no_port(text, capsys):
    with pytest.raises(SystemExit, match="2"):
        app_command([f"--port={text}"])
    assert f"{text!r} is not a port: a whole number from 1 to 65535" in capsys.readouterr().err


class TestTwoAtOnce:
    def test_the_second_waits(self, servers, start_python):
        code = """
            import sys
            from pathlib import Path
            from demo.servers import Servers
            with Servers(Path(sys.argv[1])).job(lambda other: print(other, flush=True)):
                print("mine", flush=True)
        """
        with servers.job():
            second = start_python(code, servers.folder)
            assert second.stdout.readline() == f"another `make demo` is running (process {os.getpid()})\n"
        assert second.communicate(timeout=PATIENCE)[0] == "mine\n"

    def test_stop_does_not_cut_it_off(self, servers, capsys):
        with servers.job():
            assert app_command(["stop", "--folder", str(servers.folder)]) == 1
        assert f"(process {os.getpid()}); end it first, with Ctrl-C where it runs" in capsys.readouterr().err


@pytest.mark.mongo
@pytest.mark.slow
class TestTheUsers:
    def test_folder_in_the_users_fiftyone(self, servers, images, run_demo, run_python, dataset, tmp_path):
        import fiftyone as fo

        folder, name = tmp_path / "私の 画像", "fan art 2024"
        images("aabbbc", folder=folder)
        dataset(name=name, persistent=True)
        said = run_demo(servers, "--images", str(folder), "--dataset", name, "--", "--eps", "0.1").stdout
        assert re.search(r"^ +Image files found +6$", said, flags=re.MULTILINE)
        assert "eps 0.1000" in said
        assert "or from here:        make app" in said
        data = fo.load_dataset(name)
        data.reload()
        assert data.list_workspaces() == [workspace.WORKSPACE]
        assert "database" not in recorded(servers), "there is one already"
        run_python([*APP, "--folder", str(servers.folder), "--port", str(free_port())])
        app = process(servers, "app")
        assert recorded(servers).keys() == {"shown", "app"}
        operators = answer(f"http://127.0.0.1:{app.port}/operators", dataset_name=name)["operators"]
        assert "@ccip/characters/group_characters" in {each["uri"] for each in operators}
        assert len(servers.stop()) == 1
        assert fo.dataset_exists(name), "what is theirs stays"

    def test_the_plugin_is_beside_theirs(self, servers, images, run_demo, tmp_path, dataset):
        theirs = tmp_path / "plugins" / "@me" / "mine"
        theirs.mkdir(parents=True)
        (theirs / "fiftyone.yml").write_text("name: '@me/mine'\nfiftyone: {version: '*'}\n", encoding="utf-8")
        (theirs / "__init__.py").write_text("def register(plugin): pass\n", encoding="utf-8")
        dataset(name="beside", persistent=True)
        images("ab")
        run_demo(
            servers,
            *("--images", str(tmp_path / "images"), "--dataset", "beside"),
            FIFTYONE_PLUGINS_DIR=str(tmp_path / "plugins"),
        )
        shown = Path(recorded(servers)["shown"]["plugins_dir"])
        assert {path.name: path.resolve() for path in shown.iterdir()} == {
            "@me": theirs.parent,
            "ccip-of-this-checkout": ROOT,
        }

    def test_needs_a_name(self, servers, run_demo):
        said = run_demo(servers, "--images", "somewhere", status=2).stderr
        assert said == "make demo IMAGES=... needs a name for the dataset: DATASET=name\n"


@pytest.mark.mongo
class TestArrange:
    @pytest.fixture
    def grouped(self, dataset, images):
        import fiftyone as fo

        data = dataset(*images("abcd"), name=f"絵 {os.getpid()}", persistent=True)
        labels = ["unassigned", "char_0001", "アスカ", None]
        data.set_values("character_group", [label and fo.Classification(label=label) for label in labels])
        return data

    def test_colors_by_group(self, grouped):
        path = workspace.arrange(grouped)
        assert path == f"datasets/%E7%B5%B5%20{os.getpid()}?workspace=character-groups"
        grouped.reload()
        (field,) = grouped.app_config.color_scheme.fields
        colors = {each["value"]: each["color"] for each in field["valueColors"]}
        assert (field["path"], field["colorByAttribute"]) == ("character_group", "label")
        assert colors["unassigned"] == workspace.UNASSIGNED_COLOR
        assert len(colors) == len(set(colors.values())) == 3
        assert grouped.app_config.active_fields.paths == ["character_group"]

    def test_what_people_chose_stays(self, grouped):
        workspace.arrange(grouped)
        values = grouped.app_config.color_scheme.fields[0]["valueColors"]
        next(each for each in values if each["value"] == "アスカ")["color"] = "#123456"
        grouped.app_config.active_fields.paths = ["character_group", "filepath"]
        grouped.save_workspace(workspace.WORKSPACE, mine := workspace.workspace(), overwrite=True)
        grouped.set_values("character_group.label", {grouped.first().id: "new"}, key_field="id")
        workspace.arrange(grouped)
        grouped.reload()
        values = grouped.app_config.color_scheme.fields[0]["valueColors"]
        assert {each["value"]: each["color"] for each in values}["アスカ"] == "#123456"
        assert len({each["color"] for each in values}) == 4
        assert grouped.app_config.active_fields.paths == ["character_group", "filepath"]
        assert grouped.load_workspace(workspace.WORKSPACE) == mine

    def test_white_text_can_be_read_on_every_color(self):
        for color in workspace._colors(range(workspace.MAX_COLORS)):
            red, green, blue = ((int(color[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5))
            assert 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05) >= 2.9, color


@pytest.mark.mongo
def test_agreement_is_with_everything_that_is_seen(dataset, world):
    import fiftyone as fo

    data = dataset(*(world.folder / image.path for image in world.images))
    assert truth.write_truth(data, world.images, world.folder) == 14
    assert truth.write_truth(data, world.images, world.folder) == 0
    data.set_values(
        "character_group", [fo.Classification(label=name or "unassigned") for name in data.values("character.label")]
    )
    data.set_values("people.detections.character_group", data.values("people.detections.character"))
    right = truth.measure(data, world.images, world.folder)
    assert [(each.ari, each.bcubed_f1) for each in right.values()] == [(1, 1), (1, 1)]
    assert (right["images"].n_images, right["images"].n_noise) == (13, 1), "nobody is nobody else"
    assert right["images"].n_characters == len({image.seen[0].name for image in world.of_kind("single")})
    data.set_values("character_group.label", ["all"] * len(data))
    assert truth.measure(data, world.images, world.folder)["images"].pair_precision < 0.5


# --- processes and ports ---


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="how Linux shows threads")
def test_a_process_whose_first_thread_has_ended_still_runs(start_python):
    code = """
        import ctypes, threading, time
        threading.Thread(target=time.sleep, args=(600,)).start()
        print(flush=True)
        ctypes.CDLL(None).pthread_exit(None)
    """
    child = start_python(code)
    child.stdout.readline()
    state = Path(f"/proc/{child.pid}/stat")
    wait_until(lambda: state.read_text().rpartition(")")[2].split()[0] == "Z")
    assert birth(child.pid) is not None
    child.kill()
    wait_until(lambda: birth(child.pid) is None)


def test_a_process_is_known_by_its_birth():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        running = Running(child.pid, birth(child.pid), 0)
        assert running.is_alive
        assert not Running(child.pid, "yesterday", 0).is_alive
        child.kill()
        wait_until(lambda: not running.is_alive)  # although it is there until somebody asks for its end
    assert birth(child.pid) is None


def test_a_process_that_does_not_listen_is_killed():
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        Running(child.pid, birth(child.pid), 0).end(timeout=0.2)
    assert child.returncode == -signal.SIGKILL


def test_a_port_is_free_or_not():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        assert not is_port_free(address[1])
        with socket.create_connection(address):
            server.accept()[0].close()
    assert is_port_free(address[1]), "although a connection was there just now"


# --- make ---


@pytest.mark.parametrize(
    "arguments, command",
    [
        pytest.param(["demo"], "-m demo.run", id="demo"),
        pytest.param(["demo", "IMAGES=my art", "DATASET=x"], '--images "$IMAGES" --dataset "$DATASET"', id="mine"),
        pytest.param(["demo", "ARGS=--eps 0.1"], "-m demo.run -- --eps 0.1", id="options"),
        pytest.param(["app"], "-m demo.app", id="app"),
        pytest.param(["app", "PORT=5252"], '-m demo.app --port "$PORT"', id="port"),
    ],
)
def test_make_takes_what_was_given_to_it_alone(arguments, command):
    env = os.environ | {"IMAGES": "/theirs", "MODEL": "theirs", "PORT": "80"}
    ready = ["--old-file=.venv/.set-up"]
    done = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", *ready, *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert " ".join(done.stdout.replace("\\\n", " ").split()).endswith(command)
