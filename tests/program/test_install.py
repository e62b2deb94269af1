"""`cmake --install` makes a copy that needs nothing of the source tree, wherever its prefix is moved to.

usage: test_install.py NEXUS FOLDER CMAKE BUILD
"""
import subprocess
import sys
from pathlib import Path

from harness import Workspace, fail

nexus, folder, cmake, build = sys.argv[1:]
work = Workspace(nexus, folder)
work.train_to_end(work.campaign("run"))

first, prefix = work.folder / "first prefix", work.folder / "moved prefix"
done = subprocess.run([cmake, "--install", build, "--prefix", first], capture_output=True, text=True)
if done.returncode != 0:
    fail(f"cmake --install exited with {done.returncode}: {done.stdout}{done.stderr}")
first.rename(prefix)

work.nexus = prefix / "bin" / "nexus"
built, installed = (subprocess.run([path, "--version"], capture_output=True, text=True).stdout for path in (nexus, work.nexus))
if installed != built or not built:
    fail(f"the installed program says {installed!r}, the built one {built!r}")
campaigns = list((prefix / "share/nexus/configs/campaigns").glob("*.yaml"))
if not campaigns:
    fail("no campaigns are installed")
for campaign in campaigns:
    work.call("config", "show", campaign)
work.call("report", work.folder / "run")
sources = Path(__file__).resolve().parents[2] / "analysis"
for source in sources.glob("*.py"):
    if (prefix / "share/nexus/analysis" / source.name).read_bytes() != source.read_bytes():
        fail(f"the installed {source.name} is not ours")
script = str(prefix / "share/nexus/analysis/plot_growth.py")
if script not in (work.folder / "run/report/report.html").read_text():
    fail(f"the report does not say that it draws with {script}")
for document in ("README.md", "install.md"):
    if not list(prefix.rglob(document)):
        fail(f"{document} is not installed")
print(f"installed, moved to {prefix}, used without the source tree")
