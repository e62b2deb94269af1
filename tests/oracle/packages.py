"""What the oracle needs of Python."""
import sys

SKIPPED = 77  # the exit code of a test that cannot run here


def require_packages():
    """The exit code where something is missing, else nothing."""
    try:
        import h5py  # noqa: F401
        import numpy  # noqa: F401
    except ImportError as missing:
        print(f"SKIPPED: {sys.executable} has no {missing.name} (Debian: python3-numpy, python3-h5py)")
        return SKIPPED
    import streams
    if streams.xxhash is None:
        print("SKIPPED: there is no libxxhash.so (Debian: libxxhash0)")
        return SKIPPED
    return None
