"""What may be printed on a terminal."""

from evloop.printable import printable


def test_what_a_terminal_would_obey_is_written_out():
    """Escapes, controls and bidirectional marks; letters of any script stay, and what is to be kept."""
    assert printable("hello la 哈哈哈") == "hello la 哈哈哈"
    assert printable("a\x1b]0;evil\x07\u202eb\n") == r"a\x1b]0;evil\x07\u202eb\n"
    assert printable("a\nb\r", keep="\n") == "a\nb\\r"
    assert printable("C:\x85\U000e0001") == r"C:\u0085\U000e0001"
    assert printable("C:\\n\t") == r"C:\n\t"
