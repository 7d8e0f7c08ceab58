"""What would freeze the window for a second while a thread works, and how it is avoided.

Python's lock is held while the system loads torch's libraries during an import, and during garbage collections, which
take long once torch's million objects are there. In both the main thread waits.
"""

import gc
import os
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

# Of some 100 MB each, and what they need first.
LIBRARIES = (
    "libtorch_global_deps.so",
    "libc10.so",
    "libtorch_cpu.so",
    "libtorch_cuda.so",
    "libtorch.so",
    "libtorch_python.so",
)
RTLD_NOW, RTLD_GLOBAL = 0x2, 0x100
NEVER = 2**31 - 1
SWITCH = 0.001  # seconds; Python's own 0.005 add up, because each call into Qt lets go of the lock


def load_torch() -> None:
    """Import torch and the engine; called in a worker thread."""
    if "torch" in sys.modules:
        return
    _load_libraries()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        import napari_lossguide.recon.engine  # noqa: F401
    finally:
        # What an import makes is there to stay. All objects leave the young generations without being looked at, and
        # join the old one, which is collected as ever.
        gc.freeze()
        gc.unfreeze()
        if was_enabled:
            gc.enable()


class WindowFirst:
    """Context for work in a thread that leaves the window alive; may be entered by several threads.

    Garbage is collected among the young objects only, and a thread that holds Python's lock gives it up sooner.
    """

    _lock = threading.Lock()
    _inside = 0
    _threshold = gc.get_threshold()
    _interval = sys.getswitchinterval()

    def __enter__(self) -> None:
        cls = WindowFirst
        with self._lock:
            if not cls._inside:
                cls._threshold, cls._interval = gc.get_threshold(), sys.getswitchinterval()
                gc.set_threshold(*cls._threshold[:2], NEVER)
                sys.setswitchinterval(min(cls._interval, SWITCH))
            cls._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cls = WindowFirst
        with self._lock:
            cls._inside -= 1
            if not cls._inside:
                gc.set_threshold(*cls._threshold)
                sys.setswitchinterval(cls._interval)


def give_memory_back() -> None:
    """Return memory that is free to the system; called in a worker thread when a run has ended.

    The GNU C library keeps what each thread has freed, and the threads that torch computes in come and go: runs in a
    row would seem to need some 60 MB more now and then. Other systems do it by themselves.
    """
    import ctypes

    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(ctypes.c_size_t(0))


def _load_libraries() -> None:
    """Have the system load the libraries. A call through ctypes lets go of Python's lock, the import does not."""
    import ctypes

    spec = find_spec("torch")
    if sys.platform != "linux" or spec is None or spec.origin is None:
        return  # the import itself will do it, or say why not
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.argtypes, dlopen.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
    for path in (Path(spec.origin).with_name("lib") / name for name in LIBRARIES):
        if path.exists():
            dlopen(os.fsencode(path), RTLD_NOW | (RTLD_GLOBAL if "global" in path.name else 0))
