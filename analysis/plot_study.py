#!/usr/bin/env python3
"""A study: differences from the baseline with their intervals over seeds, the arms' losses against compute, swept keys.

Reads results.json as `nexus study report` writes it. Curves are means over seeds, at compute that all seeds of the arm
have evaluated; each seed is thin beside them.
"""

import json
import sys

import style
from style import plt


def label(group):
    return f"{group['arm']} at {group['value']}" if group["value"] else group["arm"]


def draw_differences(axes, study, rows):
    """A row per arm: the paired difference at the runs' ends; open where one seed gives no interval."""
    for height, (index, group) in enumerate(rows):
        found, colour = group["difference_at_end"], style.run_style(index)["color"]
        known = found["low"] is not None
        if known:
            axes.plot([found["low"], found["high"]], [height, height], color=colour, linewidth=1.6, solid_capstyle="butt")
        axes.plot([found["mean"]], [height], marker=style.marker(index), markersize=7, color=colour,
                  markerfacecolor=colour if known else "none")
        axes.annotate(f"{found['mean']:+.4f}", (found["mean"], height), xytext=(0, 8), textcoords="offset points",
                      ha="center", fontsize=8.5, color=colour)
    axes.axvline(0, color=style.INK, linewidth=0.9)
    style.name_rows(axes, [(index, label(group)) for index, group in rows])
    axes.margins(x=0.12)
    axes.set_xlabel(style.plain(f"loss minus that of {study['baseline']} ({study['loss_unit']}; better to the left)"))
    axes.set_title(style.plain(f"Differences from {study['baseline']}, paired by seed, 95 % intervals"))


def mean_curve(curves):
    """(flops, mean loss) where every seed has been evaluated."""
    by_flops = [dict(curve_points(curve)) for curve in curves]
    shared = sorted(set.intersection(*(set(points) for points in by_flops)))
    return shared, [sum(points[flops] for points in by_flops) / len(by_flops) for flops in shared]


def curve_points(curve):
    return [(flops, loss) for flops, loss in zip(curve["flops"], curve["loss"]) if flops and loss is not None]


def draw_losses(axes, study):
    """In view is the last three quarters of each run's compute: its beginning would flatten the rest."""
    ends, seen = [], []
    for index, group in enumerate(study["groups"]):
        look = style.run_style(index)
        for curve in group["curves"]:
            points = curve_points(curve)
            seen += [point for point in points if point[0] >= 0.25 * points[-1][0]]
            if len(group["curves"]) > 1 and points:
                axes.plot(*zip(*points), color=look["color"], linewidth=0.7, alpha=0.35)
        flops, losses = mean_curve(group["curves"])
        if flops:
            axes.plot(flops, losses, marker=style.marker(index), **look)
            ends.append((flops[-1], losses[-1], label(group), look["color"]))
    if not ends:
        return False
    axes.set_xscale("log")
    low, high = min(loss for _, loss in seen), max(loss for _, loss in seen)
    margin = 0.05 * (high - low) or 0.01
    axes.set_ylim(low - margin, high + margin)
    axes.set_xlim(min(flops for flops, _ in seen) / 1.05, max(flops for flops, _ in seen) * 1.05)
    style.flops_axis(axes.xaxis)
    axes.set_xlabel("cumulative training FLOPs")
    axes.set_ylabel(style.plain(f"validation loss ({study['loss_unit']})"))
    axes.set_title("Loss against compute")
    style.label_ends(axes, ends)
    return True


def swept_curves(study):
    """{arm: [(value, mean, low, high)]}; what is no number has no place on an axis."""
    curves = {}
    for row in study["swept"]:
        try:
            point = (float(row["value"]), row["loss"]["mean"], row["loss"]["low"], row["loss"]["high"])
        except ValueError:
            continue
        curves.setdefault(row["arm"], []).append(point)
    return {arm: sorted(points) for arm, points in curves.items()}


def chosen_point(points, group):
    """By the report's rule, not the lowest: values that lack a seed are no candidates."""
    return next(point for point in points if point[0] == float(group["value"]))


def draw_swept(axes, study, curves):
    places = {group["arm"]: index for index, group in enumerate(study["groups"])}
    ends = []
    for arm, points in curves.items():
        look = style.run_style(places[arm])
        values, means = [point[0] for point in points], [point[1] for point in points]
        axes.plot(values, means, marker=style.marker(places[arm]), **look)
        for value, _, low, high in points:
            if low is not None:
                axes.plot([value, value], [low, high], color=look["color"], linewidth=1.2)
        value, loss, *_ = chosen_point(points, study["groups"][places[arm]])
        axes.plot([value], [loss], marker="o", markersize=12, markerfacecolor="none", color=look["color"])
        ends.append((values[-1], means[-1], arm, look["color"]))
    if all(value > 0 for points in curves.values() for value, *_ in points):
        axes.set_xscale("log")
        values = sorted({point[0] for points in curves.values() for point in points})
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.minorticks_off()
    axes.set_xlabel("value of the swept key")
    axes.set_ylabel(style.plain(f"loss at the end ({study['loss_unit']})"))
    axes.set_title("Swept keys; a ring marks the value that was chosen")
    style.label_ends(axes, ends)


def main(arguments):
    parser = style.arguments(__doc__)
    options = parser.parse_args(arguments)
    with open(options.curves, encoding="utf-8") as file:
        study = json.load(file)
    if study.get("format") != "nexus-study-1":
        raise SystemExit(f"{options.curves}: not the format nexus-study-1; write it anew with `nexus study report`")
    style.use_style()
    paired = [(index, group) for index, group in enumerate(study["groups"])
              if group["arm"] != study["baseline"] and group["difference_at_end"]["mean"] is not None]
    curves = swept_curves(study)
    heights = ([0.9 + 0.42 * len(paired)] if paired else []) + [4.0] + ([3.6] if curves else [])
    gap = 0.85  # inches
    figure, axes = plt.subplots(len(heights), 1, figsize=(8.6, sum(heights) + gap * (len(heights) - 1)), squeeze=False,
                                height_ratios=heights,
                                gridspec_kw={"top": 1, "bottom": 0, "hspace": gap * len(heights) / sum(heights)})
    panels = list(axes[:, 0])
    if paired:
        draw_differences(panels.pop(0), study, paired)
    if not draw_losses(panels.pop(0), study):
        plt.close(figure)
        return 0
    if curves:
        draw_swept(panels.pop(0), study, curves)
    style.save(figure, options.out, "study")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
