"""What the pages show of our own programs names the lines that are there: a recorded call's, a debugger's."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
CALLS = "accept|recv|send|close|recvfrom|sendto"
CALL = re.compile(rf"\b({CALLS})\((?:(?!\b(?:{CALLS})\().){{,200}}?(\w+\.py):(\d+)", re.DOTALL)
FRAME = re.compile(r"^(?:>| ) (\S+\.py)\((\d+)\)\w+\(\)\n-> (.*)$", re.MULTILINE)
NAMES = {"accept": "accept|wait_for_call"}  # what the line calls, if it is not the call itself


def outputs():
    """Each page's name, and what is shown there as printed."""
    return [
        (path.name, block)
        for path in PAGES
        for language, block in BLOCKS.findall(path.read_text(encoding="utf-8"))
        if language in {"", "console", "text"}
    ]


def source(path, number):
    """A line."""
    return (ROOT / path).read_text(encoding="utf-8").splitlines()[int(number) - 1]


@pytest.mark.parametrize(
    ("page", "call", "file", "number"),
    [
        (page, *found)
        for page, block in outputs()
        for found in CALL.findall(block)
        if (ROOT / "evloop/servers" / found[1]).exists()
    ],
)
def test_lines_of_calls(page, call, file, number):
    """Of the models, in logs and in what is said of them."""
    line = source(f"evloop/servers/{file}", number)
    assert re.search(rf"({NAMES.get(call, call)})\w*\(", line), f"docs/{page} has {call}() in {file}:{number}"


@pytest.mark.parametrize(
    ("page", "file", "number", "line"),
    [(page, *found) for page, block in outputs() for found in FRAME.findall(block)],
)
def test_lines_of_the_debugger(page, file, number, line):
    """As pdb showed them: record the page's session again."""
    assert source(file, number).strip() == line, f"docs/{page} has it in {file}:{number}"


def test_there_are_some():
    """The pages show what is looked for here."""
    text = "".join(block for _, block in outputs())
    assert len(CALL.findall(text)) >= 8
    assert len(FRAME.findall(text)) >= 8
