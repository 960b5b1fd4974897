"""Whatever comes in, the answer is a status below 500 and one line that helps."""

import json
import random
from pathlib import Path

import pytest

from kikibouba.web import limits
from kikibouba.web.jobs import Greedy
from kikibouba.web.workers import Busy

LINE = {"drawing": [[[0, 10, 20], [0, 30, 0]]]}


def refused(answer, status):
    assert answer.status_code == status, answer.text
    message = answer.json()["error"]
    assert message
    assert "\n" not in message
    assert "Traceback" not in message
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    return message


def post(client, path, text, kind="application/json"):
    return client.post(path, content=text, headers={"Content-Type": kind})


def translate(source):
    return json.dumps({"source": source, "to": "melody"})


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"drawing": []}, "empty"),
        ({"notes": []}, "empty"),
        ({}, "either strokes"),
        ({"drawing": [[[5], [5]]]}, "single dot"),
        ({"drawing": [[[0, 1], [0]]]}, "equally many"),
        ({"drawing": [[[0, 1], [float("nan"), 1]]]}, "finite"),
        ({"drawing": [[[0, 1e300], [0, 1]]]}, "less than"),
        ({"drawing": [[[0, 1], [0, 1], [0, 1]]]}, "at most 2"),
        ({"drawing": "sheep"}, "list"),
        ({"drawing": [[list(range(10_001)), list(range(10_001))]]}, "10000 points"),
        ({"drawing": [[[0, 1], [1, 0]]] * 501}, "500"),
        ({"notes": [{"pitch": 200, "start": 0, "end": 1}]}, "127"),
        ({"notes": [{"pitch": 60, "start": 2, "end": 1}]}, "before it starts"),
        ({"notes": [{"pitch": 60, "start": 0, "end": 1e9}]}, "120"),
        ({"notes": [{"pitch": 60, "start": 0, "end": 1, "is_drum": True}]}, "already|input is|no translator"),
    ],
)
def test_contents_that_cannot_be_translated(client, source, words):
    to = "drums" if "is_drum" in str(source) else "melody"
    message = refused(post(client, "/api/translate", json.dumps({"source": source, "to": to})), 422)
    assert any(word in message for word in words.split("|")), message


def test_ten_thousand_points_are_fine(client):
    rng = random.Random(1)
    points = [[rng.random() * 100 for _ in range(10_000)] for _ in range(2)]
    answer = post(client, "/api/translate", translate({"drawing": [points]}))
    assert answer.status_code in (200, 422)  # too wild a scribble is refused by name


@pytest.mark.parametrize("text", ["{", "[1,2", '{"source":', "\x00\x01", '{"a":' * 5_000])
def test_what_is_no_json(client, text):
    refused(post(client, "/api/translate", text), 400)


@pytest.mark.parametrize("text", ["", "null", "[]", "1"])
def test_what_is_no_request(client, text):
    refused(post(client, "/api/translate", text), 422)


def test_fields_that_do_not_exist(client):
    assert "colour" in refused(
        client.post("/api/translate", json={"source": LINE, "to": "melody", "colour": 1}), 422
    )


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded", ""]
)
def test_other_types_than_json(client, kind):
    assert "Content-Type" in refused(post(client, "/api/translate", translate(LINE), kind), 415)


@pytest.mark.parametrize("path", ["/api/translate", "/api/read?name=a.mid", "/api/personalize"])
def test_too_large(client, path):
    answer = client.post(path, content=b" " * 50_000_000, headers={"Content-Type": "application/json"})
    assert "larger" in refused(answer, 413)


def test_too_large_without_saying_so(client):
    """A body in chunks, whose length is not known beforehand."""
    chunks = (b" " * 100_000 for _ in range(20))
    answer = client.post("/api/translate", content=chunks, headers={"Content-Type": "application/json"})
    assert "larger" in refused(answer, 413)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.mid", b"", "empty"),
        ("a.mid", b"MThd", "a.mid"),
        ("a.mid", bytes(100_000), "MIDI"),
        ("a.exe", b"MZ", "allowed"),
        ("../../etc/passwd", b"x", "allowed"),
        ("a.svg", b"<svg/>", "no strokes"),
        ("a.svg", b'<!DOCTYPE x [<!ENTITY a "b">]><svg>&a;</svg>', "entity"),
        ("a.json", b'{"drawing": [[[0, 1e999], [0, 1]]]}', "numbers"),
        ("a.mxl", b"PK\x03\x04", ""),
        ("a.abc", b"\xff\xfe", ""),
    ],
)
def test_files_that_cannot_be_read(client, name, content, words):
    message = refused(client.post("/api/read", params={"name": name}, content=content), 422)
    assert words in message
    assert "/tmp" not in message


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("sample", {"model": "melodi"}, "melody"),
        ("sample", {"model": "/etc/passwd"}, "no model"),
        ("sample", {"model": "melody", "n": 1_000}, "49"),
        ("sample", {"model": "melody", "attributes": {"/etc/passwd.npz": 1}}, "no attribute"),
        ("sample", {"model": "melody", "attributes": {"colour": 1}}, "colour"),
        ("sample", {"model": "melody", "temperature": -1}, "greater"),
        ("sample", {"model": "melody", "seed": -1}, "greater"),
        ("sample", {"model": "mine:nobody"}, "no longer kept"),
        ("decode", {"model": "melody", "z": [[0, 1]]}, "128"),
        ("decode", {"model": "melody", "z": [[0, 1], [0]]}, "length"),
        ("decode", {"model": "melody", "z": []}, "at least 1"),
        ("interpolate", {"sources": [LINE]}, "at least 2"),
        ("interpolate", {"sources": [LINE] * 3}, "two sources"),
        ("interpolate", {"sources": [LINE] * 4, "n": 20}, "49"),
        ("render", {"artifact": LINE, "form": "mid"}, "no form"),
        ("render", {"artifact": LINE, "form": "exe"}, "mid"),
        ("personalize", {"songs": [{"name": "a.mid", "content": "%%%"}]}, "base64"),
        ("personalize", {"songs": []}, "at least 1"),
    ],
)
def test_requests_that_ask_for_what_there_is_not(client, path, body, words):
    assert words in refused(client.post(f"/api/{path}", json=body), 422)


def test_songs_that_cannot_be_learnt_end_the_job(client):
    begun = client.post("/api/personalize", json={"songs": [{"name": "a.mid", "content": "AAAA"}]}).json()
    events = client.get(begun["events"]).text
    assert "event: failed" in events
    assert "MIDI" in events


@pytest.mark.parametrize(
    "path", ["/api/nothing", "/../secret", "/js/../../app.py", "/%2e%2e/app.py", "/studio.py"]
)
def test_there_is_nothing_else(client, path):
    refused(client.get(path), 404)


@pytest.mark.parametrize(("error", "status"), [(Greedy, 429), (Busy, 503)])
def test_too_much_is_said_with_a_time_to_come_back(client, monkeypatch, error, status):
    def full(*_):
        raise error

    monkeypatch.setattr(client.app.state.jobs, "begin", full)
    answer = client.post("/api/personalize", json={"songs": [{"name": "a.mid", "content": "AAAA"}]})
    refused(answer, status)
    assert int(answer.headers["retry-after"]) == limits.RETRY_AFTER


def test_wrong_methods(client):
    refused(client.get("/api/translate"), 404)
    refused(client.put("/api/translate", json={}), 405)


def mutations(count):
    """Requests that are nearly right."""
    rng = random.Random(0)
    whole = json.dumps({"source": {"drawing": [[[0, 10.5, 20], [0, 30, 0]]]}, "to": "melody", "seed": 1})
    for _ in range(count):
        text = list(whole)
        for _ in range(rng.randint(1, 4)):
            k = rng.randrange(len(text))
            text[k : k + rng.randint(0, 3)] = rng.choice(
                ['"', "}", "[", "-", "9e9", "null", "NaN", ",", "\\u0000", "é", ""]
            )
        yield "".join(text)


def test_mutated_requests_never_fail_on_our_side(client):
    statuses = {post(client, "/api/translate", text).status_code for text in mutations(60)}
    assert statuses <= {200, 400, 422}
    assert 400 in statuses


def test_bounds_are_those_that_the_docs_name():
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    for bound in (limits.MAX_POINTS, limits.MAX_NOTES, limits.MAX_SONGS, limits.MAX_WAITING):
        assert f"{bound:,}" in text, bound
