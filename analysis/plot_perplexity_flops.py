#!/usr/bin/env python3
"""Validation perplexity (log-log axes), or the loss of workloads that have none, against cumulative training FLOPs, all runs.

A grown model's curve carries its ancestors' FLOPs; rings mark growth; bars are two standard errors of the mean over
validation samples; runs that do not compare with the baseline are named and left out; the dashed line is the target of the largest saving, the arrow that saving.
"""

import sys

import style
from style import plt


def best_saving(curves):
    """The run with the largest saving, which the title and the arrow tell of; nothing without a saving."""
    found = [run for run in curves["runs"] if run["saving"] and run["saving"]["kind"] == "exact"]
    return max(found, key=lambda run: run["saving"]["saved"], default=None)


def headline(curves):
    run, words = best_saving(curves), curves["workload"]
    if run is None:
        return f"Validation {words['headline']} against training compute"
    saving = run["saving"]
    if saving["saved"] <= 0:
        return f"No run saves compute against {curves['baseline']}"
    has_interval = saving["low"] is not None or saving["high"] is not None
    confidence = f"{100 * curves['confidence']:.0f} % interval " if has_interval else ""
    return (f"{run['label']} reaches {words['headline']} {style.target(words, saving):.4g} with {100 * saving['saved']:.1f} %"
            f" less compute\nthan {curves['baseline']}, {confidence}{style.interval(saving)}")


def draw_run(axes, words, index, run):
    """One run's curve; returns its end for the label."""
    points = style.eval_points(run)
    if not points:
        return None
    look = style.run_style(index)
    flops = [row["flops"] for row in points]
    values = [style.value(words, row["loss"]) for row in points]
    slopes = values if style.has_perplexity(words) else [1.0] * len(values)  # of the headline by the loss
    errors = [2 * slope * (row["loss_se"] or 0.0) for slope, row in zip(slopes, points)]
    every = max(1, len(points) // 25)  # markers that can be told apart
    axes.plot(flops, values, marker=style.marker(index), markevery=every, **look)
    axes.errorbar(flops, values, yerr=errors, fmt="none", ecolor=look["color"], elinewidth=0.9, capsize=2, alpha=0.7)
    grown = [(row["flops"], value) for row, value in zip(points, values) if row["event"] == "after_growth"]
    if grown:
        axes.plot(*zip(*grown), linestyle="none", marker="o", markersize=11, markerfacecolor="none",
                  markeredgecolor=look["color"], markeredgewidth=1.6)
    return (flops[-1], values[-1], run["label"], look["color"])


def mark_saving(axes, curves):
    """The target and, between the two crossings, the saving that the title states."""
    run = best_saving(curves)
    if run is None:
        return
    target, saving = style.target(curves["workload"], run["saving"]), run["saving"]
    axes.axhline(target, color=style.INK, linewidth=0.8, linestyle=(0, (4, 3)), alpha=0.5, zorder=1)
    axes.annotate(f"target {target:.4g}", (0, target), xycoords=("axes fraction", "data"), xytext=(5, -4),
                  textcoords="offset points", fontsize=8.5, alpha=0.8, va="top")
    axes.annotate("", (saving["run_flops"], target), xytext=(saving["baseline_flops"], target),
                  zorder=1.5,
                  arrowprops={"arrowstyle": "-|>", "color": style.INK, "lw": 1.6, "shrinkA": 0, "shrinkB": 0})
    axes.annotate(f"{-100 * saving['saved']:+.1f} % compute".replace("-", "−"), (saving["run_flops"], target),
                  xytext=(-6, -5), textcoords="offset points", ha="right", va="top", fontsize=9, fontweight="bold")


def limits(curves):
    """Figures in view: early perplexities, many times the best, would flatten what is compared."""
    words = curves["workload"]
    values = [style.value(words, row["loss"]) for _, run in style.comparable(curves) for row in style.eval_points(run)]
    if not style.has_perplexity(words):
        margin = 0.06 * (max(values) - min(values)) or 0.1 * abs(min(values)) or 1.0
        return min(values) - margin, max(values) + margin
    return min(values) / 1.08, min(max(values) * 1.06, min(values) * 12)


def main(arguments):
    options = style.arguments(__doc__).parse_args(arguments)
    curves = style.load(options.curves)
    if not any(style.eval_points(run) for _, run in style.comparable(curves)):
        return 0
    words = curves["workload"]
    style.use_style()
    figure, axes = plt.subplots(figsize=(8.6, 5.2))
    ends = [draw_run(axes, words, index, run) for index, run in style.comparable(curves)]
    axes.set_xscale("log")
    if style.has_perplexity(words):
        axes.set_yscale("log")
    low, high = limits(curves)
    axes.set_ylim(low, high)
    style.headline_axis(words, axes.yaxis, low, high)
    style.flops_axis(axes.xaxis)
    definitions = sorted({run["flops_def"] for _, run in style.comparable(curves)})
    axes.set_xlabel(f"cumulative training FLOPs, ancestors included ({', '.join(definitions)})")
    unit = "" if style.has_perplexity(words) else f" ({words['loss_unit']})"
    axes.set_ylabel(style.plain(f"validation {words['headline']}{unit}"))
    axes.set_title(style.plain(headline(curves)))
    mark_saving(axes, curves)
    style.label_ends(axes, [end for end in ends if end])
    style.note_left_out(figure, curves)
    style.save(figure, options.out, words["headline"] + "_flops")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
