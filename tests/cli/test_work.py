"""A running command: exit status, messages, signals, log records."""

import argparse
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ccip_plugin.cli.work import DONE, INTERRUPTED, NOT_DONE, TERMINATED, Work, problem_of
from ccip_plugin.core.errors import CCIPError, ParameterError
from ccip_plugin.core.progress import Cancelled, Progress

PACKAGE = Path(__file__).resolve().parents[2] / "ccip_plugin"


def work(**options):
    return Work(argparse.Namespace(**{"quiet": True, "verbose": False, **options}), "ccip --dataset 絵")


def raising(error):
    def run(running):
        raise error

    return run


@pytest.mark.parametrize(
    "error, status, message",
    [
        pytest.param(CCIPError("no room"), NOT_DONE, "error: no room", id="an error"),
        pytest.param(ConnectionError("gone"), NOT_DONE, "error: the database of FiftyOne: gone; ", id="no database"),
        pytest.param(Cancelled(), INTERRUPTED, "stopped. Finished results are stored. Run the same", id="cancelled"),
        pytest.param(KeyboardInterrupt(), INTERRUPTED, "to resume:\n  ccip --dataset 絵\n", id="Ctrl-C"),
    ],
)
def test_what_ends_a_command(error, status, message, capsys):
    assert work().do(raising(error)) == status
    assert message in capsys.readouterr().err


def test_an_error_of_the_program_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        work().do(raising(ZeroDivisionError()))


@pytest.mark.parametrize(
    "error, problem",
    [
        pytest.param(CCIPError("no room"), "no room", id="ours"),
        pytest.param(KeyError("_id"), "an unexpected KeyError; --verbose shows where", id="of another library"),
        pytest.param(ParameterError("eps", 2, "less"), "--eps is 2; it must be less", id="an option"),
    ],
)
def test_what_is_wrong_with_a_part_of_a_command(error, problem):
    assert problem_of(error) == problem


def test_a_command_that_ends_well(capsys):
    def run(running):
        running.print("the result")
        return DONE

    assert work().do(run) == DONE
    assert capsys.readouterr() == ("the result\n", "")


@pytest.mark.parametrize(
    "error, printed", [(CCIPError("no"), "failed\n"), (KeyboardInterrupt(), "stopped\n")], ids=["failed", "stopped"]
)
def test_results_so_far_are_printed(error, printed, capsys):
    running = work()
    running.before_stop = lambda: running.print("stopped")
    running.before_failure = lambda: running.print("failed")
    running.do(raising(error))
    assert capsys.readouterr().out == printed


def test_overwrite_would_begin_from_the_start(capsys):
    work(overwrite=True).do(raising(KeyboardInterrupt()))
    assert "Run the same command; without --overwrite it resumes:" in capsys.readouterr().err


@pytest.mark.parametrize("number, status", [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)])
def test_signals(number, status):
    def run(running):
        os.kill(os.getpid(), number)
        time.sleep(5)
        return DONE

    before = signal.getsignal(number)
    assert work().do(run) == status
    assert signal.getsignal(number) is before


def test_a_ctrl_c_that_a_library_swallows_is_not_lost():
    reached = []

    def careless(running):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except:  # noqa: E722 - what some libraries do
            reached.append("swallowed")
        running.progress(Progress("going on", 1, 2))
        reached.append("went on")
        return DONE

    assert work().do(careless) == INTERRUPTED
    assert reached == ["swallowed"]


@pytest.mark.parametrize("verbose, n_lines", [(False, 1), (True, 2)], ids=["warnings", "everything"])
def test_log_records_are_shown(verbose, n_lines, capsys):
    def run(running):
        logger = logging.getLogger("ccip_plugin.core.hub")
        logger.warning("slow")
        logger.debug("details")
        return DONE

    assert work(verbose=verbose).do(run) == DONE
    assert capsys.readouterr().err.splitlines() == ["WARNING: slow", "DEBUG: details"][:n_lines]
    assert logging.getLogger("ccip_plugin").handlers == []


def test_the_log_of_the_package_is_shown_whatever_its_name(tmp_path):
    """FiftyOne imports the package under a name of its own, where relative imports reach the rest of it."""
    (tmp_path / "orgs").mkdir()
    (tmp_path / "orgs" / "anime").symlink_to(PACKAGE)
    code = """if True:
        import argparse, logging
        from orgs.anime.cli.work import Work
        from orgs.anime.core.hub import download  # anything with a logger
        run = lambda running: logging.getLogger(download.__name__).warning("slow") or 0
        raise SystemExit(Work(argparse.Namespace(quiet=True, verbose=False), "ccip").do(run))
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == "WARNING: slow\n"
