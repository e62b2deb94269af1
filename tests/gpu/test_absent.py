"""Where there is no GPU, `--device cuda` is refused with the reason and the cure, and loses nothing.

usage: test_absent.py NEXUS FOLDER
"""
import shutil
import subprocess
import sys

from harness import Workspace, fail

nexus, folder = sys.argv[1:]
if shutil.which("nvidia-smi") and "GPU" in subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True,
                                                          check=False).stdout:
    print("skipped: there is a GPU")
    sys.exit(77)
work = Workspace(nexus, folder)
campaign = work.campaign("run")
work.device = "cuda"
code, output = work.train(campaign)
line = output.strip().splitlines()[-1]
if code != 2 or not line.startswith("nexus: error: there is no GPU that this process can use") or "--device cpu" not in line:
    fail(f"exit code {code}: {output}")
if (work.folder / "run").exists():
    fail("a run folder was made for nothing")
work.device = "cpu"
code, output = work.train(campaign)
if code != 0:
    fail(f"the same campaign on the CPU exited with {code}:\n{output}")
print(line)
