"""`python -m gatewise`: the command `gatewise`."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
