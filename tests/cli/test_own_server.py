"""FiftyOne starts a database server of its own when nobody names one; other servers may run beside it."""

import os

import pytest
from local_services import find_mongod

from tests.support import services

pytestmark = [
    pytest.mark.mongo,
    pytest.mark.slow,
    pytest.mark.skipif(find_mongod() is None, reason="the tests run on a server that was started elsewhere"),
]

CODE = """
    import os, sys, time
    del os.environ["FIFTYONE_DATABASE_URI"]
    from ccip_plugin.__main__ import main
    status = main(["undo", "--dataset", "x"])
    while sys.argv[1:] and not os.path.exists(sys.argv[1]):
        time.sleep(0.05)
    sys.exit(status)
"""
NO_DATASET = b"error: there is no dataset 'x'; existing datasets: none\n"


@pytest.fixture(params=["alone", "beside another server"])
def beside(request, tmp_path):
    """Another MongoDB, as the demo and the tests run one, or none."""
    if request.param == "alone":
        yield
        return
    with services.Mongo(tmp_path / "another"):
        yield


def output(process, stream):
    """What an ended process has printed; a failure if another process holds its output, so that readers wait for it."""
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # its parent has not asked for its status yet
    descriptor = getattr(process, stream).fileno()
    os.set_blocking(descriptor, False)
    text = b""
    try:
        while block := os.read(descriptor, 1 << 16):
            text += block
    except BlockingIOError:
        pytest.fail(f"a process holds {stream} of a command that has ended; it printed {text.decode()!r}")
    return text


def test_two_that_start_it_at_once(start_python, tmp_path, beside):
    """Neither waits for the other one, whatever reads their output."""
    env = {"FIFTYONE_DATABASE_DIR": str(tmp_path / "データ" / "db")}
    both = [start_python(CODE, **env) for _ in range(2)]
    for process in both:
        assert output(process, "stderr").endswith(NO_DATASET)
        assert output(process, "stdout") == b""
    assert [process.wait(timeout=120) for process in both] == [1, 1]


def test_one_that_ends_while_another_program_uses_the_server_that_it_started(start_python, tmp_path):
    """Such as the App, opened while a folder is grouped: the output ends with the command."""
    env = {"FIFTYONE_DATABASE_DIR": str(tmp_path / "db")}
    starter = start_python(CODE, tmp_path / "the first may end", **env)
    wait_for_line(starter)
    user = start_python(CODE, tmp_path / "the second may end", **env)
    wait_for_line(user)
    (tmp_path / "the first may end").touch()
    assert output(starter, "stderr") == b"" and output(starter, "stdout") == b""
    assert starter.wait(timeout=120) == 1 and user.poll() is None
    (tmp_path / "the second may end").touch()
    assert output(user, "stderr") == b"" and user.wait(timeout=120) == 1


def wait_for_line(process):
    """Waits for the error that a command prints."""
    while not (line := process.stderr.readline()).startswith("error:"):
        assert line, "it ended without one"


def test_it_does_not_start(run_python, tmp_path):
    (tmp_path / "db").touch()
    done = run_python(CODE, status=1, FIFTYONE_DATABASE_DIR=str(tmp_path / "db"))
    assert f"error: the database of FiftyOne does not start: [Errno 17] File exists: '{tmp_path / 'db'}'" in done.stderr
    assert "Traceback" not in done.stderr
