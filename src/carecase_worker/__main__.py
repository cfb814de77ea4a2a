"""`python -m carecase_worker` and the `carecase` command."""

from carecase_worker.cli.app import run


def main() -> None:
    """Run the command line and exit with its status."""
    run()


if __name__ == "__main__":
    main()
