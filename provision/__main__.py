"""`python -m provision`: the same as the console script."""

from provision.cli.main import main

main()
