"""The command `runner`, also as `python -m runner`.

Law: what `runner serve` starts first is started here, before click and all else that it needs is loaded.
"""

import sys

from runner.process import launch, standard_streams


def main() -> None:
    """Do what was typed."""
    standard_streams.fill()
    # Not beside a socket on 1 or 2 that is to be served (`--fastcgi fd://1`), which it would inherit.
    if sys.argv[1:2] == ["serve"] and not any(map(standard_streams.is_listening, (1, 2))):
        launch.hasten()
    try:
        from runner import cli

        cli.main()
    finally:
        launch.give_up()


if __name__ == "__main__":
    main()
