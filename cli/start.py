"""The console script: it takes over the signals before the other imports, which take most of a second."""

from mcld_anim.cli.signals import SIGNALS


def main() -> None:
    """Run the command line."""
    SIGNALS.install()
    from mcld_anim.cli.main import main as run

    run()
