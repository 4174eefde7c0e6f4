"""Files in folders where others may write: theirs are not followed, not filled, and not waited for."""

from __future__ import annotations

import errno
import os
import re
import stat

import pytest

from evloop import files
from evloop.files import (
    Folder,
    make_folder,
    open_private,
    why_not_begun,
    why_not_there,
    written_twice,
)

WRITE = os.O_WRONLY | os.O_CREAT


@pytest.fixture
def shared(tmp_path):
    """A folder like /tmp."""
    path = tmp_path / "shared"
    path.mkdir()
    path.chmod(0o1777)
    return path


@pytest.fixture
def another(monkeypatch):
    """Be somebody else than who owns what the test makes."""
    return lambda: monkeypatch.setattr(files.os, "geteuid", lambda: 12345)


def mode_of(path):
    """Its permissions."""
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_new_file_is_its_owner_s_alone(tmp_path, umask):
    """Whatever the umask; one that was there keeps its mode, as open(2) leaves it."""
    before = os.umask(umask)
    try:
        os.close(open_private(str(tmp_path / "new"), WRITE))
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "new") == 0o600
    (tmp_path / "new").chmod(0o640)
    os.close(open_private(str(tmp_path / "new"), WRITE))
    assert mode_of(tmp_path / "new") == 0o640


def test_a_relative_name(tmp_path, monkeypatch):
    """It is found from where we are."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inner").mkdir()
    os.close(open_private("one", WRITE))
    os.close(open_private("./inner/two", WRITE))
    assert (tmp_path / "one").exists()
    assert (tmp_path / "inner" / "two").exists()


def test_no_file(tmp_path):
    """A name that is a folder's, and a folder that is not there: open(2) says so."""
    with pytest.raises(IsADirectoryError):
        open_private(f"{tmp_path}/", WRITE)
    with pytest.raises(FileNotFoundError):
        open_private(f"{tmp_path}/nowhere/log", WRITE)


def test_a_link_in_a_folder_of_one_s_own(tmp_path):
    """There nobody else can have put it: it is followed."""
    (tmp_path / "target").touch()
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "folder").symlink_to(".")
    fd = open_private(f"{tmp_path}/folder/link", WRITE)
    os.write(fd, b"here")
    os.close(fd)
    assert (tmp_path / "target").read_bytes() == b"here"


def test_a_link_in_a_folder_of_another_user(tmp_path, another):
    """Who owns it may put there what he likes, whatever its mode."""
    folder = tmp_path / "his"
    folder.mkdir()
    (tmp_path / "precious").write_bytes(b"precious")
    (folder / "log").symlink_to(tmp_path / "precious")
    if os.geteuid() == 0:
        os.chown(folder, 12345, -1)
    else:
        another()
    with pytest.raises(OSError, match="symbolic link in a folder where others may write"):
        open_private(f"{folder}/log", WRITE)
    assert (tmp_path / "precious").read_bytes() == b"precious"


@pytest.mark.parametrize("target", ["there", "nowhere"])
def test_a_symbolic_link_in_a_shared_folder(shared, tmp_path, target):
    """It is not followed, whether there is something behind it or not."""
    (tmp_path / "there").write_bytes(b"precious")
    (shared / "log").symlink_to(tmp_path / target)
    with pytest.raises(OSError, match="symbolic link in a folder where others may write"):
        open_private(f"{shared}/log", WRITE)
    assert (tmp_path / "there").read_bytes() == b"precious"
    assert not (tmp_path / "nowhere").exists()


def test_a_symbolic_link_on_the_way(shared, tmp_path):
    """Nor is one in a shared folder through which the way leads."""
    (tmp_path / "inner").mkdir()
    (shared / "inner").symlink_to(tmp_path / "inner")
    with pytest.raises(OSError, match="'inner' on its way is a symbolic link"):
        open_private(f"{shared}/inner/log", WRITE)
    assert not (tmp_path / "inner" / "log").exists()


def test_a_hard_link_in_a_shared_folder(shared, tmp_path):
    """A file with a name elsewhere may be one that we never meant to write."""
    (tmp_path / "precious").write_bytes(b"precious")
    os.link(tmp_path / "precious", shared / "log")
    with pytest.raises(OSError, match="another name elsewhere"):
        open_private(f"{shared}/log", WRITE)
    os.close(open_private(f"{tmp_path}/precious", WRITE))  # in a folder of our own it is our business


@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_somebody_else_s_file_in_a_shared_folder(shared, another, kind):
    """Who put it there could read what we write; and a pipe without a reader is not waited for."""
    path = f"{shared}/log"
    if kind == "file":
        os.close(os.open(path, WRITE, 0o666))
    else:
        os.mkfifo(path)
    another()
    with pytest.raises(OSError, match="belongs to another user"):
        open_private(path, WRITE)


@pytest.mark.parametrize("mode", [0o755, 0o1777])
def test_which_files_are_ours(tmp_path, another, mode):
    """Those that we made; in one user's folder what is his, too: some file systems give all files to one."""
    for name in ("file", "other"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    folder = Folder(str(tmp_path))
    names = ("file", "folder", "link", "nothing")
    assert [name for name in names if folder.has_ours(name)] == ["file"]
    tmp_path.chmod(mode)
    another()
    ours = mode == 0o755
    assert folder.has_ours("file") == ours
    if ours:
        os.close(folder.open("file", WRITE))
    else:
        with pytest.raises(OSError, match="belongs to another user"):
            folder.open("file", WRITE)
    folder.close()


def test_our_own_pipe_in_a_shared_folder(shared):
    """It is ours: somebody reads it, whom we know."""
    os.mkfifo(f"{shared}/log")
    reader = os.open(f"{shared}/log", os.O_RDONLY | os.O_NONBLOCK)
    writer = open_private(f"{shared}/log", os.O_WRONLY | os.O_NONBLOCK)
    os.write(writer, b"x")
    assert os.read(reader, 10) == b"x"
    os.close(reader)
    os.close(writer)


LINK = "it is a symbolic link in a folder where others may write: name the file itself"
ON_ITS_WAY = "'link' on its way is a symbolic link in a folder where others may write: name the place itself"
ANOTHER_NAME = "it has another name elsewhere (a hard link): choose another, or remove it first"
ANOTHER_USER = "it belongs to another user, in a folder where others may write: choose another"


@pytest.mark.parametrize("ask", [open_private, make_folder], ids=["open_private", "make_folder"])
@pytest.mark.parametrize(
    ("name", "number", "why"),
    [
        ("link", errno.ELOOP, LINK),
        ("link/inner", errno.ELOOP, ON_ITS_WAY),
        ("hard", errno.EPERM, ANOTHER_NAME),
        ("his", errno.EPERM, ANOTHER_USER),
    ],
)
def test_the_words_of_a_refusal(shared, another, tmp_path, ask, name, number, why):
    """The error's number is for programs, the sentence for who named the file: what is wrong, what to do."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (shared / "link").symlink_to(tmp_path / "folder")
    os.link(tmp_path / "file", shared / "hard")
    (shared / "his").mkdir()
    if name == "his":
        another()
    with pytest.raises(OSError, match=re.escape(why)) as error:
        ask(f"{shared}/{name}", *([WRITE] if ask is open_private else []))
    assert (error.value.errno, error.value.strerror) == (number, why)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_mode_that_is_asked_for(tmp_path, umask):
    """It is what open(2) is given: the umask takes from it as it does everywhere."""
    before = os.umask(umask)
    try:
        os.close(open_private(str(tmp_path / "new"), WRITE, 0o664))
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "new") == 0o664 & ~umask


@pytest.mark.parametrize("name", [".", "..", "inner/.", "inner/.."])
def test_names_that_are_no_file_s(shared, another, monkeypatch, name):
    """Of these open(2) says what they are, whoever owns them; and no folder is made for their sake."""
    (shared / "inner").mkdir()
    (shared / "inner").chmod(0o1777)
    monkeypatch.chdir(shared)
    another()
    for path in (name, f"{shared}/{name}"):
        with pytest.raises(IsADirectoryError) as error:
            open_private(path, WRITE)
        assert error.value.filename == path
        make_folder(path)
        make_folder(path.replace("inner", "nowhere"))
    assert os.listdir(shared) == ["inner"]


def test_what_is_changed_in_between(shared, monkeypatch):
    """It is looked at again when it is open."""
    looks = []
    real = Folder._must_be_ours

    def look(folder, status):
        looks.append(status)
        if len(looks) != 2:  # what was to be seen before it was open
            real(folder, status)

    monkeypatch.setattr(Folder, "_must_be_ours", look)
    os.close(open_private(f"{shared}/log", WRITE))
    os.link(f"{shared}/log", f"{shared}/other")
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="another name elsewhere"):
        open_private(f"{shared}/log", WRITE)
    assert set(os.listdir("/proc/self/fd")) == before
    assert len(looks) == 3


def test_a_folder_is_made(tmp_path, monkeypatch, shared):
    """With those above it, for its owner alone; one that is there stays as it is."""
    monkeypatch.chdir(tmp_path)
    for path in ("one", "two/three/four", f"{shared}/run/1", "one", "one/", ".", "one/..", "/"):
        make_folder(path)
    assert [mode_of(tmp_path / name) for name in ("one", "two", "two/three", "two/three/four")] == [0o700] * 4
    assert mode_of(shared / "run" / "1") == 0o700
    (tmp_path / "one").chmod(0o750)
    (tmp_path / "link").symlink_to("one")
    make_folder("link/inner")  # in a folder of our own it is our business
    assert (mode_of(tmp_path / "one"), mode_of(tmp_path / "one" / "inner")) == (0o750, 0o700)


def test_no_folder_is_made_behind_a_link_of_others(shared, tmp_path):
    """Neither where it leads, nor further on; nor is one used to which it leads."""
    (tmp_path / "inner").mkdir()
    for name, target in (("link", tmp_path / "inner"), ("dangling", tmp_path / "nowhere")):
        (shared / name).symlink_to(target)
        with pytest.raises(OSError, match="it is a symbolic link in a folder where others may write"):
            make_folder(f"{shared}/{name}")
        for path in (f"{shared}/{name}/run", f"{shared}/{name}/run/1"):
            before = set(os.listdir("/proc/self/fd"))
            with pytest.raises(OSError, match=f"'{name}' on its way is a symbolic link"):
                make_folder(path)
            assert set(os.listdir("/proc/self/fd")) == before
    assert list((tmp_path / "inner").iterdir()) == []
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_of_another_user_is_not_ours(shared, another):
    """Who made it there can put anything into it."""
    (shared / "run").mkdir()
    another()
    with pytest.raises(OSError, match="belongs to another user"):
        make_folder(f"{shared}/run")


def test_a_folder_that_cannot_be_made(tmp_path):
    """mkdir(2) says why; a link that leads nowhere is not made into one."""
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    for path in ("file/run", "file/run/1"):
        with pytest.raises(NotADirectoryError):
            make_folder(f"{tmp_path}/{path}")
    with pytest.raises(FileNotFoundError):
        make_folder(f"{tmp_path}/dangling/run")


def test_a_folder_is_held(tmp_path):
    """Whatever becomes of its name, the same one is meant."""
    (tmp_path / "one").mkdir()
    folder = Folder(str(tmp_path / "one"))
    (tmp_path / "one").rename(tmp_path / "two")
    (tmp_path / "one").mkdir()
    os.close(folder.open("file", WRITE))
    assert folder.names() == ["file"]
    status = os.stat(tmp_path / "two" / "file")
    assert folder.identity("file") == (status.st_dev, status.st_ino)
    folder.unlink("file")
    assert folder.identity("file") is None
    folder.close()
    assert list((tmp_path / "one").iterdir()) == list((tmp_path / "two").iterdir()) == []


def test_a_link_that_is_put_there_in_between(shared, tmp_path, monkeypatch):
    """After the look and before the opening: open(2) itself does not follow it."""
    (shared / "log").symlink_to(tmp_path / "target")
    monkeypatch.setattr(Folder, "_must_be_ours", lambda *_: None)
    with pytest.raises(OSError, match="symbolic links"):
        open_private(str(shared / "log"), WRITE)
    assert not (tmp_path / "target").exists()


def test_which_file_a_name_is(tmp_path):
    """A link is itself, and not what it leads to: else an old log would be taken for the newest."""
    (tmp_path / "log").touch()
    (tmp_path / "link").symlink_to("log")
    folder = Folder(str(tmp_path))
    status = os.stat(tmp_path / "log")
    assert folder.identity("log") == (status.st_dev, status.st_ino)
    assert folder.identity("link") not in {None, folder.identity("log")}
    assert folder.identity("nowhere") is None
    folder.close()


def test_two_names_of_one_file(tmp_path, monkeypatch):
    """By whatever name: over a folder, a link, a hard link, what is open already; it need not exist yet."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").touch()
    (tmp_path / "hard").hardlink_to("there")
    (tmp_path / "link").symlink_to("there")
    (tmp_path / "folder").symlink_to(".")
    with open("there", "a") as file:
        fd = f"/dev/fd/{file.fileno()}"
        for one, other in [
            ("there", "there"), ("new", "new"), ("there", "./there"), ("new", str(tmp_path / "new")),
            ("there", "hard"), ("there", "link"), ("new", "folder/new"), ("hard", "folder/link"),
            (fd, "there"),
        ]:  # fmt: skip
            said = written_twice([("--log", one), ("--kernel", None), ("--capture", other)])
            assert said == "--log and --capture would write the same file: name two"
    assert not (tmp_path / "new").exists()


def test_a_file_that_has_two_names(tmp_path):
    """Neither is a link to the other: it is the file behind them that is compared."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.touch()
    named = [("--log", str(one)), ("--capture", str(other))]
    other.touch()
    assert written_twice(named) == ""
    other.unlink()
    other.hardlink_to(one)
    assert written_twice(named) == "--log and --capture would write the same file: name two"


def test_names_of_several_files(tmp_path, monkeypatch):
    """What is no file, is not named, or takes everything may be there twice."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").touch()
    null = "/dev/null"
    for named in (["a", "b", "c/a"], ["a", None, ""], [None, None], [null, null], ["-", "-"], []):
        assert written_twice([("--log", name) for name in named]) == ""


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A folder that has been removed, and we are in it."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()


def test_why_a_file_is_not_there(tmp_path, monkeypatch):
    """Its folder is missing, or that of what it is a link to; or it is there and takes none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("nowhere/log")
    for path in ("nowhere/log", f"{tmp_path}/nowhere/log", "link"):
        with pytest.raises(FileNotFoundError):
            open_private(path, WRITE)
        assert why_not_there(path) == "its folder does not exist; make it first"
    assert (
        why_not_there("log") == why_not_there("/proc/log") == "its folder takes no new files; choose another"
    )


@pytest.mark.usefixtures("nowhere")
def test_a_folder_that_was_removed_under_us(tmp_path):
    """Then that is what is said of a relative name, and of what wants to know where we are."""
    said = "the folder that you are in has been removed: go to another with cd"
    assert why_not_there("log") == said
    assert why_not_there(f"{tmp_path}/log") != said
    with pytest.raises(FileNotFoundError) as error:
        written_twice([("--log", "log")])
    assert why_not_begun(error.value) == said


def test_why_a_program_cannot_begin():
    """Descriptors are short; what it says of other errors is nothing."""
    said = {number: why_not_begun(OSError(number, "x")) for number in (errno.EMFILE, errno.ENFILE)}
    assert said == {
        errno.EMFILE: "Too many open files: allow more with ulimit -n",
        errno.ENFILE: "Too many open files in system: allow more with ulimit -n",
    }
    assert why_not_begun(OSError(errno.ENOENT, "x")) == why_not_begun(OSError(errno.EIO, "x")) == ""
