"""What the tests read of a Markdown page: links, headings, sentences, command blocks."""

from __future__ import annotations

import re

_FENCE = re.compile(r"^( *)```.*?^\1```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
_BLOCK = re.compile(r"(?:<!-- (not run by the tests: [^>]*) -->\n)?```bash\n(.*?)\n```", re.DOTALL)


def links_of(text: str) -> list[tuple[str, str]]:
    """Return the local targets of a page's links, with their anchors."""
    return [(found[1], found[2] or "") for found in _LINK.finditer(_without_code(text))]


def slugs_of(text: str) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*?)(?: \{#([\w-]+)\})?$", _FENCE.sub("", text), re.MULTILINE)
    return {given or re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title, given in headings}


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a page's prose: no code, tables or headings; each item of a list by itself."""
    kept, found = [], []
    for line in re.sub(r"<!--.*?-->", "", _FENCE.sub("\n", text), flags=re.DOTALL).splitlines():
        if not line.strip() or line.startswith(("|", "#", "    ", "!", ":::")) or re.match(r"\s*(- |\d+\. )", line):
            kept.append("\n\n")
        if line.strip() and not line.startswith(("|", "#", "    ", "!", ":::")):
            kept.append(re.sub(r"^\s*(- |\d+\. |> )", "", line) + " ")
    for paragraph in "".join(kept).split("\n\n"):
        plain = re.sub(r"`[^`]*`", "CODE", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", paragraph))
        found += [part for part in re.split(r"(?<=[.!?:])\s+(?=[A-Z*\"(])", plain) if len(part.split()) > 2]
    return found


def blocks_of(text: str) -> list[tuple[str, bool]]:
    """Return the blocks of shell commands, and whether the tests run them."""
    return [(found[2], found[1] is None) for found in _BLOCK.finditer(text)]


def commands_of(text: str) -> list[str]:
    """Return the commands of a page's blocks, with continued lines joined; blocks may be fenced or indented."""
    indented = re.findall(r"(?:^|\n\n)((?:    .*\n?)+)", _FENCE.sub("", text))
    fenced = [found[2] for found in _BLOCK.finditer(text)]
    joined = "\n".join([*fenced, *(re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in indented)])
    return [line.strip() for line in joined.replace("\\\n", " ").splitlines() if line.strip().startswith("niwt ")]


def _without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text))
