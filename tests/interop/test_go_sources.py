"""The Go programs are held to Go's own standards."""

import subprocess

from interop.build import HERE


def test_the_go_programs_are_formatted() -> None:
    assert subprocess.check_output(["gofmt", "-l", "cmd", "internal"], cwd=HERE, text=True) == ""


def test_go_vet_has_nothing_to_say() -> None:
    done = subprocess.run(["go", "vet", "./..."], cwd=HERE, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_module_file_is_tidy() -> None:
    done = subprocess.run(["go", "mod", "tidy", "-diff"], cwd=HERE, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
