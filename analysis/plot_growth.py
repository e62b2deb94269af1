#!/usr/bin/env python3
"""Growth: the stages of each run along its progress, and the change of the validation loss at each growth.

A stage's bar is as thick as its model has parameters. A growth is lossless when its change is zero. The line through it
is the loss's own standard error, for scale: both evaluations read the same samples, so their difference is far more
exact than that.
"""

import sys

import style
from style import plt


def committed(run):
    return [stage for stage in run["stages"] if stage["committed"]]


def draw_parameters(axes, runs, unit):
    """A row per run: its stages as bars along its progress, as thick as the model has parameters."""
    largest = max(stage["params"] for _, run in runs for stage in committed(run))
    for height, (index, run) in enumerate(runs):
        begin = run["inherited_tokens"]
        colour = style.run_style(index)["color"]
        for stage in committed(run):
            axes.barh(height, stage["tokens"], left=begin, height=0.84 * stage["params"] / largest, color=colour,
                      alpha=0.3, linewidth=0)
            axes.annotate(style.plain(f"{stage['stage']} · {style.short_count(stage['params'])}"),
                          (begin + stage["tokens"] / 2, height), ha="center", va="center", fontsize=9, clip_on=True)
            begin += stage["tokens"]
    style.name_rows(axes, [(index, run["label"]) for index, run in runs])
    axes.set_xlabel(style.plain(f"{unit} of the lineage (thickness: parameters)"))
    style.count_axis(axes.xaxis)


def growth_rows(runs):
    """(run index, text, change, standard error), in thousandths, for growths evaluated on both sides, over the same
    data."""
    rows = []
    for index, run in runs:
        for stage in run["stages"]:
            before, after = stage["before_growth"], stage["after_growth"]
            if stage["growth"] and stage.get("growth_compares", True) and before and after and None not in (before["loss"], after["loss"]):
                text = f"{run['label']}: {stage['growth']['from_stage']} → {stage['stage']}"
                rows.append((index, text, 1e3 * (after["loss"] - before["loss"]), 1e3 * (after["loss_se"] or 0.0)))
    return rows


def draw_changes(axes, rows, thousandths):
    for height, (index, _, change, error) in enumerate(rows):
        colour = style.run_style(index)["color"]
        axes.errorbar([change], [height], xerr=[[error], [error]], fmt=style.marker(index), color=colour, markersize=7,
                      elinewidth=1.2, capsize=3)
        axes.annotate(f"{change:+.2g}" if change else "0", (change, height), xytext=(8, 9), textcoords="offset points",
                      ha="left", va="center", fontsize=8.5, color=colour)
    axes.axvline(0, color=style.INK, linewidth=0.9)
    style.name_rows(axes, [(index, text) for index, text, _, _ in rows])
    axes.set_xlabel(style.plain(f"validation loss after minus before growth ({thousandths})"))
    worst = max(abs(change) for _, _, change, _ in rows)
    axes.set_title(style.plain(f"Growth moves the validation loss by at most {worst:.2g} {thousandths}") if worst
                   else "Growth leaves the validation loss as it was")


def main(arguments):
    options = style.arguments(__doc__).parse_args(arguments)
    curves = style.load(options.curves)
    runs = [(index, run) for index, run in enumerate(curves["runs"]) if committed(run)]
    if not any(stage["growth"] for _, run in runs for stage in run["stages"]):
        return 0
    style.use_style()
    rows = growth_rows(runs)
    heights = [0.55 * len(runs) + 0.5] + ([0.5 * len(rows) + 0.5] if rows else [])
    figure, panels = plt.subplots(len(heights), 1, figsize=(8.6, sum(heights) + 1.2 * len(heights)), squeeze=False,
                                  layout="constrained", gridspec_kw={"height_ratios": heights})
    draw_parameters(panels[0][0], runs, curves["workload"]["unit"])
    panels[0][0].set_title("Stages of each run")
    if rows:
        draw_changes(panels[1][0], rows, curves["workload"]["loss_thousandths"])
    figure.get_layout_engine().set(h_pad=0.15)
    style.save(figure, options.out, "growth")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
