"""`python -m dnslb.cli`."""

import sys

from dnslb.cli import main

sys.exit(main())
