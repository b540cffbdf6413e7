"""The demo's command line: `python -m ingester_demo [local|frames|serve|run] …`; without a command: `local`."""

import sys


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code.

    Each command is imported only when it runs: the servers then start without the libraries of the service.
    """
    match arguments:
        case ["frames", *rest]:
            from ingester_demo.frames import main as command
        case ["serve", *rest]:
            from ingester_demo.serve import main as command
        case ["run", *rest]:
            from ingester_demo.run import main as command
        case ["local", *rest] | rest:
            from ingester_demo.local import main as command
    return command(rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
