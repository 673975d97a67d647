"""`python -m rota.cli` does the same as `rota`. It works even if the script is not on the path."""

from rota.cli import main

main()
