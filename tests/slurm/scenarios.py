"""The scenarios: each submits a campaign, disturbs its jobs, and ends with the comparison to the undisturbed run.

usage: scenarios.py NEXUS FOLDER SCENARIO     with SLURM_CONF of a running testbed, in a folder that run.py has prepared
"""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from harness import Hold, fail, wait_until
from slurm_rig import Job, Rig, slurm

ALL = {}
REDUCED = []
ALONE = {}  # scenario: partition of which it disturbs every job, so that no other may be there


def scenario(reduced=True, alone=None):
    """Puts a function on the list, in the order of this file; `reduced`: scripts/test runs it."""
    def register(function):
        ALL[function.__name__] = function
        ALONE[function.__name__] = alone
        if reduced:
            REDUCED.append(function.__name__)
        return function
    return register


def require_no_loss(rig, job, restarts=1):
    """A job with notice saves first: it was started again as often as said, and no step was made twice."""
    rig.require(job.restarts() == restarts, f"job {job.id} has {job.restarts()} restarts, not {restarts}")
    rig.require(rig.lost_steps() == 0, f"{rig.lost_steps()} steps were lost in spite of notice")


# --- requeued again and again: these take longest, so they start first


@scenario()
def time_limit(rig):
    """A time limit that the campaign does not fit in: the job stops itself in time, three times and more."""
    hold = rig.hold(1)
    [job] = rig.submit(rig.chained_campaign("campaign", time_limit="1min", margin="42s", every="1h"), rig.cluster())
    for life in range(3):
        # Held until its time is up. Not in a save: its time would count as that of a save.
        rig.wait_for_hold(hold, job)
        wait_until(lambda: time_left(job) <= 40, "the job's own deadline", 0.2)
        restarts = job.restarts()
        if life < 2:
            hold = rig.hold(rig.steps_made() + 3)  # two more until it stops, one of the next start
        else:
            hold.release()
        wait_until(lambda: job.restarts() > restarts, f"requeue {life + 1}", 0.2)
    rig.wait_for_end([job])
    rig.require_all_completed([job])
    rig.require(job.restarts() >= 3, f"only {job.restarts()} requeues")
    rig.require(rig.lost_steps() == 0, f"{rig.lost_steps()} steps were lost at a time limit")
    rig.require_undisturbed_result()


def time_left(job):
    text = slurm("squeue", "--noheader", "--jobs", job.id, "--format=%L").strip()
    parts = [int(part) for part in text.split(":")]
    return sum(part * 60 ** i for i, part in enumerate(reversed(parts)))


@scenario(alone="fragile")
def node_failure(rig):
    """slurmd is killed; the job starts on another node while the old copy, frozen in a save, lives on. It must not commit."""
    hold = rig.hold_in_save(30)
    [job] = rig.submit(rig.chained_campaign("campaign", nodes=1, every="2 steps"), rig.cluster("fragile", tasks=2))
    rig.wait_for_hold(hold, job)
    node = job.facts()["NodeList"]
    old = job.ranks(node)
    rig.require(len(old) == 2, f"{node} has ranks {old}")
    for pid in old:
        os.kill(pid, signal.SIGSTOP)
    hold.release()  # rank 0 will see it when it goes on
    rig.say(f"frozen with unfinished saves {rig.unfinished_saves(rig.name)}")
    rig.kill_slurmd(node)
    rig.give_up(node)
    wait_until(lambda: job.restarts() == 1 and job.state() == "RUNNING", "a second copy", 0.2)
    rig.require(job.facts()["NodeList"] != node, "the second copy is on the failed node")
    made = rig.steps_made()
    wait_until(lambda: rig.steps_made() > made, "a step of the second copy")
    rig.require(sorted(job.ranks(node)) == sorted(old), "the old copy did not live on: this test shows nothing")
    rig.say("two live copies: the old one goes on")
    for pid in old:
        os.kill(pid, signal.SIGCONT)
    # Rank 0 leaves by itself; the others wait for it until their watchdog, or the node's slurmd, ends them.
    wait_until(lambda: len(job.ranks(node)) < 2, f"the old copy's rank 0 on {node} to give way", 0.2)
    rig.start_slurmd(node)
    wait_until(lambda: not job.ranks(node), f"the old copy's ranks on {node} to end", 0.2)
    rig.wait_for_end([job])
    rig.require_all_completed([job])
    # The old copy's end takes the new copy's step of the same number with it: one restart more.
    rig.require(job.restarts() <= 2, f"{job.restarts()} restarts")
    require_one_writer(rig)
    rig.require_undisturbed_result()


def require_one_writer(rig, at_least=2):
    generations = [lease["generation"] for lease in rig.leases()]
    rig.require(generations == sorted(set(generations)) and len(generations) >= at_least, f"generations {generations}")


@scenario(alone="contested")
def preemption(rig):
    """A partition of higher priority takes the nodes."""
    job = preempt(rig, "srun")
    require_no_loss(rig, job)


def preempt(rig, launcher):
    hold = rig.hold(50)
    [job] = rig.submit(rig.chained_campaign("campaign"), rig.cluster("contested", launcher))
    rig.wait_for_hold(hold, job)
    urgent = Job(slurm("sbatch", "--parsable", "--partition=urgent", "--nodes=2", "--exclusive", "--time=1", "--output=/dev/null",
                       "--wrap=sleep 3").strip())
    rig.wait_for_end([urgent, job])
    rig.require_all_completed([urgent, job])
    rig.require_undisturbed_result()
    return job


@scenario(alone="contested")
def preemption_mpirun(rig):
    """The same where mpirun starts the ranks: its exit code says nothing, and notice reaches its daemons only, which kill
    their ranks a second later. Whether that is enough for a save depends on the host: two save intervals may be lost."""
    job = preempt(rig, "mpirun")
    rig.require(job.restarts() == 1, f"job {job.id} has {job.restarts()} restarts")
    rig.require(rig.lost_steps() <= 20, f"{rig.lost_steps()} steps were lost, a save is every 10")


@scenario()
def requeue_in_save(rig):
    """`scontrol requeue` by hand while a save is under way. Slurm requeues, so the job itself must not a second time."""
    hold = rig.hold_in_save(30)
    [job] = rig.submit(rig.chained_campaign("campaign", every="1 steps"), rig.cluster())
    rig.wait_for_hold(hold, job)
    slurm("scontrol", "requeue", job.id)
    rig.wait_for_end([job])
    rig.require_all_completed([job])
    rig.require(job.restarts() == 1, f"{job.restarts()} restarts after one requeue")
    rig.require_undisturbed_result()


# --- a whole chain


@scenario()
def chain_srun(rig):
    """A job for every stage over two nodes."""
    run_chain(rig, "srun")


@scenario()
def chain_mpirun(rig):
    """The same with mpirun in the allocation."""
    run_chain(rig, "mpirun")


def run_chain(rig, launcher):
    jobs = rig.submit(rig.chained_campaign("stages"), rig.cluster(launcher=launcher))
    rig.require(len(jobs) == 3, f"{len(jobs)} jobs for three stages")
    rig.require("afterok" in jobs[1].facts()["Dependency"], f"the second job waits for {jobs[1].facts()['Dependency']}")
    rig.wait_for_end(jobs)
    rig.require_all_completed(jobs)
    rig.require([lease["job"] for lease in rig.leases()] == [job.id for job in jobs], f"leases {rig.leases()}")
    rig.require_undisturbed_result()
    code, output, _ = rig.nexus_slurm("status", rig.run, "--json")
    rig.require(code == 0 and json.loads(output), f"status: {code} {output}")


# --- requests


@scenario()
def cancel_signal(rig):
    """`scancel --signal=TERM`, and what else may reach only the ranks."""
    hold = rig.hold(10)
    jobs = rig.submit(rig.chained_campaign("stages"), rig.cluster())
    rig.wait_for_hold(hold, jobs[0])
    slurm("scancel", "--signal=TERM", jobs[0].id)
    rig.wait_for_end(jobs)
    rig.require_all_completed(jobs)
    require_no_loss(rig, jobs[0])
    rig.require_undisturbed_result()


@scenario()
def cancel_chain(rig):
    """`nexus slurm cancel` takes back the chain and nothing else; a new submission goes on."""
    other = Job(slurm("sbatch", "--parsable", "--time=60", "--output=/dev/null", "--comment=nexus:other", "--wrap=sleep 3600").strip())
    hold = rig.hold(15)
    jobs = rig.submit(rig.chained_campaign("stages"), rig.cluster())
    rig.wait_for_hold(hold, jobs[0])
    code, _, _ = rig.nexus_slurm("cancel", rig.run)
    rig.require(code == 0, f"cancel exited with {code}")
    rig.wait_for_end(jobs)
    rig.require(all(job.state() != "COMPLETED" for job in jobs), "a cancelled job completed")
    rig.require(other.state() == "RUNNING", f"the other job is {other.state()}")
    slurm("scancel", other.id)
    again = rig.submit(rig.folder / f"{rig.name}.yaml", rig.folder / f"{rig.name}-cluster.yaml")[len(jobs):]
    rig.wait_for_end(again)
    rig.require_all_completed(again)
    rig.require_undisturbed_result()


@scenario()
def double_submission(rig):
    """A second submission is refused; the same script handed to sbatch by hand finds the run taken and leaves it alone."""
    campaign, cluster, hold = rig.chained_campaign("campaign"), rig.cluster(), rig.hold(2)
    [job] = rig.submit(campaign, cluster)
    code, _, errors = rig.nexus_slurm("submit", campaign, "--cluster", cluster)
    rig.require(code == 2 and job.id in errors, f"a second submission gave {code}: {errors}")
    rig.require(len(rig.jobs()) == 1, "a second job is in jobs.json")
    # The first job lasts: rank 0, which owns the run, is held, and a thread of it goes on saying whose the run is.
    rig.wait_for_hold(hold, job)
    script = json.loads((rig.run / "jobs.json").read_text())["jobs"][0]["script"]
    by_hand = Job(slurm("sbatch", "--parsable", rig.run / script).strip())
    rig.wait_for_end([by_hand])
    rig.require(by_hand.state() == "FAILED" and by_hand.restarts() == 0, f"by hand: {by_hand.state()}, {by_hand.restarts()} restarts")
    rig.require(not job.ended(), "the first job had ended before: this test shows nothing")
    hold.release()
    rig.wait_for_end([job])
    rig.require_all_completed([job])
    rig.require(job.restarts() == 0, f"the first job was restarted {job.restarts()} times")
    rig.require_undisturbed_result()


# --- ends


def wrapper(rig, body):
    """A program in nexus' place: `body` is bash, which ends in running the real one or not."""
    path = rig.folder / f"{rig.name}-nexus"
    path.write_text(f"#!/bin/bash\nreal={rig.nexus}\n{body}\n")
    path.chmod(0o755)
    return path


@scenario()
def fails_at_once(rig):
    """Ranks that are killed before the run is open: no endless requeueing, 93, and what waits is cancelled."""
    jobs = rig.submit(rig.chained_campaign("stages"),
                      rig.cluster(nexus=wrapper(rig, '[[ $1 != train ]] || kill -9 $$\nexec "$real" "$@"')))
    rig.wait_for_end(jobs)
    rig.require(jobs[0].exit_code() == 93, f"the first job ended with {jobs[0].exit_code()}")
    rig.require(1 <= jobs[0].restarts() <= 4, f"{jobs[0].restarts()} restarts")
    rig.require(all(job.state() == "CANCELLED" for job in jobs[1:]), f"later jobs: {[job.state() for job in jobs[1:]]}")
    finish_after_mending(rig, jobs)


@scenario()
def bad_node(rig):
    """A node on which ranks die at once and `slurm job-end` does not see the run folder: it notes that with the job, and takes another node."""
    bad = rig.folder / f"{rig.name}-node"
    # A rank that srun ends because another one died says TERM, as one does that was told to end: both must die by KILL.
    body = f"""[[ -e {bad} ]] || {{ echo "$SLURMD_NODENAME" >{bad}.$$; ln {bad}.$$ {bad} 2>/dev/null; }}
if [[ $(<{bad}) == "$SLURMD_NODENAME" ]]; then
  if [[ $1 == train ]]; then
    trap '' TERM
    here={bad}.start${{SLURM_RESTART_COUNT:-0}}
    : >"$here.$SLURM_PROCID"
    until [[ -e $here.0 && -e $here.1 ]]; do sleep 0.05; done
    kill -9 $$
  fi
  [[ $2 != job-end ]] || set -- slurm job-end /not/mounted "${{@:4}}"
fi
exec "$real" "$@"
"""
    [job] = rig.submit(rig.chained_campaign("campaign", nodes=1), rig.cluster(tasks=2, nexus=wrapper(rig, body)))
    rig.wait_for_end([job])
    rig.require_all_completed([job])
    facts, node = job.facts(), bad.read_text().strip()
    rig.require(job.restarts() == 1 and facts["NodeList"] != node, f"{job.restarts()} restarts, on {facts['NodeList']}; bad is {node}")
    rig.require(facts["ExcNodeList"] == node, f"excluded nodes: {facts['ExcNodeList']}")
    rig.require(facts["Comment"].endswith("/failed-0-1"), f"the comment is {facts['Comment']}")
    rig.require_undisturbed_result()


@scenario(reduced=False)
def never_commits(rig):
    """Ranks that die after the run is open and before any commit: nexus itself refuses the start after three such."""
    body = f"""[[ $1 == train ]] || exec "$real" "$@"
steps() {{ grep -cs '"kind":"step"' {rig.run}/metrics.jsonl || true; }}
before=$(steps)
"$real" "$@" &
while kill -0 $! && ((${{before:-0}} == $(steps))); do sleep 0.1; done
kill -9 $!
wait $!
"""
    campaign = rig.chained_campaign("stages", every="1h")
    campaign.write_text(campaign.read_text().replace("tokens: 10240,", "tokens: 1024000000,"))
    jobs = rig.submit(campaign, rig.cluster(nexus=wrapper(rig, body)))
    rig.wait_for_end(jobs)
    rig.require(jobs[0].exit_code() == 93, f"the first job ended with {jobs[0].exit_code()}")
    rig.require(2 <= jobs[0].restarts() <= 4, f"{jobs[0].restarts()} restarts")
    rig.require(all(job.state() == "CANCELLED" for job in jobs[1:]), f"later jobs: {[job.state() for job in jobs[1:]]}")


def finish_after_mending(rig, jobs):
    again = rig.submit(rig.folder / f"{rig.name}.yaml", rig.cluster())[len(jobs):]
    rig.wait_for_end(again)
    rig.require_all_completed(again)
    rig.require_undisturbed_result()


@scenario()
def budget(rig):
    """The budget ends in the first stage: exit 5, later jobs cancelled; with a larger one the same run goes on."""
    seconds, ranks = 4, 2
    hours = f"gpu_hours: {seconds * ranks / 3600:.6f}"
    campaign, hold = rig.chained_campaign("stages", extra=f"budget: {{{hours}}}\n"), rig.hold(5)
    jobs = rig.submit(campaign, rig.cluster())
    if hold.wait(jobs[0].ended):  # a slow host has spent it all before
        time.sleep(seconds)
    hold.release()
    rig.wait_for_end(jobs)
    rig.require(jobs[0].exit_code() == 5, f"the first job ended with {jobs[0].exit_code()}")
    rig.require(all(job.state() == "CANCELLED" for job in jobs[1:]), f"later jobs: {[job.state() for job in jobs[1:]]}")
    campaign.write_text(campaign.read_text().replace(hours, "gpu_hours: 10"))
    finish_after_mending(rig, jobs)


@scenario()
def simulated_preemption(rig):
    """The command for users that shows on their own cluster what `preemption` shows here."""
    hold = rig.hold(20)
    [job] = rig.submit(rig.chained_campaign("campaign"), rig.cluster())
    rig.wait_for_hold(hold, job)
    code, output, errors = rig.nexus_slurm("simulate-preempt", rig.run)
    rig.require(code == 0, f"simulate-preempt exited with {code}: {errors}")
    rig.wait_for_end([job])
    rig.require_all_completed([job])
    rig.require(job.restarts() >= 1, "the job was never requeued")
    rig.require_undisturbed_result()


# --- nightly


@scenario(reduced=False, alone="fragile")
def power_cut(rig):
    """A node of two is gone from one moment to the next: at most two save intervals are made again."""
    hold = rig.hold(45)
    [job] = rig.submit(rig.chained_campaign("campaign"), rig.cluster("fragile"))
    rig.wait_for_hold(hold, job)
    node = "n6"
    rig.require(job.facts()["BatchHost"] != node, f"{node} runs the script; the other case is node_failure")
    rig.cut_power(node)
    rig.give_up(node)
    hold.release()
    wait_until(lambda: job.restarts() >= 1, "the job to be queued again", 0.2)
    rig.power_on(node)
    rig.wait_for_end([job])
    rig.require_all_completed([job])
    rig.require(rig.lost_steps() <= 20, f"{rig.lost_steps()} steps were lost, a save is every 10")
    rig.require_undisturbed_result()


@scenario(reduced=False, alone="fragile")
def two_live_copies(rig):
    """As node_failure, but the old copy runs on at full speed until the lease stops it; a save at every step."""
    campaign = rig.chained_campaign("campaign", nodes=1, every="1 steps")
    hold = rig.hold(10)
    [job] = rig.submit(campaign, rig.cluster("fragile", tasks=2))
    rig.wait_for_hold(hold, job)
    node = job.facts()["NodeList"]
    rig.kill_slurmd(node)
    rig.give_up(node)
    wait_until(lambda: job.restarts() == 1 and job.state() == "RUNNING", "a second copy", 0.2)
    hold.release()
    rig.start_slurmd(node)
    rig.wait_for_end([job])
    rig.require_all_completed([job])
    rig.require_undisturbed_result()


@scenario(reduced=False)
def lingering_daemon(rig):
    """A slurmstepd of the first start that is busy ending still holds PMIx's socket when the second start comes: that fails in
    its launch, and the job queues itself again. A restart more, and no step is lost."""
    hold = rig.hold_in_save(30)
    [job] = rig.submit(rig.chained_campaign("campaign", every="1 steps"), rig.cluster())
    rig.wait_for_hold(hold, job)
    daemon = rig.step_daemon(job)
    door = rig.testbed / "nodes" / "n1" / "spool" / f"n1_{job.id}.0"
    rig.require(door.exists(), f"there is no {door}: where does this Slurm talk to the daemon?")
    slurm("scontrol", "requeue", job.id)
    # From now on Slurm holds the step for ended. Two seconds of tidying up are left to stop the daemon in.
    wait_until(lambda: not door.exists(), "the daemon to be out of reach", 0.0005)
    os.kill(daemon, signal.SIGSTOP)
    wait_until(lambda: job.restarts() >= 2 or job.ended(), "a second restart", 0.2)
    os.kill(daemon, signal.SIGCONT)
    rig.wait_for_end([job])
    rig.require_all_completed([job])
    require_no_loss(rig, job, restarts=2)
    rig.require_undisturbed_result()


@scenario(reduced=False)
def array(rig):
    """A job array over seeds, two at a time; the task with the campaign's seed gives the undisturbed run."""
    campaign = rig.chained_campaign("campaign")
    code, _, errors = rig.nexus_slurm("submit", campaign, "--cluster", rig.cluster(), "--seeds", "7,8,9", "--throttle", "2")
    rig.require(code == 0, errors)
    token = json.loads((rig.run / "jobs.json").read_text())["token"]
    wait_until(lambda: token not in slurm("squeue", "--format=%k"), "the end of the array", 0.5)
    rig.name = f"{rig.name}-seed7"
    rig.require_undisturbed_result()


STUDY = """\
study: trunks
base: {base}
out: {out}
seeds: [1, 2, 3]
parents:
  trunk: {{set: {{stages: [{{name: base, tokens: 5120, lr: {{peak: 3e-3, schedule: constant, warmup: 2 steps}}}}]}}}}
arms:
  wide: {{from: trunk, set: {{stages: [{{name: wide, tokens: 2560, grow: {{M: 64}}, lr: {{peak: 3e-3, warmup: 0}}}}]}}}}
  deep: {{from: trunk, set: {{stages: [{{name: deep, tokens: 2560, grow: {{A: 96}}, lr: {{peak: 3e-3, warmup: 0}}}}]}}}}
{more}ranks: 2
at_once: 2
"""
EXPLODING = """\
  bad: {set: {stages.0.lr.peak: 1000, optimizer.clip: 0}}
  after_bad: {from: bad, set: {stages: [{name: s1, tokens: 512, lr: {peak: 1e-3}}]}}
"""


class StudyOnSlurm:
    """OUT of the scenario `study`, whose file and runs it names."""

    def __init__(self, rig):
        self.rig, self.file = rig, rig.folder / "study-file.yaml"
        self.base, self.cluster = rig.chained_campaign("campaign", every="3 steps"), rig.cluster()
        self.write(self.file, rig.run, EXPLODING)

    def write(self, path, out, more=""):
        path.write_text(STUDY.format(base=self.base, out=out, more=more))

    def submit(self):
        """The arrays that it has submitted, and what it said."""
        before = len(self.rig.jobs()) if (self.rig.run / "jobs.json").exists() else 0
        code, said, errors = self.rig.nexus_slurm("submit", self.file, "--cluster", self.cluster)
        self.rig.require(code == 0, errors)
        return (self.rig.jobs()[before:] if (self.rig.run / "jobs.json").exists() else []), said

    def job(self, run):
        return self.rig.jobs(self.rig.run / run)[-1]

    def states(self):
        rows = json.loads(self.rig.call("study", "status", self.file, "--json"))["runs"]
        return {f"{row['arm']}/seed-{row['seed']}": row["state"] for row in rows}

    def hold(self, run, steps):
        records = self.rig.run / run / "metrics.jsonl"
        return Hold(self.rig.run, records, steps, log=records)

    def wait_for_hold(self, hold, run):
        self.rig.require(hold.wait(lambda: (self.rig.run / run / "jobs.json").exists() and self.job(run).ended()), f"{run} was never held")
        return self.job(run)

    def wait_for_end(self):
        token = json.loads((self.rig.run / "jobs.json").read_text())["token"]
        wait_until(lambda: token not in slurm("squeue", "--format=%k"), "the end of the arrays", 0.5)


@scenario(reduced=False)
def study(rig):
    """Parents and arms under three seeds, each over two nodes, two at a time. A task is told to save, another one is killed, then all is
    cancelled and submitted again: the bits are those of the study on one machine. Arms that explode are named and stop none."""
    on_slurm, here = StudyOnSlurm(rig), rig.folder / "study-here.yaml"
    on_slurm.write(here, rig.folder / "study-here")
    done = subprocess.run([rig.nexus, "study", "run", here], env={**rig.environment(), "OMPI_MCA_mpi_yield_when_idle": "1"})
    rig.require(done.returncode == 0, f"the study on this machine ended with {done.returncode}")

    hold = on_slurm.hold("trunk/seed-2", 4)
    (parents, arms), _ = on_slurm.submit()
    throttle = {line.rsplit("%", 1)[-1] for line in slurm("squeue", "-h", "-t", "PD", "-j", f"{parents.id},{arms.id}", "-o", "%i").split()}
    rig.require(throttle == {"2]"}, f"the throttle is {throttle}")
    rig.require("afterany" in arms.facts()["Dependency"], f"the arms wait for {arms.facts()['Dependency']}")
    parent = on_slurm.wait_for_hold(hold, "trunk/seed-2")
    # Neither another submission nor a runner here takes what is in the queue.
    again, said = on_slurm.submit()
    rig.require(not again and "nothing to submit" in said, f"submitted twice: {said}")
    runner = subprocess.run([rig.nexus, "study", "run", on_slurm.file], capture_output=True, text=True)
    rig.require(runner.returncode == 2 and "jobs of this study wait or run" in runner.stderr, f"a runner here: {runner}")
    states = on_slurm.states()
    rig.require((states["trunk/seed-2"], states["wide/seed-2"]) == ("running", "queued"), f"{states}")
    text = rig.call("study", "status", on_slurm.file)
    rig.say(text)
    rig.require("time left " in text and f"{parent.id}  trunk seed 2" in text, "the status shows neither time left nor jobs")
    # Its step: to a task of an array scancel of Slurm 22.05 delivers the signal, says that it could not, and tries again.
    slurm("scancel", "--signal=TERM", parent.facts()["JobId"] + ".0")
    wait_until(lambda: parent.restarts() == 1, "the parent to be queued again", 0.2)

    hold = on_slurm.hold("wide/seed-3", 4)
    arm = on_slurm.wait_for_hold(hold, "wide/seed-3")
    rig.require(parent.state() == "COMPLETED", f"an arm started while a parent was {parent.state()}")
    for pid in Job(arm.facts()["JobId"]).ranks():
        os.kill(pid, signal.SIGKILL)
    hold.release()
    wait_until(lambda: arm.restarts() == 1, "the arm to be queued again", 0.2)
    rig.require(rig.nexus_slurm("cancel", rig.run)[0] == 0, "cancel failed")
    on_slurm.wait_for_end()
    (_, rest), _ = on_slurm.submit()
    on_slurm.wait_for_end()

    states = on_slurm.states()
    expected = {"trunk": "done", "wide": "done", "deep": "done", "bad": "failed", "after_bad": "waiting"}
    rig.require(states == {f"{name}/seed-{seed}": state for name, state in expected.items() for seed in (1, 2, 3)}, f"{states}")
    text = rig.call("study", "status", on_slurm.file)
    rig.say(text)
    for seed in (1, 2, 3):
        rig.require(f"bad seed {seed} failed: " in text and f"after_bad seed {seed} waiting: its job {rest.id}_" in text, text)
        rig.require(on_slurm.job(f"bad/seed-{seed}").exit_code() == 4, f"bad seed {seed}: exit {on_slurm.job(f'bad/seed-{seed}').exit_code()}")
        for arm_name in ("trunk", "wide", "deep"):
            rig.require_equal(f"study-here/{arm_name}/seed-{seed}", f"study/{arm_name}/seed-{seed}")
            rig.require_same_records(f"study-here/{arm_name}/seed-{seed}", f"study/{arm_name}/seed-{seed}")
    rig.require(on_slurm.job("trunk/seed-1").id == f"{parents.id}_0", "a run that was done is submitted again")
    rig.require(len(json.loads(rig.nexus_slurm("status", rig.run, "--json")[1])) == 15, "slurm status does not show all tasks")
    # Here the same study goes on, with what is not done.
    runner = subprocess.run([rig.nexus, "study", "run", on_slurm.file], capture_output=True, text=True, env=rig.environment())
    started = [line.split(" ", 1)[1] for line in runner.stdout.splitlines() if line.endswith("| started")]
    rig.require(runner.returncode == 4 and started == [f"bad seed {seed} | started" for seed in (1, 2, 3)], f"{runner}")


def main():
    nexus, folder, name = sys.argv[1:]
    rig = Rig(nexus, folder, name)
    try:
        ALL[name](rig)
    except BaseException:
        rig.explain()
        raise
    rig.say(f"{name}: as undisturbed")


if __name__ == "__main__":
    main()
