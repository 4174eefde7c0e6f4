"""What a lab says where the system forbids it."""

from __future__ import annotations

import errno

import pytest

from evloop import lab
from evloop.errors import EvloopError


@pytest.mark.parametrize(
    ("setting", "value", "allows"),
    [
        ("kernel.unprivileged_userns_clone", "0", "1"),
        ("user.max_user_namespaces", "0", "10000"),
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ],
)
def test_the_setting_is_named(monkeypatch: pytest.MonkeyPatch, setting: str, value: str, allows: str) -> None:
    """Which one forbids it, and what would allow it."""
    monkeypatch.setattr(lab, "_setting", lambda name: value if name == setting else "7")
    said = lab._why(errno.EPERM)
    assert (
        said == f"the system forbids a lab, as {setting} is {value}: sudo sysctl {setting}={allows} allows it"
    )


def test_no_setting_is_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's runtime may forbid it; then all that is known is what the call said."""
    monkeypatch.setattr(lab, "_setting", lambda _: "")
    assert "(Operation not permitted), and none of its settings says so" in lab._why(errno.EPERM)


def test_a_setting_that_is_not_there_forbids_nothing() -> None:
    """Most systems have only some of them."""
    assert lab._setting("kernel.no_such_setting") == ""


def test_elsewhere_there_is_no_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    """Namespaces are Linux's."""
    monkeypatch.setattr(lab.sys, "platform", "darwin")
    with pytest.raises(EvloopError, match="a lab needs Linux"):
        lab.enter()
