"""The documentation is true: its links lead somewhere, its files exist, its commands parse, its code runs."""

import json
import os
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
from pages import INLINE_CODE, PAGES, ROOT, anchors, blocks, file_names, links, prose, shell_lines

from kikibouba.cli import VERBS, Parser
from kikibouba.config import load_preset
from kikibouba.hub import WEIGHTS
from kikibouba.scale.sweep_file import read_sweep

HOWTOS = sorted((ROOT / "docs").glob("howto_*.md"))
OURS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs/tutorial.md", *HOWTOS]
RUN_PAGES = [page for page in OURS if any(block.language == "python" for block in blocks(page))]


def by_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def parse(command: str) -> None:
    """Parse a `kikibouba VERB …` line as the program itself would; a preset it names must exist."""
    words = shlex.split(command)
    program, verb, *arguments = words[: words.index(">")] if ">" in words else words
    assert program == "kikibouba"
    if verb.startswith("-"):
        return
    assert verb in VERBS, f"no such verb: {command}"
    module = import_module(f"kikibouba.cli.{verb}")
    parser = Parser(prog=f"kikibouba {verb}", allow_abbrev=False)
    module.add_arguments(parser)
    try:
        arguments = parser.parse_args(arguments)
    except SystemExit as stop:
        pytest.fail(f"does not parse ({stop}): {command}")
    if verb == "train" and not str(arguments.preset).endswith(".toml"):
        load_preset(arguments.preset, dict(item.split("=", 1) for item in arguments.set or []))


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_links_lead_somewhere(page):
    for target in links(page):
        name, _, anchor = target.partition("#")
        goal = (page.parent / name).resolve() if name else page
        assert goal.exists(), f"{by_name(page)} links to {target}, which is not there"
        if anchor and goal.suffix == ".md":
            assert anchor in anchors(goal), f"{by_name(page)} links to {target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_named_files_exist(page):
    for name in file_names(page):
        assert any(ROOT.glob(name.rstrip("/"))), f"{by_name(page)} names {name}, which is not there"


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_commands_parse(page):
    for line in shell_lines(page):
        if line.startswith("kikibouba "):
            parse(line)


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_verbs_and_make_targets_named_in_passing_exist(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for code in [*INLINE_CODE.findall(prose(page)), *shell_lines(page)]:
        if verb := re.match(r"kikibouba ([a-z]+)\b(?!\.)", code):
            assert verb[1] in VERBS, f"{by_name(page)}: {code}"
        if made := re.match(r"make ([a-z]+)$", code):
            assert made[1] in targets, f"{by_name(page)}: {code}"


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_preset_files_load(page, tmp_path):
    for block in blocks(page):
        if block.language == "toml":
            (tmp_path / "mine.toml").write_text(block.text, encoding="utf-8")
            is_sweep = re.search(r"^\[(grid|random)\]", block.text, re.MULTILINE)
            (read_sweep if is_sweep else load_preset)(tmp_path / "mine.toml")


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_python_compiles(page):
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, block.where, "exec")


@pytest.mark.parametrize("page", RUN_PAGES, ids=by_name)
def test_python_runs(page, tmp_path, monkeypatch):
    """All Python of a page, from top to bottom in one session, as a reader would type it."""
    monkeypatch.chdir(tmp_path)
    os.symlink(ROOT / "examples", tmp_path / "examples")
    session: dict[str, object] = {"__name__": "docs"}
    for block in blocks(page):
        if block.language == "python":
            exec(compile(block.text, block.where, "exec"), session)


def test_the_commands_of_make_demo_parse():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = re.findall(r"^\t\$\(BIN\)/(kikibouba .+)$", makefile, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        parse(command)


def test_the_readme_quotes_the_figures_of_the_cards():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| .+ \| `(.+)` \| (\d\.\d\d) \|$", readme, re.MULTILINE)
    assert len(rows) >= 5
    for model, figure, value in rows:
        metrics = json.loads((WEIGHTS / model / "metrics.json").read_text(encoding="utf-8"))
        assert f"{metrics['test'][figure]:.2f}" == value, f"README says {value}: {model}, {figure}"


def test_every_verb_is_in_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for verb in VERBS:
        assert f"`{verb}" in readme or f"`kikibouba {verb}" in readme, f"README's table lacks {verb}"
