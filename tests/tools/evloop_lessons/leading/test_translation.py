"""The ladder in Chinese: nothing that it says is left out, and nothing that it does not say is there."""

from __future__ import annotations

import re
from pathlib import Path

import evloop_lessons
import pytest
from evloop_lessons.leading.translation import Catalogue, translation
from evloop_trace.correlate import reasons
from evloop_trace.packets import icmp, spelling
from evloop_trace.views import calls

import evloop

LESSONS = Path(evloop_lessons.__file__).parent
TEXT = (LESSONS / "words/ladder.zh.md").read_text(encoding="utf-8")
ZH = Catalogue(TEXT)

REASONS = [it for it in Path(reasons.__file__).parent.glob("*.py") if it.name != "words.py"]
HINTS = {
    "asleep": "_label",
    "does": "._does",
    "doing": "._does",
    "label": ["recv()"],
    "others": ["accept() on tcp"],
    "whose": ["the server", "a server", "a client", "a thread of the server"],
    "_many": ["servers", "clients", "threads of the server"],
    "_unread": "unread",
    "._one_of": ["the server"],
    "._of_all:it": "._does",
    "._of_all:them": "._does",
}
"""What loops set."""

NET = Path(evloop.__file__).parent / "net"
LOOP = [NET / it for it in ("datagram.py", "listener.py", "shortage.py", "stream.py")]
LOOP += [Path(evloop.__file__).parent / it for it in ("servers/loop.py", "control/looped.py")]
"""What says why it watches what it watches."""

VIEWS = [Path(calls.__file__).with_name(f"{it}.py") for it in ("calls", "rungs", "rows", "tcp_info", "waits")]
IN_VIEWS = {
    "_bits": ["readable"],
    "awaited": "awaited",
    "call_word": ["recv()"],
    "count": ["1,234"],
    "errno": [""],
    "escape_text": ["tcp"],
    "mark": ["◂"],
    "other": ["client", "server"],
    "result": ["2 ms"],
    "_close:what": ["never read", "never sent", "not acknowledged"],
    "window": ["it", "the peer's window"],
    "word": ["recv()"],
}

SAYING = [
    *LOOP,
    *VIEWS,
    Path(spelling.__file__),
    Path(icmp.__file__),
    *[Path(calls.__file__).with_name(f"{it}.py") for it in ("columns", "timeline")],
    *[Path(evloop.__file__).parent / it for it in ("programs.py", "recording.py", "instrument/process.py")],
    Path(evloop.__file__).parent / "instrument/outcome.py",
    *[LESSONS / it for it in ("judging.py", "reading.py", "run.py")],
]
"""Who else says something."""

PARTS = {"never read", "never sent", "not acknowledged", "the loop's own", "a watcher", "the capture"}
PARTS |= {"the signal pipe", "the peer's window", "clocks differ"}
"""What never stands alone."""

ENGLISH = re.compile(r"(?<![\w-])(?!(?:tcp|backlog|connect|rtt|min|poll|loop)\b)[a-z]{3,}(?![\w(-])")


@pytest.fixture(scope="module")
def samples(sentences) -> list[str]:
    """All that reasons, quiet times and calls can say."""
    made = [*sentences(REASONS, HINTS), *sentences([*VIEWS, Path(spelling.__file__)], IN_VIEWS).strings()]
    made += re.findall(r': "([a-z ]+)"', Path(icmp.__file__).read_text(encoding="utf-8"))
    made += ["accept() interrupted", "recv() timeout"]
    for path in LOOP:  # what timers are for
        made += re.findall(r'\.after\([^#]{,150}?"((?:[\w\']+ )+\w+)"', path.read_text(encoding="utf-8"))
    return [it for it in dict.fromkeys(made) if it not in PARTS]


def test_all_that_the_ladder_says_is_said_in_chinese(samples) -> None:
    """Each sentence that the source can make."""
    assert len(samples) > 300
    assert not [it for it in samples if not ZH.find(it)[0]]
    assert not [said for it in samples if ENGLISH.search(said := ZH.say(it))]


def test_nothing_is_translated_that_nobody_says(samples) -> None:
    """A sentence that has changed leaves no old one behind."""
    used = set().union(*[ZH.find(it)[1] for it in samples])
    source = "".join([it.read_text(encoding="utf-8") for it in SAYING])
    left = [it.english for it in ZH.patterns if it not in used]
    assert not [it for it in left if not all(part in source for part in words(it))]


def words(english: str) -> list[str]:
    """Those of a pattern that stand together in the source."""
    parts = re.split(r"\{\w+\}|(?:client|server)(?:s?:|,)?|(?:\b1 )?(?:line|packet|poll)s?\b", english)
    return [word for it in parts if (word := it.strip(" :,()?·").removesuffix("s"))]


def test_a_translation_has_the_blanks_of_its_sentence() -> None:
    """No more, no fewer."""
    for it in ZH.patterns:
        assert sorted(re.findall(r"\{(\w+)\}", it.translated)) == sorted(it.blanks()), it.english
    assert len({it.english for it in ZH.patterns}) == len(ZH.patterns) == TEXT.count("\n- ")


@pytest.mark.parametrize(
    ("said", "chinese"),
    [
        (
            "the server sleeps in recv(); the client is in no call",
            "服务器睡在 recv() 里；客户端不在任何调用里",
        ),
        ("12 B wait for the server, which sleeps in poll()", "12 B 等着服务器来读，它睡在 poll() 里"),
        ("accept() = fd 7 · from 10.0.0.1:80, after 1.1 s", "accept() = fd 7 · 来自 10.0.0.1:80，历时 1.1 s"),
        ("the FIN of packet #8: the client sends no more", "包 #8 的 FIN：客户端不再发送"),
        ("recvfrom failed: Cannot allocate memory", "recvfrom 失败：Cannot allocate memory"),
        ("socket() = tcp-1", "socket() = tcp-1"),
        ('"from me, after 3 ms"', '"from me, after 3 ms"'),
        ("nobody has written this", "nobody has written this"),
        ("", ""),
    ],
)
def test_what_is_known_is_said_in_chinese_and_the_rest_as_it_is(said: str, chinese: str) -> None:
    """Calls, names, numbers and payloads are of no language."""
    assert translation("zh")(said) == chinese
    assert translation("en")(said) == said


def test_a_phrase_that_is_not_known_leaves_its_sentence_as_it_is() -> None:
    """Half a translation is none."""
    catalogue = Catalogue("# Title\n\n- {phrase} and {n} more\n  {phrase}，还有 {n} 个\n- one\n  一个\n")
    assert catalogue.say("one and 3 more") == "一个，还有 3 个"
    assert catalogue.say("two and 3 more") == "two and 3 more"


def test_a_log_cannot_keep_it_busy() -> None:
    """However many ways there are to take a sentence apart."""
    strange = "once, once and once: once · once; " * 12 + "x"
    assert translation("zh")(strange) == strange
    assert translation("zh")("once, " * 9999) == "once, " * 9999


def test_a_space_stands_only_where_chinese_meets_something_else() -> None:
    """Whatever a blank is filled with."""
    catalogue = Catalogue("- {phrase} of {call}\n  {call} 的 {phrase}（{call}）\n- end\n  末尾\n- #2\n  #2\n")
    assert catalogue.say("end of recv()") == "recv() 的末尾（recv()）"
    assert catalogue.say("#2 of recv()") == "recv() 的 #2（recv()）"
