"""The pages of documentation, and what they contain: links, commands, code, names of files."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
INLINE_CODE = re.compile(r"`([^`\n]+)`")
FILE_NAME = re.compile(r"^(?:src|tests|docs|examples|runs|benchmarks|\.ci)/[\w./*-]*$|^[A-Z]\w+(?:\.\w+)?$")
TOP_LEVEL_FILES = {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "Makefile"}


@dataclass(frozen=True)
class Block:
    """One fenced block of code and where it stands, for error messages."""

    language: str
    text: str
    where: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(match[1], match[2], f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}")
        for match in FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    """Targets of a page's links and pictures, web addresses left out."""
    return [target for target in LINK.findall(prose(page)) if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """What a link can say after `#`: headings in lower case, with `-` for spaces, without other signs."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def file_names(page: Path) -> set[str]:
    """Files and folders of the repository that a page names in `code`; `*` stands for anything."""
    return {
        name
        for name in INLINE_CODE.findall(prose(page))
        if FILE_NAME.match(name) and ("/" in name or name in TOP_LEVEL_FILES)
    }


def shell_lines(page: Path) -> list[str]:
    """The commands in a page's shell blocks, one a line, without prompts and comments."""
    lines = []
    for block in blocks(page):
        if block.language in ("bash", "sh", "console"):
            for line in block.text.replace("\\\n", " ").splitlines():
                words = shlex.split(line.removeprefix("$ "), comments=True)
                lines += [shlex.join(words)] if words else []
    return lines
