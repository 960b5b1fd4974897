"""Doors open one way: what each module may import, read off the source. And every module imports."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "kikibouba"
MODULES = {
    ".".join(["kikibouba", *path.relative_to(SRC).with_suffix("").parts]).removesuffix(".__init__"): path
    for path in sorted(SRC.rglob("*.py"))
}

LAYERS = (
    ("errors",),
    ("config",),
    ("data",),
    ("nn",),
    ("models", "train", "interop"),
    ("bridges",),
    ("evaluate",),
    ("inputs", "latents", "toml", "controls", "feelings", "loops"),
    (
        "generate",
        "sounds",
        "embeddings",
        "hub",
        "translator",
        "sequence_translator",
        "importing",
        "exporting",
    ),
    ("personal_songs",),
    (
        "sound_training",
        "sound_evaluation",
        "embeddings_prepare",
        "embeddings_plot",
        "embeddings_page",
        "training",
        "encoding",
        "evaluation",
        "plot",
        "contact_sheet",
        "attention_map",
        "attributes",
        "personalizing",
        "personal_report",
        "morphing",
        "mapping",
        "constraint_training",
        "constraining",
    ),
    ("web", "scale"),
    ("cli", "__main__"),
)
"""From the ground up; a module imports from its own layer and those before it."""

HEIGHT = {part: height for height, layer in enumerate(LAYERS) for part in layer}

NOT_EACH_OTHER = {"models": "train", "interop": "train", "web": "scale", "scale": "web"}
"""Within one layer: who must not import whom."""

NO_TORCH = (
    *("errors", "config", "data", "inputs", "latents", "toml", "controls", "feelings", "loops", "hub", "cli"),
    "__main__",
)
"""Parts of the package that load without torch."""

TRAINING_NEEDS = {"torch", "numpy", "safetensors", "tqdm"}
"""What training from a prepared dataset may import when it starts, so that it runs on bare machines."""


def part_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports(path: Path, deep: bool) -> set[str]:
    """Full names of what a module imports: when it is loaded, and (`deep`) inside functions too."""
    found = set()
    for node in _nodes(ast.parse(path.read_text(encoding="utf-8")), deep):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import by full name"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in MODULES else node.module)
    return found


def _nodes(tree, deep):
    """All nodes, but for what is only for type checkers, and (not `deep`) for the bodies of functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not deep:
            continue
        yield node
        yield from _nodes(node, deep)


def reachable(module: str) -> set[str]:
    """Everything that loading a module loads, ours and others'."""
    seen, todo = set(), [module]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            parents = [name.rsplit(".", i)[0] for i in range(1, name.count(".") + 1)]
            todo += [p for p in parents if p in MODULES]
            todo += imports(MODULES[name], deep=False) if name in MODULES else ()
    return seen


def test_every_part_has_its_layer():
    assert {part_of(module) for module in MODULES} - {""} == set(HEIGHT)


@pytest.mark.parametrize("module", [m for m in MODULES if part_of(m)])
def test_doors_open_one_way(module):
    part = part_of(module)
    for name in imports(MODULES[module], deep=module != "kikibouba.config"):
        if not name.startswith("kikibouba.") or name == module:
            continue
        other = part_of(name)
        assert HEIGHT[other] <= HEIGHT[part], f"{module} is below {name} and must not import it"
        assert NOT_EACH_OTHER.get(part) != other, f"{module} must not know {name}"


@pytest.mark.parametrize(
    "module", [m for m in MODULES if part_of(m) in (*NO_TORCH, "") or m.endswith(".config")]
)
def test_no_torch(module):
    heavy = {
        name for name in reachable(module) if name.split(".")[0] in ("torch", "safetensors", "matplotlib")
    }
    assert not heavy, f"{module} loads {heavy}"


@pytest.mark.parametrize("module", [m for m in MODULES if part_of(m) != "scale"])
def test_only_scale_knows_ray(module):
    assert not {name for name in imports(MODULES[module], deep=True) if name.split(".")[0] == "ray"}


def test_families_do_not_know_each_other():
    for module, path in MODULES.items():
        words = module.split(".")
        if words[1:2] == ["models"] and len(words) > 3:
            others = {n for n in imports(path, deep=True) if n.startswith("kikibouba.models.")}
            strangers = {n for n in others if n.split(".")[2] not in (words[2], "base")}
            assert not strangers, f"{module} imports {strangers}"


@pytest.mark.parametrize("module", ["kikibouba.train.loop", "kikibouba.models.music_vae.model"])
def test_training_needs_little(module):
    loaded = {name.split(".")[0] for name in reachable(module)}
    outside = loaded - {"kikibouba"} - sys.stdlib_module_names
    assert outside <= TRAINING_NEEDS, f"{module} loads {outside - TRAINING_NEEDS}"


@pytest.mark.parametrize("module", [m for m in MODULES if m != "kikibouba.__main__"])
def test_every_module_imports(module):
    if module.endswith("_triton"):
        pytest.importorskip("triton", reason="triton, which PyTorch for CUDA brings, is not installed")
    import_module(module)


def test_importing_the_package_is_light():
    code = "import sys, kikibouba; dir(kikibouba); "
    code += "sys.exit(bool({'torch', 'numpy', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_public_name_is_there():
    package = import_module("kikibouba")
    for name in package.__all__:
        assert getattr(package, name) is not None
