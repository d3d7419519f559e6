"""The review panel's operator, posted to a real App server as the panel does."""

import json
import time
import urllib.request

import fiftyone as fo
import pytest

pytestmark = pytest.mark.mongo


@pytest.fixture
def post(app_server):
    """``post(data, method, token=None, **args)`` gives the result of a method of the panel."""

    def send(data, method, token=None, headers=None, **args):
        params = {"method": method, "args": args, "token": token}
        body = {
            "operator_uri": "@ccip/characters/review",
            "dataset_name": getattr(data, "name", data),
            "params": params,
        }
        request = urllib.request.Request(
            f"{app_server.url}/operators/execute",
            json.dumps(body).encode(),
            headers or {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as response:
            answer = json.load(response)
        assert not answer.get("error"), answer
        return answer["result"]

    return send


def test_reads_and_writes(post, made):
    data = made("aaabbb", persistent=True)
    opened = post(data, "open", tab="one")
    assert opened["progress"]["groups"] == 2 and "problem" not in opened
    assert {each["size"] for each in post(data, "groups")["cards"]} == {3}
    done = post(data, "rename", token=opened["token"], group=1, name="綾波 レイ", by="Rei's friend")
    assert done["number"] == 2 and done["progress"]["items"] == 6
    assert post(data, "history")["rows"][0]["by"] == "Rei's friend"
    post(data, "undo", token=opened["token"])
    data.reload()
    assert set(data.values("character_group.label")) == {"char_0001", "char_0002"}


def test_another_site_gets_no_token_and_writes_nothing(post, made):
    data = made("aaabbb", persistent=True)
    foreign = {"Content-Type": "text/plain", "Origin": "https://other.example", "Host": "other.example"}
    for token in (None, "0" * 64):
        assert post(data, "confirm", token=token, headers=foreign, groups=[1])["problem"]["code"] == "token"
    assert set(data.values("character_group.status")) == {"auto"}


def test_a_dataset_that_is_gone_or_not_named(post, made):
    data = made("aaabbb", persistent=True)
    name = data.name
    post(data, "groups")
    fo.delete_dataset(name)
    assert post(name, "groups")["problem"]["code"] == "gone"
    assert post(None, "open")["problem"]["code"] == "no_dataset"


def test_detections(post, dataset):
    from ccip_plugin.grouping import group_characters
    from tests.support.groups import embed

    data = dataset(*(f"/{n}.png" for n in range(4)), persistent=True)
    for sample in data:
        boxes = ([0, 0, 0.5, 1], [0.5, 0, 0.5, 1])
        sample["faces"] = fo.Detections(detections=[fo.Detection(label="face", bounding_box=box) for box in boxes])
        sample.save()
    embed(data, "aaaabbbb", "faces")
    group_characters(data, patches_field="faces")
    opened = post(data, "open")
    ids = data.values("faces.detections.id", unwind=True)
    assert opened["source"]["patches_field"] == "faces"
    moved = post(data, "move", token=opened["token"], items=ids[:1], name="Asuka")
    assert moved["number"] and moved["progress"]["groups"] == 3
    image = post(data, "image", id=data.first().id)
    assert image["picture"]["id"] == ids[0] and image["group"]["name"] == "Asuka"
    data.reload()
    assert data.values("faces.detections.character_group", unwind=True)[0] == "Asuka"


def test_work_that_takes_long_is_polled_and_cancelled_and_others_read_meanwhile(post, made):
    from ccip_plugin.storage.lease import lease

    def seconds(method, **args):
        start = time.monotonic()
        assert "problem" not in post(data, method, tab="other", **args)
        return time.monotonic() - start

    def ended(key):
        for _ in range(100):
            work = post(data, "work", id=key)
            if work["state"] != "running":
                return work
            time.sleep(0.1)
        raise AssertionError(work)

    data = made("aaabbb", persistent=True)
    token = post(data, "open")["token"]
    ids = data.values("id")
    with lease(data, "character_group"):  # as a run in another process holds it
        first = post(data, "confirm", token=token, groups=[1])
        assert set(first) == {"work"}
        work = post(data, "work", id=first["work"])
        assert (work["state"], work["text"], work["result"]) == ("running", "waiting for another change", None)
        second = post(data, "confirm", token=token, groups=[2])  # waits for the first
        reading = {"groups": {}, "group": {"id": 1}, "questions": {"n": 8}, "image": {"id": ids[0]}, "history": {}}
        taken = {method: seconds(method, **args) for method, args in reading.items()}
        assert max(taken.values()) < 1.2, taken
        post(data, "cancel", id=first["work"])
        cancelled = ended(first["work"])
        assert (cancelled["state"], cancelled["text"]) == ("cancelled", "It was cancelled.")
        assert post(data, "work", id=second["work"])["state"] == "running"
    done = ended(second["work"])
    assert done["state"] == "done" and done["result"]["progress"]["confirmed"] == 3
    data.reload()
    assert data.values("character_group.status") == ["auto"] * 3 + ["confirmed"] * 3
    assert post(data, "work", id="x")["problem"]["code"] == "gone"


def test_the_queue_in_python(made):
    from ccip_plugin import review_queue

    data = made("aaaaAAAAbbbb")
    for question in review_queue(data, n=5):
        assert question["kind"] and question["gain"] > 0 and all(isinstance(each, list) for each in question["items"])
