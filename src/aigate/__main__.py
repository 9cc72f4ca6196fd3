"""`python -m aigate`: the same as the command `aigate`."""

from aigate.cli import main

main()
