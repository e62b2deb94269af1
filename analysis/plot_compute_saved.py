#!/usr/bin/env python3
"""Compute saved against the baseline, 1 - C_run(p) / C_baseline(p), for every target p that both curves cross.

The band is the bootstrap interval over evaluation noise; it ends where some draws no longer cross p. The dot with its
bar is the figure of the comparison table.
"""

import math
import sys

import style
from style import plt


def percent(value):
    return math.nan if value is None else 100 * value


def draw_band(axes, targets, points, colour):
    # An end is open (null, or all compute saved) where some draws do not cross the target: no band there.
    closed = [point["low"] is not None and point["high"] is not None and point["high"] < 1 for point in points]
    axes.fill_between(targets, [percent(point["low"]) for point in points], [percent(point["high"]) for point in points],
                      where=closed, color=colour, alpha=0.15, linewidth=0)


def draw_run(axes, words, index, run):
    """One run's saving; returns the label's place, or nothing where there is no saving to draw."""
    look = style.run_style(index)
    points = [point for point in run.get("saving_curve", []) if point["kind"] == "exact"]
    targets = [style.target(words, point) for point in points]
    saved = [percent(point["saved"]) for point in points]
    if points:
        axes.plot(targets, saved, **look)
        draw_band(axes, targets, points, look["color"])
    saving = run["saving"]
    if saving and saving["kind"] == "exact":
        target = style.target(words, saving)
        value, low, high = percent(saving["saved"]), percent(saving["low"]), percent(saving["high"])
        if math.isfinite(low) and math.isfinite(high):
            axes.errorbar([target], [value], yerr=[[value - low], [high - value]], fmt="none",
                          ecolor=look["color"], elinewidth=1.4, capsize=4)
        axes.plot([target], [value], marker=style.marker(index), markersize=7, color=look["color"])
        text = f"{run['label']}\n{value:.1f} % {style.interval(saving)}"
        return (target, value, text, look["color"])
    return (targets[-1], saved[-1], run["label"], look["color"]) if points else None


def value_limits(axes, runs):
    """Savings in view: where curves run parallel a ratio can fall far below zero and would flatten the rest."""
    points = [point for run in runs for point in run.get("saving_curve", [])]
    values = [percent(point["saved"]) for point in points if point["kind"] == "exact"]
    dots = [run["saving"] for run in runs if run["saving"] and run["saving"]["kind"] == "exact"]
    values += [percent(dot[end]) for dot in dots for end in ("saved", "low", "high") if dot[end] is not None]
    low, high = min(values + [0.0]), max(values + [0.0])
    margin = max(5.0, 0.15 * (high - low))
    axes.set_ylim(max(low - margin, -150.0), min(high + margin, 105.0))


def main(arguments):
    options = style.arguments(__doc__).parse_args(arguments)
    curves = style.load(options.curves)
    words = curves["workload"]
    style.use_style()
    figure, axes = plt.subplots(figsize=(8.6, 4.4))
    ends = [draw_run(axes, words, index, run) for index, run in enumerate(curves["runs"])]
    ends = [end for end in ends if end]
    if not ends:
        plt.close(figure)
        return 0
    if style.has_perplexity(words):
        axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(high, low)  # training goes to the right
    style.headline_axis(words, axes.xaxis, low, high)
    value_limits(axes, curves["runs"])
    axes.axhline(0, color=style.INK, linewidth=0.9)
    axes.annotate(style.plain(curves["baseline"]), (0, 0), xycoords=("axes fraction", "data"), xytext=(4, 4),
                  textcoords="offset points", fontsize=8.5, alpha=0.8)
    axes.set_xlabel(style.plain(f"target: validation {words['headline']} p (better to the right)"))
    axes.set_ylabel("compute saved (%)")
    axes.set_title(style.plain(f"Compute saved against {curves['baseline']}, with the {100 * curves['confidence']:.0f}"
                               " % interval of evaluation noise"))
    style.label_ends(axes, ends, lines=2)
    style.save(figure, options.out, "compute_saved")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
