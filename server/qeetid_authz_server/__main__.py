"""`python -m qeetid_authz_server` is the command `qeetid-authz`."""

from qeetid_authz_server.cli import main

if __name__ == "__main__":
    main()
