#!/usr/bin/env python3
"""Every figure of the evaluations besides the validation loss against cumulative training FLOPs, a panel for each.

Bars are two standard errors, where a figure has one; runs that do not compare with the baseline are named and left out.
"""

import sys

import style
from style import plt


def points_of(run, name):
    """(FLOPs, value, standard error) of the run's evaluations that have the figure, in order of compute."""
    found = [(row["flops"], figure["value"], figure["se"] or 0.0) for row in run["evals"] for figure in row.get("figures", [])
             if figure["name"] == name and figure["value"] is not None and row["flops"]]
    return sorted(found)


def figures_of(curves):
    """{name: unit} in the order in which they are met, of what can be drawn."""
    units = {figure["name"]: figure["unit"] for _, run in style.comparable(curves) for row in run["evals"]
             for figure in row.get("figures", [])}
    return {name: unit for name, unit in units.items() if any(points_of(run, name) for _, run in style.comparable(curves))}


def draw(axes, curves, name):
    """One panel."""
    ends = []
    for index, run in style.comparable(curves):
        points = points_of(run, name)
        if not points:
            continue
        look = style.run_style(index)
        flops, values, errors = zip(*points)
        axes.plot(flops, values, marker=style.marker(index), markevery=max(1, len(points) // 25), **look)
        axes.errorbar(flops, values, yerr=[2 * error for error in errors], fmt="none", ecolor=look["color"], elinewidth=0.9,
                      capsize=2, alpha=0.7)
        ends.append((flops[-1], values[-1], run["label"], look["color"]))
    return ends


def main(arguments):
    options = style.arguments(__doc__).parse_args(arguments)
    curves = style.load(options.curves)
    units = figures_of(curves)
    if not units:
        return 0
    style.use_style()
    figure, panels = plt.subplots(len(units), squeeze=False, sharex=True, figsize=(8.6, 3.2 * len(units)))
    definitions = sorted({run["flops_def"] for _, run in style.comparable(curves)})
    for axes, (name, unit) in zip(panels[:, 0], units.items()):
        ends = draw(axes, curves, name)
        axes.set_xscale("log")
        style.flops_axis(axes.xaxis)
        axes.set_title(style.plain(name))
        axes.set_ylabel(style.plain(f"{name} ({unit})" if unit else name))
        style.label_ends(axes, ends)
    panels[-1, 0].set_xlabel(f"cumulative training FLOPs, ancestors included ({', '.join(definitions)})")
    style.note_left_out(figure, curves)
    style.save(figure, options.out, "figures")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
