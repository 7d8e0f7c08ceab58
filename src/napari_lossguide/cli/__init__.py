"""The same engine from a shell: ``lossguide recon|sweep|batch|sample|mask|metrics|info|priors|methods|train|demo``.

Exit codes: 0 done, 1 the computation failed (diverged, out of memory), 2 the input cannot be used, 130 interrupted.
Whatever is wrong ends in one line on standard error; an output file is either whole or not there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from napari_lossguide.cli.options import parser
from napari_lossguide.types import BatchFailed, Diverged, InvalidInput


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        args = parser().parse_args(argv)
        args.run(args)
        sys.stdout.flush()
    except InvalidInput as error:
        return complain(error, 2)
    except (BatchFailed, Diverged, FloatingPointError) as error:
        return complain(error, 1)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        return complain(
            f"Out of memory ({str(error).splitlines()[0]}); fewer samples at once need less: --set batch=1", 1
        )
    except KeyboardInterrupt:
        return complain("interrupted", 130)
    except BrokenPipeError:  # as in `lossguide methods | head -1`; the flush at exit must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def complain(what: object, code: int) -> int:
    """One line on standard error."""
    print(f"lossguide: error: {' '.join(str(what).split())}" if code != 130 else f"lossguide: {what}", file=sys.stderr)
    return code
