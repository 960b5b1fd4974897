"""The API answers what Python answers."""

import base64
import io
import json
import wave

import numpy as np
import pytest

import kikibouba as kb
from kikibouba import hub
from kikibouba.data.artifact_json import artifact_from_json
from kikibouba.data.midi import read_midi
from kikibouba.data.strokes import from_lines
from kikibouba.web import limits

ZIGZAG = {"drawing": [[[0, 10, 20, 30, 40, 50], [0, 40, 0, 40, 0, 40]]]}
CIRCLE = {
    "drawing": [np.round([[50 * np.cos(t), 50 * np.sin(t)] for t in np.linspace(0, 6.28, 40)], 1).T.tolist()]
}
SCALE = {
    "notes": [{"pitch": 60 + 2 * k, "start": k / 2, "end": k / 2 + 0.5} for k in range(8)],
    "total_time": 4.0,
}


def translated(client, source, to="melody", **options):
    answer = client.post("/api/translate", json={"source": source, "to": to, **options})
    assert answer.status_code == 200, answer.text
    return answer.json()


def jumps(tune):
    return np.abs(np.diff([note["pitch"] for note in tune["notes"]])).mean()


def test_translating_is_that_of_python(client):
    drawing = artifact_from_json(ZIGZAG)
    expected = kb.translate(drawing, to="melody", seed=3, temperature=0.4)
    found = translated(client, ZIGZAG, seed=3, temperature=0.4)["result"]
    assert {**found, "attributes": 0, "feeling": 0, "kind": 0} == {
        **json.loads(expected.to_json()), "attributes": 0, "feeling": 0, "kind": 0
    }  # fmt: skip
    midi = client.post("/api/render", json={"artifact": found, "form": "mid"})
    assert midi.content == expected.to_midi()
    assert midi.headers["content-type"] == "audio/midi"


def test_spiky_drawings_sound_more_jagged(client):
    round_one = np.mean([jumps(translated(client, CIRCLE, seed=seed)["result"]) for seed in range(4)])
    spiky_one = np.mean([jumps(translated(client, ZIGZAG, seed=seed)["result"]) for seed in range(4)])
    assert spiky_one > round_one


def test_what_was_measured_comes_along(client):
    answer = translated(client, ZIGZAG)
    assert answer["source"]["kind"] == "sketch"
    assert answer["result"]["kind"] == "melody"
    assert answer["source"]["feeling"]["spikiness"] > 0.8
    assert translated(client, CIRCLE)["source"]["feeling"]["spikiness"] < 0.1
    assert set(answer["result"]["feeling"]) == {"spikiness", "density"}
    assert answer["warnings"] == []


@pytest.mark.parametrize("to", ["sketch", "drums"])
def test_tunes_are_translated_too(client, to):
    result = translated(client, SCALE, to)["result"]
    assert result["kind"] == to
    assert result.get("drawing") or all(note["is_drum"] for note in result["notes"])


def test_a_single_note_is_enough(client):
    assert translated(client, {"notes": [{"pitch": 64, "start": 1, "end": 1.5}]}, "sketch")["result"][
        "drawing"
    ]


def test_models_are_listed(client):
    models = {model["name"]: model for model in client.get("/api/models").json()["models"]}
    assert set(models) == set(hub.bundled())
    assert models["mel_2bar"]["kinds"] == ["melody"]
    assert models["sketch-mel_2bar"]["is_translator"]
    assert models["sketch"]["z_size"] == 128


def test_sampling_is_that_of_python(client):
    expected = kb.load("mel_2bar").sample(2, temperature=0.5, seed=7, attributes={"density": 2.0})
    body = {"model": "melody", "n": 2, "seed": 7, "attributes": {"density": 2.0}}
    found = client.post("/api/sample", json=body).json()["results"]
    assert [one["notes"] for one in found] == [json.loads(tune.to_json())["notes"] for tune in expected]


def test_encoding_and_decoding(client):
    posterior = client.post("/api/encode", json={"source": CIRCLE}).json()
    assert posterior["model"] == "sketch"
    expected = kb.load("sketch").encode(artifact_from_json(CIRCLE)).mu
    np.testing.assert_allclose(posterior["mu"], expected, atol=1e-5)
    again = client.post("/api/decode", json={"model": "sketch", "z": posterior["mu"]}).json()["results"]
    direct = client.post("/api/reconstruct", json={"source": CIRCLE}).json()["results"]
    assert again == direct


@pytest.mark.parametrize(
    ("corners", "n", "steps"), [([CIRCLE, SCALE], 4, 4), ([CIRCLE, ZIGZAG, SCALE, CIRCLE], 3, 9)]
)
def test_interpolating(client, corners, n, steps):
    found = client.post("/api/interpolate", json={"sources": corners, "n": n, "temperature": 0}).json()[
        "steps"
    ]
    assert len(found) == steps
    assert all(set(step) == {"sketch", "melody"} for step in found)
    direct = client.post("/api/reconstruct", json={"source": CIRCLE}).json()["results"][0]["drawing"]
    for line, expected in zip(found[0]["sketch"]["drawing"], direct, strict=True):
        np.testing.assert_allclose(line, expected, atol=0.02)


def test_the_map_has_both_kinds_from_round_to_spiky(client):
    points = client.get("/api/map", params={"each": 30}).json()["points"]
    assert [point["kind"] for point in points] == ["sketch"] * 30 + ["melody"] * 30
    for kind in ("sketch", "melody"):
        places, spiky = zip(
            *((p["x"], p["feeling"]["spikiness"]) for p in points if p["kind"] == kind and p["feeling"]),
            strict=True,
        )
        assert np.corrcoef(places, spiky)[0, 1] > 0.3


def test_files_are_read_in_windows(client, examples):
    content = (examples / "morning_walk.mid").read_bytes()
    found = client.post("/api/read", params={"name": "walk.mid"}, content=content).json()["results"]
    assert 1 < len(found) <= limits.MAX_WINDOWS
    assert all(one["kind"] == "melody" and 0 < one["total_time"] <= 4.0 for one in found)
    sheep = client.post(
        "/api/read", params={"name": "sheep.svg"}, content=(examples / "sheep.svg").read_bytes()
    )
    np.testing.assert_allclose(
        from_lines([np.array(line).T for line in sheep.json()["results"][0]["drawing"]])[:, 2],
        kb.read_svg(examples / "sheep.svg")[:, 2],
    )


@pytest.mark.parametrize(
    ("form", "magic"), [("mid", b"MThd"), ("wav", b"RIFF"), ("png", b"\x89PNG"), ("json", b"{")]
)
def test_rendering_a_tune(client, form, magic):
    body = {"artifact": SCALE, "form": form, "tempo": 60, "program": 73}
    assert client.post("/api/render", json=body).content.startswith(magic)


def test_tempo_and_instrument_are_in_the_file(client, tmp_path):
    body = {"artifact": SCALE, "form": "mid", "tempo": 60, "program": 73}
    (tmp_path / "a.mid").write_bytes(client.post("/api/render", json=body).content)
    sequence = read_midi(tmp_path / "a.mid")
    assert set(sequence.notes["program"]) == {73}
    np.testing.assert_allclose(sequence.notes["end"].max(), 8.0, atol=0.01)


def test_sound_is_sound(client):
    wav = client.post("/api/render", json={"artifact": SCALE, "form": "wav"}).content
    with wave.open(io.BytesIO(wav)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert np.abs(samples).max() > 1000


@pytest.mark.parametrize(("form", "magic"), [("svg", b"<svg"), ("png", b"\x89PNG"), ("npz", b"PK")])
def test_rendering_a_drawing(client, form, magic):
    assert client.post("/api/render", json={"artifact": ZIGZAG, "form": form}).content.startswith(magic)


def events_of(text):
    """Server-sent events as (event, data)."""
    blocks = [block.splitlines() for block in text.strip().split("\n\n") if not block.startswith(":")]
    return [
        (block[0].removeprefix("event: "), json.loads(block[1].removeprefix("data: "))) for block in blocks
    ]


def test_a_personal_model(client, examples):
    songs = [
        {"name": f"{name}.mid", "content": base64.b64encode((examples / f"{name}.mid").read_bytes()).decode()}
        for name in ("morning_walk", "river")
    ]
    begun = client.post("/api/personalize", json={"songs": songs})
    assert begun.status_code == 202
    told = events_of(client.get(begun.json()["events"]).text)
    assert told[-1][0] == "done", told[-1]
    made = told[-1][1]
    assert (made["kind"], made["base"], made["z_size"], len(made["sliders"])) == ("melody", "mel_2bar", 4, 4)
    assert any(kind == "progress" for kind, _ in told)
    model = begun.json()["model"]
    sampled = client.post("/api/sample", json={"model": model, "n": 2}).json()["results"]
    assert all(one["notes"] for one in sampled)
    body = {"model": model, "z": [[2, 0, 0, 0], [-2, 0, 0, 0]]}
    ends = client.post("/api/decode", json=body).json()["results"]
    assert ends[0]["notes"] != ends[1]["notes"]
    assert client.delete(f"/api/jobs/{begun.json()['job']}").status_code == 204
    assert client.post("/api/sample", json={"model": model}).status_code == 422


def test_every_address_is_described(client):
    paths = client.get("/api/openapi.json").json()["paths"]
    assert {"/api/translate", "/api/sample", "/api/interpolate", "/api/personalize", "/api/render"} <= set(
        paths
    )
    for path, methods in paths.items():
        for method in methods.values():
            assert method["description"], path


def test_health_and_metrics(client):
    assert client.get("/healthz").text == "ok\n"
    translated(client, ZIGZAG)
    text = client.get("/metrics").text
    assert 'kikibouba_requests_total{route="/api/translate",status="200"}' in text
    assert "kikibouba_waiting 0" in text
