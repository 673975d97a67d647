import signal

import pytest

from rota.supervisor.process import Exit


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended with exit code 0"),
        (3, "ended with exit code 3"),
        (-signal.SIGSEGV, "was ended by SIGSEGV"),
        (-signal.SIGKILL, "was ended by SIGKILL (out of memory?)"),
        (-63, "was ended by signal 63"),
    ],
)
def test_an_end_in_words(code: int, words: str) -> None:
    assert str(Exit(code)) == words


def test_it_says_how_much_memory_there_was() -> None:
    assert str(Exit(1, 512 << 20)) == "ended with exit code 1, its memory was 512 MiB at most"


def test_a_shell_sees_a_signal_as_128_and_more() -> None:
    assert Exit(-9).shell_code == 137
    assert Exit(2).shell_code == 2
