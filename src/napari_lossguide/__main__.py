"""``python -m napari_lossguide`` is ``lossguide``."""

import sys

from napari_lossguide.cli import main

if __name__ == "__main__":
    sys.exit(main())
