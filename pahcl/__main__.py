"""Run `python -m pahcl`, which is the same as `pahcl`."""

from pahcl.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
