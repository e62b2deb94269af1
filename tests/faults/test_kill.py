"""kill -9 of any rank: the same command continues, and the final weights and losses are those of the undisturbed run, bit
for bit. Of four kills one comes at any time, start included; one some steps on, as soon as a save is under way; two while
rank 0 is held in a save.

usage: test_kill.py NEXUS FOLDER DPxTP KILLS SEED [KEY=VALUE...]
"""
import random
import shutil
import sys
import time

from harness import Workspace, fail, kill, ranks_of, wait_for_end

STEPS, EVERY = 40, "3 steps"
MOST_STEPS = 30  # of a life before it is killed; a run has three stages of STEPS
IN_SAVES = ("/shard-0000.h5", "/state.json")  # files that rank 0 opens in the folder of a save


class Killer:
    """Kills `kills` times, and counts what the kills have hit."""

    def __init__(self, work, kills, source, whole):
        self.work, self.kills, self.source, self.whole = work, kills, source, whole
        self.done = self.launches = self.runs = self.held = self.left_behind = 0
        self.deck = []
        self.by_rank = [0] * work.ranks

    def next_rank(self):
        """Every rank once, in random order, then again: the last one and rank 0 get their share."""
        if not self.deck:
            self.deck = self.source.sample(range(self.work.ranks), self.work.ranks)
        return self.deck[-1]

    def victim(self, process):
        """Process id of the rank whose turn it is; None if the job begins or ends just now."""
        ranks = ranks_of(process)
        return ranks[self.next_rank()] if len(ranks) == self.work.ranks else None

    def steps_made(self, name):
        metrics = self.work.folder / name / "metrics.jsonl"
        return metrics.read_bytes().count(b'"kind":"step"') if metrics.exists() else 0

    def await_moment(self, process, left_before, name, hold):
        """Returns the victim when its time has come."""
        if hold:
            if not hold.wait(lambda: process.poll() is not None):
                return None
            if not self.work.unfinished_saves(name) - left_before:
                fail("rank 0 was held, but not in a save")
            victim = self.victim(process)
            time.sleep(self.source.uniform(0, 0.01))
            return victim
        if self.done % 4 == 0:
            time.sleep(self.source.uniform(0, 0.8 * self.whole))
            return self.victim(process)
        target = self.steps_made(name) + self.source.randint(1, MOST_STEPS)
        while self.steps_made(name) < target and process.poll() is None:
            time.sleep(0.005)
        victim = self.victim(process)  # the search takes about as long as a save, so it comes first
        while not self.work.unfinished_saves(name) - left_before and process.poll() is None:
            time.sleep(0.001)
        time.sleep(self.source.uniform(0, 0.01))
        return victim

    def hold_for_next_kill(self, name):
        if self.done % 4 < 2:
            return None
        return self.work.hold(name, self.steps_made(name) + self.source.randint(1, MOST_STEPS), self.source.choice(IN_SAVES))

    def live_once(self, campaign, name):
        """One launch; False if it came to its end."""
        left_before = self.work.unfinished_saves(name)
        hold = self.hold_for_next_kill(name)
        process = self.work.start(campaign)
        self.launches += 1
        victim = self.await_moment(process, left_before, name, hold)
        killed = victim is not None and kill(process, victim)
        if hold:  # rank 0 may go on, and even commit, until the launcher ends it, too
            hold.release()
        if not killed:
            self.whole *= 0.7  # perhaps the host was busy when that was measured
            return self.finish_life(process)
        wait_for_end(process)
        if process.returncode == 0:
            fail("a job with a killed rank exited with 0")
        rank = self.deck.pop()
        self.by_rank[rank] += 1
        self.done += 1
        left = self.work.unfinished_saves(name) - left_before
        owner = self.work.newest_generation(name)
        if stray := [path for path in left if f".tmp-{owner}-" not in path]:
            fail(f"{stray[0]} does not bear the generation that was killed: {owner}")
        if hold and rank == 0 and not left:
            fail("rank 0 was killed in a save, and nothing of that save is left")
        self.held += bool(hold)
        self.left_behind += bool(left)
        return True

    @staticmethod
    def finish_life(process):
        wait_for_end(process)
        if process.returncode != 0:
            fail(f"an undisturbed life exited with {process.returncode}")
        return False


def compare(work):
    work.require_equal("straight", "killed")
    work.require_same_records("straight", "killed")


def main():
    nexus, folder, grid, kills, seed = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
    print(f"seed {seed}", flush=True)
    work = Workspace(nexus, folder)
    work.use_grid(grid, *sys.argv[6:])
    started = time.monotonic()
    work.train_to_end(work.campaign("straight", STEPS, EVERY))
    killer = Killer(work, kills, random.Random(seed), time.monotonic() - started)
    campaign = work.campaign("killed", STEPS, EVERY)
    # A run that has come to its end is compared and started anew until there have been enough kills.
    while killer.done < kills:
        if killer.live_once(campaign, "killed"):
            continue
        compare(work)
        killer.runs += 1
        shutil.rmtree(work.folder / "killed")
    work.train_to_end(campaign)
    compare(work)
    if leftovers := work.unfinished_saves("killed"):
        fail(f"unfinished saves were left behind: {leftovers}")
    if killer.held < kills // 4:
        fail(f"only {killer.held} of {kills} kills came while rank 0 was in a save")
    if kills >= work.ranks and 0 in killer.by_rank:
        fail(f"some rank was never killed: {killer.by_rank}")
    print(f"grid {grid}: killed {kills} times (by rank: {killer.by_rank}), {killer.held} of them while rank 0 was in a save; "
          f"{killer.left_behind} left an unfinished one; {killer.launches} launches, {killer.runs + 1} whole runs compared, lost 0")


main()
