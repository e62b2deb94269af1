"""What the scenarios share: campaigns submitted to the testbed, ways to disturb their jobs, and the final comparison."""
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from harness import Workspace, fail, wait_until

STEPS = 40  # of a stage; a run has three
TOKENS_PER_STEP = 256

CLUSTER = """\
name: testbed
partition: {partition}
tasks_per_node: {tasks}
launcher: {launcher}
launcher_options: {options}
nexus: {nexus}
environment: {{OMP_NUM_THREADS: 1, OMPI_ALLOW_RUN_AS_ROOT: 1, OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: 1, OMPI_MCA_mpi_yield_when_idle: 1,
  OMPI_MCA_btl_vader_single_copy_mechanism: none, {variables}}}
"""

ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY"}


def slurm(*command, check=True):
    """Output of one of Slurm's commands."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if check and done.returncode != 0:
        fail(f"{' '.join(map(str, command))} exited with {done.returncode}: {done.stderr}")
    return done.stdout


class Job:
    """A submitted job, by its id."""

    def __init__(self, job_id):
        self.id = str(job_id)

    def facts(self):
        text = slurm("scontrol", "--oneliner", "show", "job", self.id)
        return dict(re.findall(r"(\w+)=(\S*)", text.splitlines()[0]))

    def state(self):
        return self.facts()["JobState"]

    def restarts(self):
        return int(self.facts()["Restarts"])

    def exit_code(self):
        """As the shell would see it: 128 + n where signal n ended the script."""
        code, number = map(int, self.facts()["ExitCode"].split(":"))
        return 128 + number if number else code

    def ended(self):
        return self.state() in ENDED

    def ranks(self, node=None):
        """Process ids, as the host counts them, of the job's ranks on one node or on all."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if not entry.name.isdigit() or not (entry / "comm").read_text().startswith("nexus"):
                    continue
                variables = (entry / "environ").read_bytes().split(b"\0")
                state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue
            on_node = node is None or f"SLURMD_NODENAME={node}".encode() in variables
            if f"SLURM_JOB_ID={self.id}".encode() in variables and on_node and state != "Z":
                found.append(int(entry.name))
        return found


class Rig(Workspace):
    """The runner's workspace, with the undisturbed run and its data, as one scenario sees it."""

    def __init__(self, nexus, folder, scenario):
        self.nexus, self.folder, self.name = nexus, Path(folder), scenario
        self.recipe, self.ranks, self.settings, self.variables, self.device = {}, 2, [], {}, "cpu"
        self.testbed = Path(os.environ["SLURM_CONF"]).parent

    @property
    def run(self):
        return self.folder / self.name

    # --- submission

    def cluster(self, partition="batch", launcher="srun", tasks=1, nexus=None):
        options = '[--bind-to, none, --mca, plm_rsh_agent, "false"]' if launcher == "mpirun" else "[]"
        path = self.folder / f"{self.name}-cluster.yaml"
        variables = ", ".join(f"{name}: {json.dumps(value)}" for name, value in self.hold_variables(self.run).items())
        path.write_text(CLUSTER.format(partition=partition, launcher=launcher, tasks=tasks, options=options,
                                       nexus=nexus or self.nexus, variables=variables))
        return path

    def chained_campaign(self, chain="stages", nodes=2, time_limit="5min", every="10 steps", margin="5s", extra=""):
        path = self.campaign(self.name, STEPS, every)
        with path.open("a") as file:
            file.write(f"slurm: {{chain: {chain}, nodes: {nodes}, time: {time_limit}, stop_margin: {margin}}}\n{extra}")
        return path

    def nexus_slurm(self, *arguments):
        """(exit code, output, errors) of `nexus slurm ...`."""
        done = subprocess.run([self.nexus, "slurm", *map(str, arguments)], capture_output=True, text=True, cwd=self.folder)
        self.say(f"nexus slurm {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.returncode, done.stdout, done.stderr

    def submit(self, campaign, cluster, *more):
        code, _, errors = self.nexus_slurm("submit", campaign, "--cluster", cluster, *more)
        if code != 0:
            fail(f"submit exited with {code}: {errors}")
        return self.jobs()

    def jobs(self, home=None):
        return [Job(row["id"]) for row in json.loads(((home or self.run) / "jobs.json").read_text())["jobs"]]

    # --- watching

    def say(self, text):
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    def rows(self):
        path = self.run / "metrics.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]

    def steps_made(self):
        """Steps that the run has made so far, repeated ones included."""
        return sum(row["kind"] == "step" for row in self.rows())

    def hold(self, steps, part="/metrics.jsonl"):
        """Of this scenario's run; see Workspace.hold. Jobs that are submitted later can be held."""
        return super().hold(self.name, steps, part)

    def hold_in_save(self, steps):
        """In the commit of the first save after so many steps."""
        return self.hold(steps, "/state.json")

    def wait_for_hold(self, hold, job):
        if not hold.wait(job.ended):
            fail(f"job {job.id} is {job.state()} and was never held")
        self.say(f"job {job.id} is held after {self.steps_made()} steps")

    def lost_steps(self):
        """Steps that were made and then thrown away by a resume from an older checkpoint."""
        return self.steps_made() - len(self.steps(self.name))

    def leases(self):
        """Every generation's owner, oldest first."""
        return [json.loads(path.read_text()) for path in sorted((self.run / "lease").glob("[0-9]*.json"))]

    def status(self):
        path = self.run / "STATUS"
        return path.read_text().strip() if path.exists() else "no STATUS"

    def wait_for_end(self, jobs):
        wait_until(lambda: all(job.ended() for job in jobs), f"the end of jobs {[job.id for job in jobs]} of {self.name}", 0.5)
        self.say("; ".join(f"job {job.id} {job.state()} exit {job.exit_code()} restarts {job.restarts()}" for job in jobs))

    # --- the end

    def require(self, truth, otherwise):
        if not truth:
            fail(otherwise)

    def require_all_completed(self, jobs):
        for job in jobs:
            if job.state() != "COMPLETED":
                fail(f"job {job.id} is {job.state()} with exit code {job.exit_code()}; STATUS: {self.status()}")

    def require_undisturbed_result(self, straight="straight"):
        """Final bits, records and accounts are those of the undisturbed run; every token is counted once."""
        self.require_equal(straight, self.name)
        self.require_same_records(straight, self.name)
        tokens = {stage: STEPS * TOKENS_PER_STEP for stage in ("base", "wide", "deep")}
        counted = {stage: count for stage, (count, _) in self.accounts(self.name).items()}
        self.require(counted == tokens, f"the ledger counts {counted}, the campaign has {tokens}")
        self.require_linear()
        self.require(not self.unfinished_saves(self.name), f"left behind: {self.unfinished_saves(self.name)}")

    def require_linear(self):
        """No copy commits after a newer one has; each commit has more tokens than the one before, but for the one that a
        resume writes again."""
        rows = [json.loads(line) for line in (self.run / "ledger.jsonl").read_text().splitlines()]
        generation, tokens, resumed = 0, 0, False
        for row in rows:
            if row["kind"] == "commit":
                if row["total_tokens"] < tokens + (0 if resumed else 1):
                    fail(f"a commit of {row['total_tokens']} tokens follows one of {tokens}: two lineages")
                if row.get("generation", generation) < generation:
                    fail(f"generation {row['generation']} committed after {generation}: {row}")
                generation, tokens = row.get("generation", generation), row["total_tokens"]
            resumed = row["kind"] == "resume"
        self.require(tokens == 3 * STEPS * TOKENS_PER_STEP, f"the last commit counts {tokens} tokens")

    def explain(self):
        """For a failed scenario: all that one needs to see why."""
        print(f"--- STATUS: {self.status()}\n--- leases: {json.dumps(self.leases()) if (self.run / 'lease').exists() else 'none'}")
        print("--- squeue\n" + slurm("squeue", "-o", "%i %P %T %r %N %k", check=False))
        ids = [job.id for job in self.jobs()] if (self.run / "jobs.json").exists() else []
        for log in [self.testbed / "controller.log", *sorted(self.testbed.glob("nodes/*/slurmd.log"))]:
            about = [line for line in log.read_text(errors="replace").splitlines() if set(re.findall(r"\d+", line)) & set(ids)]
            print(f"--- of jobs {ids} in {log}\n" + "\n".join(about[-60:]))
        for log in sorted(self.folder.glob(f"{self.name}*/logs/*.out")):
            print(f"--- {log}\n" + "\n".join(log.read_text(errors='replace').splitlines()[-40:]))

    # --- nodes of the testbed

    def step_daemon(self, job):
        """Process id of the slurmstepd of the job's first step on the node n1."""
        first = (self.testbed / "nodes" / "n1" / "first.pid").read_text()
        for entry in Path("/proc").iterdir():
            try:
                here = entry.name.isdigit() and os.readlink(entry / "ns" / "pid") == os.readlink(f"/proc/{first}/ns/pid")
                if here and f"slurmstepd: [{job.id}.0]" in (entry / "cmdline").read_text():
                    return int(entry.name)
            except OSError:
                continue
        fail(f"job {job.id} has no step on n1")

    def inside(self, node, *command):
        """Runs a command as a process of the node."""
        first = (self.testbed / "nodes" / node / "first.pid").read_text()
        return slurm("nsenter", "--target", first, "--mount", "--uts", "--pid", "--", *command)

    def kill_slurmd(self, node):
        self.inside(node, "kill", "-9", (self.testbed / "nodes" / node / "slurmd.pid").read_text().strip())
        self.say(f"killed slurmd of {node}")

    def give_up(self, node):
        """What Slurm does by itself with a node that has said nothing for SlurmdTimeout."""
        slurm("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=not responding")

    def start_slurmd(self, node):
        self.inside(node, "slurmd", "-f", self.testbed / "slurm.conf", "-N", node)
        self.say(f"started slurmd of {node}")

    def cut_power(self, node):
        """All processes of the node end at once."""
        os.kill(int((self.testbed / "nodes" / node / "first.pid").read_text()), signal.SIGKILL)
        self.say(f"cut the power of {node}")

    def power_on(self, node):
        """run.py starts the node anew."""
        button = self.testbed / "nodes" / node / "power_on"
        button.touch()
        wait_until(lambda: not button.exists(), f"{node} to start", 0.1)
        self.say(f"started {node}")
