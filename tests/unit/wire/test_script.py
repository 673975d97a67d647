"""The scripts as they are sent to the server, put together from their fragments."""

import re
from importlib.resources import files

import pytest

from rota.wire.script import load

LUA = files("rota.wire").joinpath("lua")
NAMES = sorted(path.name.removesuffix(".lua") for path in LUA.iterdir())
DEFINED = re.compile(r"^ *local function (\w+)", re.MULTILINE)
FUNCTIONS = {name for script in NAMES for name in DEFINED.findall(LUA.joinpath(f"{script}.lua").read_text("utf-8"))}


def code_of(script: str) -> str:
    return re.sub(r"--.*", "", load(script).source.decode())


@pytest.mark.parametrize("script", NAMES)
def test_script_defines_each_function_before_its_first_call(script: str) -> None:
    code = code_of(script)
    for name in FUNCTIONS:
        call = re.search(rf"(?<![\w.:])(?<!function ){name}\(", code)
        if call is not None:
            assert re.search(rf"local function {name}\(", code[: call.start()]), f"{script} does not include {name}"


@pytest.mark.parametrize("script", NAMES)
def test_script_has_each_fragment_once(script: str) -> None:
    defined = DEFINED.findall(code_of(script))
    assert len(defined) == len(set(defined))
