"""`python -m rota.cli` does what `rota` does, also where the script is not on the path."""

from rota.cli import main

main()
