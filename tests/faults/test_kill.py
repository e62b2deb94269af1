"""kill -9 of a random rank at random moments, saves included: the same command continues, and the final weights and losses
are those of the undisturbed run, bit for bit."""
import random
import shutil
import sys
import time

from harness import Workspace, fail, kill_one_rank, wait_for_end

nexus, folder, ranks, kills, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
work = Workspace(nexus, folder, ranks)
steps = 40

started = time.monotonic()
code, output = work.train(work.campaign("straight", steps, every="3 steps"))
if code != 0:
    fail(f"the undisturbed run exited with {code}:\n{output}")
whole = time.monotonic() - started

source = random.Random(seed)
done = launches = 0
campaign = work.campaign("killed", steps, every="3 steps")
# The run is started anew once it has finished until there have been enough kills: each life adds its share.
rounds = 0
while done < kills:
    process = work.start(campaign)
    launches += 1
    time.sleep(source.uniform(0.1, 0.8 * whole))
    if kill_one_rank(process, source):
        done += 1
        wait_for_end(process)
        if process.returncode == 0:
            fail("a job with a killed rank exited with 0")
    else:
        wait_for_end(process)
        if process.returncode != 0:
            fail(f"an undisturbed life exited with {process.returncode}")
        work.require_equal("straight", "killed")
        work.require_same_records("straight", "killed")
        rounds += 1
        campaign = work.campaign("killed", steps, every="3 steps")
        shutil.rmtree(work.folder / "killed")
    if launches > 20 * kills:
        fail(f"{launches} launches gave only {done} kills (seed {seed})")

code, output = work.train(campaign)
if code != 0:
    fail(f"after {done} kills the same command exited with {code} (seed {seed}):\n{output}")
work.require_equal("straight", "killed")
work.require_same_records("straight", "killed")
leftovers = [p.name for p in (work.folder / "killed" / "checkpoints").rglob("*.tmp*")]
if leftovers:
    fail(f"unfinished saves were left behind: {leftovers}")
print(f"killed {done} times on {ranks} ranks, {launches} launches, {rounds + 1} whole runs compared, lost 0 (seed {seed})")
