"""`python -m drbdctl`."""

import sys

from drbdctl.cli import main

sys.exit(main())
