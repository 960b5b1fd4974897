"""A recording played on another instrument, over HTTP and on the page, while it is said."""

import io
import json
import wave
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from kikibouba import hub
from kikibouba.cli import main
from kikibouba.config import load_preset
from kikibouba.data.audio_files import wav_bytes
from kikibouba.train.checkpoint import build_module, save_checkpoint
from kikibouba.web import limits
from kikibouba.web.app import create_app
from kikibouba.web.services import reader

ROOT = Path(__file__).parents[2]
AXE = Path(__file__).parent / "node" / "node_modules" / "axe-core" / "axe.min.js"
TINY = {
    "representation.clip": "320", "model.hop": "80", "model.latent": "3", "model.encoder_channels": "4",
    "model.encoder_blocks": "1", "model.encoder_layers": "3", "model.blocks": "1", "model.layers": "3",
    "model.channels": "6", "model.classifier_channels": "4", "model.domains": '["organ", "tin_whistle"]',
}  # fmt: skip
TONE = 0.4 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
WIDE, PHONE = {"width": 1100, "height": 860}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voices") / "tiny"
    preset = load_preset("umtn_small", TINY)
    save_checkpoint(folder, build_module(preset), preset, {}, "# tiny\n")
    return folder


@pytest.fixture(scope="module")
def client(model):
    """Only what timbre needs: the studio's models are elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(create_app.__globals__, "studio", reader)
        with TestClient(create_app(workers=1, models=[model])) as client:
            yield client


def ask(client, content, name="tone.wav", to="organ", model="tiny", **options):
    params = {"name": name, "to": to, "model": model, **options}
    return client.post("/api/timbre", params=params, content=content)


def test_networks_are_listed(client, model):
    models = client.get("/api/timbre").json()["models"]
    assert {"name": "tiny", "domains": ["organ", "tin_whistle"]} in models


def test_what_is_sent_is_what_python_makes(client, model):
    answer = ask(client, wav_bytes(TONE), to="tin_whistle", seed=4, model="tiny")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(answer.content)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (16_000, 1, 16_000)
        samples = np.frombuffer(file.readframes(16_000), "<i2") / 32768
    network = hub.load(model)
    expected = network.translate(np.float32(np.rint(TONE * 32768) / 32768), "tin_whistle", seed=4).wave
    np.testing.assert_allclose(samples, expected, atol=1 / 32768)


def test_it_comes_in_stretches(client):
    with client.stream(
        "POST",
        "/api/timbre",
        params={"name": "a.wav", "to": "organ", "model": "tiny"},
        content=wav_bytes(TONE),
    ) as answer:
        parts = [len(part) for part in answer.iter_raw()]
    assert sum(parts) == 44 + 2 * 16_000
    assert len(parts) > 3


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        (b"", {}, "is empty"),
        (b"RIFF", {}, "no WAV file"),
        (wav_bytes(TONE)[:5000], {}, "cut short"),
        (wav_bytes(np.zeros(16_000)), {}, "is silent"),
        (wav_bytes(np.tile(TONE, 25)), {}, "25.0 s; 20 s are allowed"),
        (wav_bytes(TONE[:20]), {}, "less than the 5 ms"),
        (wav_bytes(TONE), {"name": "a.txt"}, "allowed: .wav"),
        (wav_bytes(TONE), {"to": "tinwhistle"}, "did you mean 'tin_whistle'"),
        (wav_bytes(TONE), {"model": "tin"}, "did you mean 'tiny'"),
        (wav_bytes(TONE), {"temperature": "nan"}, "temperature"),
        (wav_bytes(TONE), {"seed": -1}, "seed"),
    ],
)
def test_what_cannot_be_played(client, content, options, says):
    answer = ask(client, content, **options)
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert says in error
    assert "\n" not in error
    assert "/tmp" not in error


def test_a_file_too_large_is_refused_unread(client):
    answer = ask(client, b"x" * (limits.MAX_FILE + 1))
    assert answer.status_code == 413


def test_without_a_network_it_says_how_to_get_one(monkeypatch, tmp_path):
    monkeypatch.setitem(create_app.__globals__, "studio", reader)
    monkeypatch.setattr(hub, "WEIGHTS", tmp_path)
    with TestClient(create_app(workers=1)) as client:
        assert client.get("/api/timbre").json() == {"models": []}
        answer = client.post("/api/timbre", params={"name": "a.wav", "to": "organ"}, content=wav_bytes(TONE))
        assert "serve --model" in answer.json()["error"]


def test_folders_that_hold_no_network(capsys, model, tmp_path):
    for given, says in ((str(tmp_path), "holds no model"), ("sketch", "is no music translation network")):
        assert main(["serve", "--port", "0", "--model", given]) == 1
        assert says in capsys.readouterr().err


@pytest.fixture(scope="module")
def server(model, served):
    """A studio with a network of the user's."""
    with served("--model", str(model)) as address:
        yield address


@pytest.fixture
def visit(browser, server):
    contexts, problems, addresses = [], [], []

    def go(path="/timbre", viewport=WIDE, **options):
        context = browser.new_context(viewport=viewport, accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: addresses.append(request.url))
        page.goto(server + path)
        page.wait_for_selector("html[data-ready]")
        return page

    yield go
    for context in contexts:
        context.close()
    assert problems == []
    assert [url for url in addresses if not url.startswith((server, "data:", "blob:"))] == []


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings") / "tone.wav"
    swelling = np.concatenate([TONE * np.linspace(0, 1, 16_000), TONE])
    path.write_bytes(wav_bytes(swelling))
    return path


LEVEL = """(() => {
  const samples = new Float32Array(2048);
  timbre.meter.getFloatTimeDomainData(samples);
  return Math.max(...samples);
})()"""

INKED = (
    "(name) => timbre.pictures[name].canvas.getContext('2d').getImageData(0, 0, 200, 96).data.some((x) => x)"
)


def test_a_recording_is_heard_seen_and_saved(visit, recording):
    page = visit()
    page.set_input_files("#file", recording)
    page.wait_for_selector("#save:not([disabled])")
    assert page.evaluate("timbre.context.state") == "running"
    assert page.evaluate("timbre.result.length") == 32_000
    assert page.evaluate(INKED, "source")
    assert page.evaluate(INKED, "result")
    assert "2.0 s" in page.get_attribute("#result", "aria-label")
    with page.expect_download() as download:
        page.click("#save")
    first = Path(download.value.path()).read_bytes()
    assert first.startswith(b"RIFF")
    assert len(first) == 44 + 2 * 32_000
    page.click("text=tin whistle")
    page.wait_for_selector("text=On tin whistle, 2.0 s")
    page.click("#play-result")
    page.wait_for_timeout(400)
    assert page.evaluate(LEVEL) > 0.001
    with page.expect_download() as download:
        page.click("#save")
    assert Path(download.value.path()).read_bytes() != first


def test_what_is_wrong_is_said(browser, server, recording, tmp_path):
    page = browser.new_page()
    page.goto(f"{server}/timbre")
    page.wait_for_selector("html[data-ready]")
    (tmp_path / "no.wav").write_text("no sound")
    page.set_input_files("#file", tmp_path / "no.wav")
    page.wait_for_selector("text=no recording that the browser can read")
    (tmp_path / "silent.wav").write_bytes(wav_bytes(np.zeros(16_000)))
    page.set_input_files("#file", tmp_path / "silent.wav")
    page.wait_for_selector("text=Recording.wav is silent.")
    page.route("**/api/timbre?*", lambda route: route.fulfill(body=wav_bytes(TONE)[:1000]))
    page.set_input_files("#file", recording)
    page.wait_for_selector("text=The studio broke off")
    page.route("**/api/timbre?*", lambda route: route.abort())
    page.click("#again")
    page.wait_for_selector("text=The studio does not answer")
    page.close()


def test_the_studio_leads_there(visit):
    page = visit("/")
    page.click("#timbre")
    page.wait_for_selector(".spectrum")
    page.wait_for_selector("[name=domain]", state="attached")
    assert page.locator("[name=domain]").count() >= 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible_and_narrow(visit, recording, scheme):
    if not AXE.exists():
        pytest.skip("no axe-core (make test installs it with npm)")
    page = visit(viewport=PHONE, color_scheme=scheme)
    page.set_input_files("#file", recording)
    page.wait_for_selector("#save:not([disabled])")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
    found = page.evaluate("axe.run().then((r) => r.violations.map((v) => [v.impact, v.id, v.nodes[0].html]))")
    assert [one for one in found if one[0] in ("serious", "critical")] == []


def test_the_page_is_small(visit):
    page = visit()
    sizes = page.evaluate("performance.getEntriesByType('resource').map((r) => r.decodedBodySize)")
    assert 10_000 < sum(sizes) < 200_000
    assert json.loads(page.evaluate("JSON.stringify(timbre.recording)")) is None
