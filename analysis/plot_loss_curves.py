#!/usr/bin/env python3
"""Training loss and learning rate against the lineage's progress, one column per run, stages shaded in turn.

The line is the mean loss over buckets of consecutive steps, the band reaches from the least to the greatest loss in a
bucket.
"""

import itertools
import sys

import style
from style import plt


def stages_of(run):
    """(stage name, points) for each stage that has points."""
    names = {stage["stage_index"]: stage["stage"] for stage in run["stages"]}
    points = [point for point in run["train"] if point["loss"] is not None]
    for index, group in itertools.groupby(points, key=lambda point: point["stage_index"]):
        yield names.get(index, str(index)), list(group)


def draw_run(loss_axes, rate_axes, index, run):
    colour = style.run_style(index)["color"]
    begin = run["inherited_tokens"]
    for number, (name, points) in enumerate(stages_of(run)):
        tokens = [point["tokens"] for point in points]
        end = tokens[-1]
        loss_axes.plot(tokens, [point["loss"] for point in points], color=colour, linewidth=1.3)
        low, high = ([point[key] for point in points] for key in ("loss_low", "loss_high"))
        loss_axes.fill_between(tokens, low, high, color=colour, alpha=0.2, linewidth=0)
        rate_axes.plot(tokens, [point["lr"] for point in points], color=colour, linewidth=1.3)
        for axes in (loss_axes, rate_axes):
            if number % 2 == 1:
                axes.axvspan(begin, end, color=style.GRID, alpha=0.45, linewidth=0, zorder=0)
        loss_axes.annotate(style.plain(name), ((begin + end) / 2, 1), xycoords=("data", "axes fraction"),
                           xytext=(0, -3), textcoords="offset points", ha="center", va="top", fontsize=8.5, alpha=0.8)
        begin = end
    loss_axes.set_title(style.plain(run["label"]), color=colour)


def loss_limits(runs):
    """From the best loss to what the first twentieth of each run leaves behind, which would flatten the rest."""
    late, lowest = [], []
    for run in runs:
        points = [point for _, group in stages_of(run) for point in group]
        late += [point["loss_high"] for point in points[len(points) // 20:]]
        lowest += [point["loss_low"] for point in points]
    margin = 0.06 * (max(late) - min(lowest)) or 0.1
    return min(lowest) - margin, max(late) + 2 * margin


def main(arguments):
    options = style.arguments(__doc__).parse_args(arguments)
    curves = style.load(options.curves)
    runs = [(index, run) for index, run in enumerate(curves["runs"]) if any(points for _, points in stages_of(run))]
    if not runs:
        return 0
    style.use_style()
    columns = min(len(runs), 2)
    rows = (len(runs) + columns - 1) // columns
    figure = plt.figure(figsize=(4.6 * columns + 0.6, 3.7 * rows))
    outer = figure.add_gridspec(rows, columns, hspace=0.38, wspace=0.24)
    low, high = loss_limits([run for _, run in runs])
    begin = min(run["inherited_tokens"] for _, run in runs)
    end = max(point["tokens"] for _, run in runs for point in run["train"])
    for place, (index, run) in enumerate(runs):
        inner = outer[place // columns, place % columns].subgridspec(2, 1, height_ratios=[3, 1], hspace=0.12)
        loss_axes = figure.add_subplot(inner[0])
        rate_axes = figure.add_subplot(inner[1], sharex=loss_axes)
        draw_run(loss_axes, rate_axes, index, run)
        loss_axes.set_ylim(low, high)
        loss_axes.tick_params(labelbottom=False)
        rate_axes.set_ylim(bottom=0)
        rate_axes.set_xlim(begin, begin + (end - begin) * 1.02)
        rate_axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}".replace("e-0", "e-") if value else "0")
        style.count_axis(rate_axes.xaxis)
        rate_axes.set_xlabel(style.plain(f"{curves['workload']['unit']} of the lineage"))
        if place % columns == 0:
            loss_axes.set_ylabel(style.plain(f"training loss ({curves['workload']['loss_unit']})"))
            rate_axes.set_ylabel("lr")
    figure.align_ylabels()
    style.save(figure, options.out, "loss_curves")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
