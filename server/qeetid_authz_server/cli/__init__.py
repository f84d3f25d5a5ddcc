"""The command `qeetid-authz`."""

import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command of this process's arguments, and end the process."""
    try:
        from qeetid_authz_server.cli.main import run  # noqa: PLC0415  (may be absent)
    except KeyboardInterrupt:
        sys.exit(130)
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"error: the command line needs `{error.name}`;"
            " `pip install 'qeetid-authz[cli]'`\n"
        )
        sys.exit(2)
    code = run(sys.argv[1:])
    # All is done: a late signal would only change how it is told.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)
