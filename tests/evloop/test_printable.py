"""What may be printed on a terminal."""

from evloop.printable import encodable, printable


def test_what_a_terminal_would_obey_is_written_out():
    """Escapes, controls and bidirectional marks; letters of any script stay, and what is to be kept."""
    assert printable("hello la 哈哈哈") == "hello la 哈哈哈"
    assert printable("a\x1b]0;evil\x07\u202eb\n") == r"a\x1b]0;evil\x07\u202eb\n"
    assert printable("a\nb\r", keep="\n") == "a\nb\\r"
    assert printable("C:\x85\U000e0001") == r"C:\u0085\U000e0001"
    assert printable("C:\\n\t") == r"C:\n\t"


def test_what_a_log_can_hold():
    """Bytes that are no text are written out, as are halves of characters; everything else stays."""
    assert encodable("hello la") == "hello la"
    assert encodable("哈\x1b") == "哈\x1b"
    assert encodable("/tmp/\udcff哈.sock") == r"/tmp/\xff哈.sock"
    assert encodable("a\ud800\udcff") == r"a\ud800\udcff"
