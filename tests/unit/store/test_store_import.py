import subprocess
import sys

WITHOUT = """
import importlib.util, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "sqlalchemy" else found(name, *rest)
from rota import ConfigError
try:
    import rota.store
except ConfigError as error:
    print(error)
"""


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50).stdout


def test_missing_library_names_the_extra() -> None:
    assert "pip install 'rota[store]'" in run(WITHOUT)


def test_program_that_enqueues_does_not_load_the_store() -> None:
    loaded = run("import sys; from rota import Rota; Rota(); print([n for n in sys.modules if 'sqlalchemy' in n])")

    assert loaded.strip() == "[]"


def test_opening_an_upgraded_store_does_not_load_alembic(tmp_path: object) -> None:
    program = (
        "import asyncio, sys\nfrom rota.store import open_store\nasync def main():\n"
        f"    async with open_store('sqlite:///{tmp_path}/a.db'): pass\n"
        "asyncio.run(main()); print('alembic' in sys.modules)"
    )

    assert [run(program).strip(), run(program).strip()] == ["True", "False"]
