"""A run that moves from grid to grid, before, across and after its growths, is the run on one rank up to rounding.

usage: test_grids.py NEXUS FOLDER RECIPE GRID GRID GRID      (a grid is DPxTP)
"""
import sys

from harness import ROUNDING, Workspace, fail, foreign_lines

# After that (stage, step) the first and the second grid stop; the third one does the rest.
STOPS = [(0, 2), (1, 1)]
STEPS_PER_STAGE = 4


def stop_at(work, campaign, stop):
    """`--stop-after 0s` makes one step a launch. Returns what the launches said, one text for each."""
    outputs = []
    while True:
        code, output = work.train(campaign, "--stop-after", "0s")
        outputs.append(output)
        if code != 75:
            fail(f"a launch on {work.settings} exited with {code}:\n{output}")
        reached = max(work.losses("moved"))
        if reached == stop:
            return outputs
        if reached > stop:
            fail(f"the launch ran to {reached}, past {stop}")


def require_own_words(outputs, ranks_changed):
    """MPI says nothing, and nexus gives one warning: on the first launch with another number of ranks than before."""
    for launch, output in enumerate(outputs):
        if foreign := foreign_lines(output):
            fail(f"lines that are not ours: {foreign}")
        warnings = [line for line in output.splitlines() if "warning" in line and "as a rule D < M < A" not in line]
        others = [line for line in warnings if "this launch differs from the one before" not in line]
        if others or len(warnings) > (launch == 0) or (launch == 0 and ranks_changed and not warnings):
            fail(f"launch {launch} on this grid, with {'another' if ranks_changed else 'the same'} number of ranks, "
                 f"warned: {warnings}")


def main():
    nexus, folder, recipe, *grids = sys.argv[1:]
    work = Workspace(nexus, folder, recipe=recipe)
    work.use_grid("1x1")
    work.train_to_end(work.campaign("straight", STEPS_PER_STAGE))
    campaign = work.campaign("moved", STEPS_PER_STAGE)
    ranks = None
    for grid, stop in zip(grids, [*STOPS, None]):
        work.use_grid(grid)
        outputs = stop_at(work, campaign, stop) if stop else [work.train_to_end(campaign)]
        require_own_words(outputs, ranks_changed=ranks not in (None, work.ranks))
        ranks = work.ranks
    difference = work.require_close("straight", "moved", ROUNDING["f64" if recipe == "f64" else "f32"])
    print(f"{recipe} on {', '.join(grids)}: {len(work.losses('moved'))} steps, losses within {difference:.1e}")


main()
