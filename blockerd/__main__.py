"""The command `blockerd`: hands the words of the command line to `cli.main`."""

import sys

from blockerd.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
