"""`python -m evloop`."""

from evloop.cli import main

main()
