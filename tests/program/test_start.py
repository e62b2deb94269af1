"""Starting the program opens no device that it does not use: hwloc, which MPI asks for cores, leaves GPUs and displays alone.

usage: test_start.py NEXUS FOLDER
"""
import os
import subprocess
import sys

from harness import Workspace, fail

# hwloc's components that ask the operating system for cores and buses.
CORES = {"linux", "x86", "no_os", "pci", "xml", "synthetic"}


def enabled(work, variables):
    """Names of the components of hwloc that a launch enables, by hwloc's own words."""
    done = subprocess.run([work.nexus, "train", "nothing.yaml"], capture_output=True, text=True, cwd=work.folder,
                          env={**variables, "HWLOC_COMPONENTS_VERBOSE": "1"})
    lines = [line for line in done.stderr.splitlines() if line.startswith("hwloc: Final list of enabled")]
    return {name.split("(")[0] for line in lines for name in line.split(": ")[-1].split(",")}


def main():
    work = Workspace(*sys.argv[1:])
    variables = {name: value for name, value in os.environ.items() if not name.startswith("HWLOC_")}
    names = enabled(work, variables)
    if "linux" not in names:
        fail(f"hwloc told nothing of its components: {names}")
    if not names <= CORES:
        fail(f"hwloc looks for more than cores and buses: {', '.join(sorted(names - CORES))}")
    if "pci" not in names:
        print("hwloc has no plugins here: nothing to leave alone")
    elif "pci" in enabled(work, {**variables, "HWLOC_COMPONENTS": "-pci"}):
        fail("what the user had set in HWLOC_COMPONENTS was lost")
    print(f"hwloc asks {', '.join(sorted(names))}")


main()
