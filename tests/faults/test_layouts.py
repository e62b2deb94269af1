"""What the layout of a run may change: ZeRO and a repetition nothing at all, the split of the sequence only rounding.

usage: test_layouts.py NEXUS FOLDER GRID      (DPxTP)
"""
import sys

from harness import ROUNDING, Workspace


def main():
    nexus, folder, grid = sys.argv[1:]
    work = Workspace(nexus, folder)

    def run(name, *settings):
        work.use_grid(grid, *settings)
        work.train_to_end(work.campaign(name))

    run("first", "parallel.zero=1")
    run("again", "parallel.zero=1")
    run("replicated", "parallel.zero=0")
    for name in ("again", "replicated"):
        work.require_equal("first", name)
        work.require_same_records("first", name)
    work.use_grid("1x1")
    work.train_to_end(work.campaign("one_rank"))
    difference = work.require_close("one_rank", "first", ROUNDING["f32"])
    print(f"{grid}: repeated and without ZeRO the same bits; against one rank within {difference:.1e}")
    if not grid.endswith("x1"):
        run("whole", "parallel.sequence=false")
        difference = work.require_close("first", "whole", ROUNDING["f32"])
        print(f"{grid}: with and without the split of the sequence within {difference:.1e}")


main()
