"""``python -m montage`` is ``montage``."""

import sys

from montage.cli import main

sys.exit(main())
