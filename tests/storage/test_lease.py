"""One writer at a time."""

import datetime
import os
import socket
import threading
import time

import pytest
from pymongo.errors import AutoReconnect

from ccip_plugin.storage import lease as module
from ccip_plugin.storage.lease import LeaseHeldError, LeaseLostError, lease


@pytest.fixture
def samples(dataset):
    return dataset(persistent=True)


HOLD = """
import sys, time
import fiftyone as fo
from ccip_plugin.storage.lease import lease

with lease(fo.load_dataset(sys.argv[1]), "field", ttl=float(sys.argv[2])):
    print("held", flush=True)
    time.sleep(60)
"""

COUNT = """
import sys, time
import fiftyone as fo
from ccip_plugin.storage.lease import lease

samples = fo.load_dataset(sys.argv[1])
for _ in range(20):
    with lease(samples, "field"):
        path = sys.argv[2]
        number = int(open(path).read())
        time.sleep(0.005)
        with open(path, "w") as file:
            file.write(str(number + 1))
"""


def leases():
    return module._leases()


def test_a_lease_is_held_by_one_and_then_free(samples):
    with lease(samples, "field") as held:
        held.check()
        with (
            pytest.raises(LeaseHeldError, match=r"process \d+ .* is writing to 'field'"),
            lease(samples, "field", wait=0),
        ):
            pytest.fail("two have it")
    with lease(samples, "field", wait=0):
        pass
    assert leases().count_documents({"_id": f"{samples._doc.id}/field"}) == 0


def test_leases_of_other_names_and_datasets_are_others(samples, dataset):
    with lease(samples, "field", wait=0), lease(samples, "other", wait=0), lease(dataset(), "field", wait=0):
        assert leases().count_documents({"_id": {"$regex": f"^{samples._doc.id}/"}}) == 2


def test_a_lease_is_given_back_after_an_error(samples):
    with pytest.raises(ZeroDivisionError), lease(samples, "field"):
        raise ZeroDivisionError
    with lease(samples, "field", wait=0):
        pass


def test_waits_for_the_other(samples):
    order = []

    def hold():
        with lease(samples, "field"):
            started.set()
            time.sleep(0.3)
            order.append("first")

    started = threading.Event()
    thread = threading.Thread(target=hold)
    thread.start()
    started.wait()
    with lease(samples, "field", wait=30):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_a_lease_is_renewed_while_it_is_held(samples):
    with lease(samples, "field", ttl=1.5) as held:
        time.sleep(3)
        with pytest.raises(LeaseHeldError), lease(samples, "field", wait=0):
            pytest.fail("two have it")
        held.check()


def test_a_lease_that_was_taken_over_is_lost_and_not_given_back(samples):
    key = {"_id": f"{samples._doc.id}/field"}
    with lease(samples, "field") as held:
        leases().update_one(key, {"$set": {"owner": "another"}})
        with pytest.raises(LeaseLostError, match="did not respond"):
            held.check()
    assert leases().find_one(key)["owner"] == "another"
    leases().delete_one(key)


def test_a_lease_survives_a_short_outage(samples, monkeypatch, caplog):
    failed = []
    with lease(samples, "field", ttl=1.5) as held:
        real = held.check

        def check():
            if not failed:
                failed.append(True)
                raise AutoReconnect("gone for a moment")
            real()

        monkeypatch.setattr(held, "check", check)
        time.sleep(3)
        with pytest.raises(LeaseHeldError), lease(samples, "field", wait=0):
            pytest.fail("two have it")
    assert failed
    assert "could not renew the lease" in caplog.text


@pytest.mark.slow
def test_the_lease_of_a_killed_process_ends(samples, start_python):
    process = start_python(HOLD, samples.name, 2)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(LeaseHeldError), lease(samples, "field", wait=0):
        pytest.fail("two have it")
    process.kill()
    with lease(samples, "field", wait=30):
        pass


FAR = datetime.timedelta(hours=1)


@pytest.mark.parametrize(
    "until",
    [
        pytest.param(FAR, id="a clock was set back"),
        pytest.param(-FAR, id="a clock was set forward"),
        pytest.param(None, id="without time"),
    ],
)
def test_a_lease_that_is_not_renewed_is_taken_over_whatever_clocks_say(samples, until, caplog):
    key, now = {"_id": f"{samples._doc.id}/field"}, datetime.datetime.now(datetime.UTC)
    times = {} if until is None else {"until": now + until}
    leases().insert_one({**key, "owner": f"process {os.getpid()} on {socket.gethostname()}", **times})
    with pytest.raises(LeaseHeldError), lease(samples, "field", ttl=0.5, wait=0.3):
        pytest.fail("two have it")
    with lease(samples, "field", ttl=0.5) as held:
        held.check()
    assert "took over the lease on 'field'" in caplog.text


@pytest.mark.parametrize("shift", [FAR, -FAR], ids=["forward", "back"])
def test_a_lease_that_is_renewed_is_not_taken_over_whatever_clocks_say(samples, shift):
    key = {"_id": f"{samples._doc.id}/field"}
    with lease(samples, "field", ttl=1.5) as held:
        for _ in range(4):
            leases().update_one(key, {"$set": {"until": datetime.datetime.now(datetime.UTC) + shift}})
            with pytest.raises(LeaseHeldError), lease(samples, "field", ttl=1.5, wait=0.7):
                pytest.fail("two have it")
        held.check()


def test_version_0_1_0_sees_that_a_lease_is_held(samples):
    with lease(samples, "field", ttl=30):
        until = leases().find_one({"_id": f"{samples._doc.id}/field"})["until"]
        assert until > datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


@pytest.mark.slow
def test_processes_take_turns(samples, tmp_path, start_python):
    path = tmp_path / "number"
    path.write_text("0")
    processes = [start_python(COUNT, samples.name, path) for _ in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors
    assert path.read_text() == "40"
