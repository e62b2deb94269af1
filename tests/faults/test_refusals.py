"""Grids that cannot work are refused with exit code 2, one line with the cure, and nothing written; the cure works.

usage: test_refusals.py NEXUS FOLDER
"""
import subprocess
import sys

from harness import PATIENCE, Workspace, fail

SINGLETON = {"SLURM_JOB_ID": "4711", "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "0"}


class Refusals:
    def __init__(self, work):
        self.work = work
        self.campaign = work.campaign("run")
        self.count = 0

    def launch(self, ranks, settings, extra):
        self.work.ranks, self.work.settings = ranks, list(settings)
        return subprocess.run(self.work.command(self.campaign, "--stop-after", "0s"), capture_output=True, text=True,
                              env={**self.work.environment(), **extra}, timeout=PATIENCE)

    def expect(self, words, ranks, *settings, environment=None):
        done = self.launch(ranks, settings, environment or {})
        what = f"{ranks} ranks with {settings}"
        if done.returncode != 2:
            fail(f"{what}: exit code {done.returncode} instead of 2:\n{done.stdout}{done.stderr}")
        errors = [line for line in done.stderr.splitlines() if line.startswith("nexus: error: ")]
        if len(errors) != 1 or errors[0].count("; ") < 2:
            fail(f"{what}: not one line of WHAT; WHERE; do THIS:\n{done.stderr}")
        if missing := [word for word in words if word not in errors[0]]:
            fail(f"{what}: no {missing} in {errors[0]!r}")
        if (self.work.folder / "run").exists():
            fail(f"{what}: the run folder was made before the refusal")
        self.count += 1

    def expect_cured(self, ranks, *settings):
        """Proves the refusals too: what they refuse is the mistake, not the rest of the command."""
        done = self.launch(ranks, settings, {})
        if done.returncode != 75 or not (self.work.folder / "run" / "metrics.jsonl").exists():
            fail(f"{ranks} ranks with {settings}: exit code {done.returncode} instead of 75:\n{done.stdout}{done.stderr}")
        for path in sorted((self.work.folder / "run").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (self.work.folder / "run").rmdir()


def main():
    nexus, folder = sys.argv[1:]
    refusals = Refusals(Workspace(nexus, folder))
    two = "parallel.tp=2"
    # Widths, those of later stages included.
    refusals.expect(["M = 49 does not divide by parallel.tp = 2", "use 48 or 50"], 2, two, "model.M=49")
    refusals.expect(["H = 1 does not divide by parallel.tp = 2", "use 2"], 2, two, "model.H=1")
    refusals.expect(["M = 65 does not divide by parallel.tp = 2", "stages.1.grow", "use 64 or 66"], 2, two,
                    "stages.1.grow.M=65")
    refusals.expect_cured(2, two, "model.M=50")
    # Ranks.
    refusals.expect(["dp 2 x tp 2 needs 4 ranks, but 3 were started", "start 4 ranks"], 3, two, "parallel.dp=2")
    refusals.expect(["tp 2 does not divide the 3 ranks", "start 2 or 4 ranks", "1, 3"], 3, two)
    refusals.expect(["tp 2 does not divide the 1 ranks", "start 2 ranks"], 1, two)
    refusals.expect(["dp 4 x tp 1 needs 4 ranks, but 2 were started", "start 4 ranks, or set parallel.dp to auto"], 2,
                    "parallel.dp=4")
    # The batch has 256 tokens, samples of 32 and micro-batches of 2: three ranks have no equal share.
    refusals.expect(["256", "context 32", "micro 2", "dp 3"], 3)
    # The split of the sequence.
    odd = ("data.context=33", "batch.global_tokens=264")
    refusals.expect(["context = 33 does not divide by parallel.tp = 2", "set parallel.sequence to false"], 2, two, *odd)
    refusals.expect_cured(2, two, *odd, "parallel.sequence=false")
    # A launcher that does not reach our MPI.
    refusals.expect(["srun started 4 tasks, but MPI sees one rank", "srun --mpi=pmix"], 1, environment=SINGLETON)
    print(f"{refusals.count} mistakes refused, nothing written")


main()
