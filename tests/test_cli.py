"""The command line as a user meets it: what it prints, what it writes, how it fails."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from kikibouba import hub
from kikibouba.cli import VERBS, Parser, main
from kikibouba.config import load_preset
from kikibouba.data.midi import read_midi
from kikibouba.data.svg import read_svg
from tiny_models import SMALL, make_weights

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
SHEEP, RIVER, ROCK = (str(EXAMPLES / name) for name in ("sheep.svg", "river.mid", "drums_rock.mid"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return make_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def run(monkeypatch, weights, capsys):
    """Run a command line in this process; returns (exit status, stdout lines, stderr lines)."""
    monkeypatch.setattr(hub, "WEIGHTS", weights)

    def call(*argv):
        status = main([str(word) for word in argv])
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return call


def in_a_process(*argv, **options):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "kikibouba", *map(str, argv)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, **options)


# Help and usage ---------------------------------------------------------------------------------------


def test_help_names_every_verb_and_imports_nothing_heavy():
    code = "import sys; from kikibouba.cli import main; main(['--help']); "
    code += "sys.exit(str([m for m in ('torch', 'matplotlib', 'numpy') if m in sys.modules]))"
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert time.monotonic() - began < 5  # 0.5 s on a quiet machine, see benchmarks
    assert done.stderr.strip() == "[]"
    assert all(f"  {verb} " in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_an_example(run, verb):
    status, out, _ = run(verb, "--help")
    assert status == 0
    examples = [line for line in out if line.startswith(f"  kikibouba {verb}")]
    assert examples
    parser = Parser()
    import_module(f"kikibouba.cli.{verb}").add_arguments(parser)
    for line in examples:
        parser.parse_args(line.split(" > ")[0].split()[2:])


def test_a_verbs_help_imports_no_torch():
    code = "import sys; from kikibouba.cli import main; "
    code += "[main([v, '--help']) for v in __import__('kikibouba.cli').cli.VERBS]; "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["translat", SHEEP], "did you mean 'translate'"),
        (["sample", "mel_2bar", "-o", "x", "--seed", "-1"], "seed"),
        (["sample", "mel_2bar", "-o", "x", "--tempreature", "1"], "--tempreature"),
        (["translate", SHEEP, "--to", "melody"], "-o/--out"),
        (["sample", "mel_2bar", "-o", "x", "--attribute", "density"], "NAME=AMOUNT"),
        (["sample", "mel_2bar", "-o", "x", "--attribute", "density=much"], "NAME=AMOUNT"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(run, argv, message):
    status, out, err = run(*argv)
    assert (status, out, len(err)) == (2, [], 1)
    assert message in err[0]


def test_version(run):
    assert run("--version") == (0, [f"kikibouba {import_module('kikibouba').__version__}"], [])


def test_python_m_kikibouba():
    done = in_a_process("models", "show", "cat-mel_2bar_small")
    assert done.returncode == 0
    assert 'preset = "cat-mel_2bar_small"' in done.stdout


# Verbs ------------------------------------------------------------------------------------------------


def test_translate_a_drawing_and_back(run, tmp_path):
    tune, back = tmp_path / "s.mid", tmp_path / "back.svg"
    status, out, _ = run("translate", SHEEP, "--to", "melody", "-o", tune, "--also", "wav,png", "--seed", 1)
    assert (status, out) == (0, [str(tune), str(tmp_path / "s.wav"), str(tmp_path / "s.png")])
    assert len(read_midi(tune).notes) >= 4
    samples = np.frombuffer((tmp_path / "s.wav").read_bytes()[44:], np.int16)
    assert np.abs(samples.astype(int)).max() > 1000
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    assert run("translate", tune, "--to", "sketch", "-o", back)[0] == 0
    assert len(read_svg(back)) > 1


def test_the_same_seed_writes_the_same_bytes(run, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        options = ["--seed", seed, "--also", "png,json"]
        run("translate", SHEEP, "--to", "melody", "-o", tmp_path / f"{name}.mid", *options)
    for suffix in (".mid", ".png", ".json"):
        a, b, c = ((tmp_path / f"{name}{suffix}").read_bytes() for name in "abc")
        assert a == b
        assert a != c


@pytest.mark.parametrize("word", ["--whole", "--all"])
def test_translate_a_whole_piece_at_another_tempo(run, tmp_path, word):
    """Four windows of two bars each, played at half the speed."""
    walk, whole, first = EXAMPLES / "morning_walk.mid", tmp_path / "whole.mid", tmp_path / "first.mid"
    assert run("translate", walk, "--to", "drums", word, "-o", whole, "--tempo", 60)[0] == 0
    assert run("translate", walk, "--to", "drums", "-o", first)[0] == 0
    assert read_midi(first).total_time <= 4.01
    assert 24 < read_midi(whole).total_time <= 32.01
    assert read_midi(whole).tempos[0, 1] == pytest.approx(60)


def test_translate_with_a_named_translator_and_kind(run, tmp_path, weights):
    folder = weights / "sketch-drums_2bar"
    beat = tmp_path / "b.mid"
    assert run("translate", SHEEP, "--to", "drums", "--with", folder, "--from", "sketch", "-o", beat)[0] == 0
    assert read_midi(beat).notes["is_drum"].all()
    status, _, err = run("translate", SHEEP, "--to", "melody", "--with", "mel_2bar", "-o", beat)
    assert (status, len(err)) == (1, 1)
    assert "is a model" in err[0]


def test_many_inputs_go_to_a_folder_and_bad_ones_are_skipped(run, tmp_path):
    inputs = tmp_path / "in"
    (inputs / "deep").mkdir(parents=True)
    for name in ("sheep.svg", "deep/circle.svg"):
        (inputs / name).write_bytes((EXAMPLES / Path(name).name).read_bytes())
    (inputs / "bad.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>", encoding="utf-8")
    (inputs / "notes.txt").write_text("no drawing", encoding="utf-8")
    status, out, err = run("translate", inputs, "--to", "melody", "-o", tmp_path / "out")
    assert status == 1
    assert sorted(out) == [str(tmp_path / "out" / name) for name in ("deep/circle.mid", "sheep.mid")]
    assert "bad.svg" in err[0]
    assert err[1] == "kikibouba: 2 files written, 1 skipped"
    assert run("translate", inputs, "--to", "melody", "-o", tmp_path / "one.mid")[0] == 1


def test_files_of_one_name_do_not_overwrite_each_other(run, tmp_path):
    (tmp_path / "a.svg").write_bytes(Path(SHEEP).read_bytes())
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.svg").write_bytes((EXAMPLES / "circle.svg").read_bytes())
    out = run("reconstruct", tmp_path / "a.svg", tmp_path / "b" / "a.svg", "-o", tmp_path / "out")[1]
    assert len(set(out)) == 2


def test_sample(run, tmp_path):
    status, out, _ = run("sample", "drums_2bar", "-n", 2, "-o", tmp_path / "beats", "--also", "wav")
    names = ["drums_2bar-1.mid", "drums_2bar-1.wav", "drums_2bar-2.mid", "drums_2bar-2.wav"]
    assert (status, [Path(line).name for line in out]) == (0, names)
    status, out, _ = run("sample", "sketch", "-n", 10, "-o", tmp_path / "s.svg")
    assert [Path(line).name for line in out] == [f"s-{i:02}.svg" for i in range(1, 11)]


def test_encode_then_decode_is_reconstruct(run, tmp_path):
    for suffix in ("npz", "json"):
        z, decoded, straight = (tmp_path / name for name in (f"z.{suffix}", "decoded.svg", "straight.svg"))
        assert run("encode", SHEEP, "-o", z)[:2] == (0, [str(z)])
        assert run("decode", z, "-o", decoded)[0] == 0
        assert run("reconstruct", SHEEP, "-o", straight)[0] == 0
        assert decoded.read_bytes() == straight.read_bytes()


def test_encode_every_window_of_several_files(run, tmp_path):
    run("encode", RIVER, EXAMPLES / "lullaby.mid", "--whole", "-o", tmp_path / "z.json")
    found = json.loads((tmp_path / "z.json").read_text(encoding="utf-8"))
    assert found["model"] == "mel_2bar"
    assert len(found["mu"]) == len(found["sigma"]) == len(found["sources"]) > 2
    assert found["sources"][0] == RIVER
    status, out, _ = run("decode", tmp_path / "z.json", "-o", tmp_path / "tunes")
    assert (status, len(out)) == (0, len(found["mu"]))


def test_a_whole_piece_encoded_and_decoded_is_the_whole_piece_reconstructed(run, tmp_path):
    walk = EXAMPLES / "morning_walk.mid"
    decoded, straight = tmp_path / "decoded.mid", tmp_path / "straight.mid"
    assert run("reconstruct", walk, "--whole", "-o", straight)[0] == 0
    for suffix in ("npz", "json"):
        assert run("encode", walk, "--whole", "-o", tmp_path / f"z.{suffix}")[0] == 0
        assert run("decode", tmp_path / f"z.{suffix}", "--whole", "-o", decoded)[0] == 0
        assert np.array_equal(read_midi(decoded).notes, read_midi(straight).notes)
    assert run("encode", walk, RIVER, "--whole", "-o", tmp_path / "two.json")[0] == 0
    assert "several pieces" in one_line(run("decode", tmp_path / "two.json", "--whole", "-o", decoded))


def test_a_sheet_of_all_drawings_of_several_files(run, tmp_path):
    circle = EXAMPLES / "circle.svg"
    assert run("encode", SHEEP, circle, "-o", tmp_path / "z.json")[0] == 0
    assert run("decode", tmp_path / "z.json", "--whole", "-o", tmp_path / "sheet.svg")[0] == 0
    assert len(read_svg(tmp_path / "sheet.svg")) > 1


def test_encode_skips_what_it_cannot_read(run, tmp_path):
    status, out, err = run("encode", RIVER, ROCK, "-o", tmp_path / "z.npz")
    assert (status, out, len(err)) == (1, [str(tmp_path / "z.npz")], 1)
    assert "skipped" in err[0]
    assert "drums_rock.mid" in err[0]


def test_decode_vectors_of_ones_own(run, tmp_path):
    z = tmp_path / "mine.json"
    z.write_text(json.dumps({"mu": [0.1] * 6}), encoding="utf-8")
    status, _, err = run("decode", z, "-o", tmp_path / "x.mid")
    assert status == 1
    assert "--model" in err[0]
    assert run("decode", z, "--model", "mel_2bar", "-o", tmp_path / "x.mid")[0] == 0
    for bad in ("[]", '{"mu": "x"}', '{"mu": [[1], [1, 2]]}', '{"mu": [NaN]}', "{"):
        z.write_text(bad, encoding="utf-8")
        assert run("decode", z, "--model", "mel_2bar", "-o", tmp_path / "y.mid")[0] == 1
    assert not (tmp_path / "y.mid").exists()


def test_interpolate(run, tmp_path):
    circle = EXAMPLES / "circle.svg"
    status, out, _ = run("interpolate", SHEEP, circle, "-n", 3, "--mode", "lerp", "-o", tmp_path)
    assert (status, [Path(p).name for p in out]) == (0, [f"sheep-circle-{i}.svg" for i in (1, 2, 3)])


def test_prepare_train_evaluate_plot(run, tmp_path):
    data, out = tmp_path / "data", tmp_path / "out = ü"
    status, lines, _ = run("prepare", "melody", EXAMPLES, data, "--workers", 1, "--fractions", 1, 0, 0)
    assert status == 0
    assert str(data) in lines[0]
    settings = [word for setting in SMALL["mel_2bar"] for word in ("--set", setting)]
    settings += ["--set", "train.batch_size=8", "--set", "train.precision=fp32"]
    status, lines, _ = run("train", "mel_2bar", "--data", data, "-o", out, "--steps", 2, *settings)
    assert (status, lines[-1]) == (0, str(out))
    status, lines, _ = run("evaluate", out, "--data", data, "--split", "train", "--json", tmp_path / "f.json")
    assert status == 0
    assert any("greedy accuracy" in line for line in lines)
    assert "greedy accuracy" in json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))
    for what in (
        ["curve", out],
        ["map", out, "--data", data, "--split", "train", "--color", "density"],
        ["files", SHEEP, RIVER],
        ["reconstructions", RIVER, "--model", out],
        ["interpolation", SHEEP, SHEEP, "-n", 2],
    ):
        assert run("plot", *what, "-o", tmp_path / "p.png")[:2] == (0, [str(tmp_path / "p.png")])
        assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_evaluate_several_models_side_by_side(run, tmp_path):
    data, out = tmp_path / "data", tmp_path / "figures.json"
    assert run("prepare", "melody", EXAMPLES, data, "--workers", 1, "--fractions", 1, 0, 0)[0] == 0
    argv = ["--data", data, "--split", "train", "--limit", 5, "--json", out]
    status, one, _ = run("evaluate", "mel_2bar", *argv)
    assert (status, json.loads(out.read_text(encoding="utf-8"))["examples"]) == (0, 5)
    status, lines, _ = run("evaluate", "mel_2bar", hub.WEIGHTS / "mel_2bar", *argv)
    assert status == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    assert set(found) == {"mel_2bar", str(hub.WEIGHTS / "mel_2bar")}
    row = next(line.split() for line in lines if "free-running accuracy" in line)
    assert row[2] == row[3] == next(line.split() for line in one if "free-running accuracy" in line)[2]


def test_attribute_finds_saves_and_is_used(run, tmp_path):
    tunes = [EXAMPLES / f"{name}.mid" for name in ("river", "lullaby", "hedgehog", "morning_walk")] * 2
    for number, tune in enumerate(tunes):
        (tmp_path / f"{number}.mid").write_bytes(tune.read_bytes())
    files, out = sorted(tmp_path.glob("*.mid")), tmp_path / "density.npz"
    status, lines, _ = run("attribute", "note_density", *files, "-o", out)
    assert (status, lines[-1]) == (0, str(out))
    assert [line.split()[0] for line in lines[2:-1]] == ["density"]
    for verb in (
        ["sample", "mel_2bar", "-n", 1],
        ["reconstruct", RIVER],
        ["interpolate", RIVER, RIVER, "-n", 2],
    ):
        assert run(*verb, "-o", tmp_path / "x.mid", "--attribute", f"{out}=+1.5")[0] == 0
    assert "densitty" in one_line(run("attribute", "densitty", *files, "-o", out))
    status, lines, _ = run("attribute", "all", *files, "--method", "difference", "--entangled")
    assert (status, Path(lines[-1]).name) == (0, "attributes.safetensors")
    assert (
        run("sample", "mel_2bar", "-n", 1, "-o", tmp_path / "x.mid", "--attribute", "note_density=2")[0] == 0
    )
    Path(lines[-1]).unlink()


def test_models_lists_and_shows(run, tmp_path):
    status, out, _ = run("models")
    assert status == 0
    assert any(line.split()[:1] == ["sketch-mel_2bar"] for line in out)
    assert any(line.split()[:1] == ["cat-mel_2bar_small"] for line in out)
    assert run("models", "show", "mel_2bar")[1][0] == "# mel_2bar"
    _, toml, _ = run("models", "show", "mel_2bar", "--toml")
    (tmp_path / "mine.toml").write_text("\n".join(toml), encoding="utf-8")
    assert load_preset(tmp_path / "mine.toml").model == hub.read_preset("mel_2bar").model
    assert run("models", "show", "mel_3bar")[0] == 1
    _, toml, _ = run("models", "show", tmp_path / "mine.toml", "--set", "train.num_steps=7")
    assert "num_steps = 7" in toml


def test_a_printed_preset_trains(run, tmp_path):
    """From `models show` to samples: a configuration of one's own needs no change of code."""
    settings = ["model.z_size=6", "model.enc_rnn_size=[8]", "model.dec_rnn_size=[12]", "train.batch_size=4"]
    settings += ["representation.bars=2", "model.decoder_level_lengths=[2, 16]"]
    sets = [word for setting in settings for word in ("--set", setting)]
    status, toml, _ = run("models", "show", "hier-drums_4bar_small", "--toml", *sets)
    assert status == 0
    (tmp_path / "my.toml").write_text("\n".join(toml), encoding="utf-8")
    data, out = tmp_path / "data", tmp_path / "run"
    argv = ["--workers", 1, "--fractions", 1, 0, 0]
    assert run("prepare", tmp_path / "my.toml", EXAMPLES, data, *argv)[0] == 0
    argv = ["--data", data, "-o", out, "--steps", 2, "--set", "train.log_every=1"]
    assert run("train", tmp_path / "my.toml", *argv)[0] == 0
    assert hub.read_preset(out).model.decoder_level_lengths == (2, 16)
    assert "examples of drums from" in (out / "README.md").read_text(encoding="utf-8")
    assert run("sample", out, "-n", 1, "-o", tmp_path / "x.mid")[0] == 0


# What goes wrong --------------------------------------------------------------------------------------


def one_line(result):
    status, out, err = result
    assert (status, out, len(err)) == (1, [], 1), result
    assert err[0].startswith("kikibouba: ")
    assert "internal error" not in err[0]
    return err[0]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["translate", "nowhere.svg", "--to", "melody", "-o", "{}/x.mid"], "there is no file nowhere.svg"),
        (["translate", "{}", "--to", "melody", "-o", "{}/out"], "nothing to read"),
        (["translate", SHEEP, "--to", "melody", "-o", "{}/x.mp3"], ".mp3"),
        (["translate", SHEEP, "--to", "melody", "-o", "{}/x.mid", "--also", "svg"], ".svg"),
        (["translate", SHEEP, "--to", "melody", "-o", "{}/no/x.mid"], "there is no folder"),
        (["translate", SHEEP, "--to", "sketch", "-o", "{}/x.svg"], "reconstruct"),
        (["translate", SHEEP, "--to", "sculpture", "-o", "{}/x.mid"], "allowed: drums, melody, sketch"),
        (["translate", SHEEP, "--to", "sketch", "-o", "{}/x.svg", "--tempo", "90"], "--tempo"),
        (["translate", SHEEP, "--to", "melody", "-o", "{}/x.mid", "--tempo", "1e9"], "tempo"),
        (["translate", SHEEP, "--to", "melody", "-o", "{}/x.mid", "--device", "gpu"], "device"),
        (["translate", RIVER, "--to", "drums", "-o", "{}/x.mid", "--temperature", "-1"], "temperature"),
        (["sample", "mel2bar", "-o", "{}"], "did you mean 'mel_2bar'"),
        (["sample", "sketch-mel_2bar", "-o", "{}"], "is a translator"),
        (["sample", "mel_2bar", "-n", "0", "-o", "{}"], "0 samples"),
        (["interpolate", SHEEP, RIVER, "-o", "{}"], "river.mid"),
        (["sample", "mel_2bar", "-o", "{}", "--chords", "C G"], "neither chords nor a key"),
        (["sample", "mel_2bar", "-o", "{}", "--key", "C"], "neither chords nor a key"),
        (["reconstruct", SHEEP, "-o", "{}/x.svg", "--chords", "C"], "neither chords nor a key"),
        (["sample", "mel_2bar", "-o", "{}", "--controls-from", RIVER], "takes no controls"),
        (["sample", "mel_2bar", "-o", "{}", "--key", "C", "--controls-from", RIVER], "either"),
        (["sample", "mel_2bar", "-o", "{}", "--attribute", "density=1"], "kikibouba attribute density"),
        (["sample", "mel_2bar", "-o", "{}", "--attribute", "none.npz=1"], "no file none.npz"),
        (["reconstruct", RIVER, "-o", "{}/x.mid", "--attribute", "density=nan"], "no amount"),
        (["reconstruct", ROCK, "--model", "mel_2bar", "--whole", "-o", "{}/x.mid"], "drums"),
        (["attribute", "density", "--model", "mel_2bar"], "either files or --data"),
        (["attribute", "density", RIVER, "-o", "{}/d.npz"], "too few"),
        (["attribute", "density", "--data", "{}", "-o", "{}/d.npz"], "no prepared dataset"),
        (["models", "show", "hier-drums_4bar_smal"], "did you mean 'hier-drums_4bar_small'"),
        (["models", "show", "mel_2bar", "--set", "model.z_sise=1"], "did you mean 'z_size'"),
        (["prepare", "melodies", str(EXAMPLES), "{}/d"], "did you mean 'melody'"),
        (["prepare", "melody", "nowhere", "{}/d"], "nowhere"),
        (["train", "mel_2ba", "--data", "{}", "-o", "{}/r"], "did you mean 'mel_2bar'"),
        (["train", "mel_2bar", "--data", "{}", "-o", "{}/r"], "no prepared dataset"),
        (
            ["train", "mel_2bar", "--data", "{}", "-o", "{}/r", "--set", "model.z_sise=3"],
            "did you mean 'z_size'",
        ),
        (["train", "mel_2bar", "--data", "{}", "-o", "{}/r", "--set", "model.z_size"], "FIELD=VALUE"),
        (["train", "mine.toml", "--data", "{}", "-o", "{}/r"], "mine.toml"),
        (["train", "mel_2bar", "--data", "{}", "-o", "{}/r", "--bases", "a", "b"], "no --bases"),
        (["train", "translation", "--data", "{}", "-o", "{}/r"], "two or more"),
        (["evaluate", "mel_2bar", "--data", "{}"], "no prepared dataset"),
        (["plot", "curve", "{}", "-o", "{}/x.png"], "log.jsonl"),
        (["plot", "files", SHEEP, "-o", "{}/x.svg"], ".png"),
        (["decode", SHEEP, "-o", "{}/x.svg"], ".json"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(run, tmp_path, argv, message):
    assert message in one_line(run(*(word.format(tmp_path) for word in argv)))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(run, tmp_path):
    file = tmp_path / "file"
    file.write_text("in the way", encoding="utf-8")
    assert "file" in one_line(run("sample", "mel_2bar", "-o", file / "folder"))
    assert "file" in one_line(run("translate", SHEEP, "--to", "melody", "-o", file / "x.mid"))


def test_interrupted(run, monkeypatch):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(import_module("kikibouba.cli.models"), "run", interrupted)
    assert run("models") == (130, [], ["kikibouba: interrupted"])


def test_interrupted_training_says_how_to_go_on(tmp_path):
    """A real Ctrl-C, in a process of its own."""
    data, out = tmp_path / "data", tmp_path / "out"
    assert in_a_process("prepare", "melody", EXAMPLES, data, "--workers", "1").returncode == 0
    settings = ("--set", "train.batch_size=4", "--set", "train.precision=fp32", "--set", "train.log_every=1")
    command = [sys.executable, "-m", "kikibouba", "train", "mel_2bar", "--data", data, "-o", out, *settings]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while not (out / "log.jsonl").is_file() or not (out / "log.jsonl").stat().st_size:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        message = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "Traceback" not in message
    assert message.splitlines()[-1].startswith("kikibouba: interrupted after step")


def test_our_own_mistakes_are_one_line_too_but_for_debugging(run, monkeypatch):
    def broken(args):
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(import_module("kikibouba.cli.models"), "run", broken)
    status, _, err = run("models")
    assert (status, len(err)) == (1, 1)
    assert "internal error: ZeroDivisionError: division by zero" in err[0]
    monkeypatch.setenv("KIKIBOUBA_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["models"])


def test_a_reader_that_leaves_early():
    command = f"{sys.executable} -m kikibouba models | head -c 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""


def test_malformed_files_are_named_in_one_line(run, shared, tmp_path):
    """Every broken file either works or fails with one line; none ends in a traceback or half a file."""
    folder = shared / "data" / "malformed"
    failed = 0
    for kind, to in (("midi", "sketch"), ("sketch", "melody")):
        for path in sorted((folder / kind).iterdir()):
            out = tmp_path / f"out{'.svg' if to == 'sketch' else '.mid'}"
            out.unlink(missing_ok=True)
            status, lines, err = run("translate", path, "--to", to, "-o", out)
            err = [line for line in err if not line.startswith("kikibouba: warning: ")]
            assert (status == 0) == out.exists() == bool(lines), path
            assert len(err) == (status != 0), (path, err)
            assert not any("internal error" in line for line in err), (path, err)
            failed += status != 0
    assert failed > 40
