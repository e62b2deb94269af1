"""One look for every picture, and the small things that all scripts share.

Colours are Okabe and Ito's (told apart with colour-blind eyes and in print), one per run in the order of the report,
each with its own marker and dash. INK, GRID and the first colour are replaced by the page's own when `nexus report`
puts a picture into report.html, so that it can be read in light and dark themes: keep them equal to html.cpp.
"""

import argparse
import json
import math
import os
import re

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend is chosen first)
from matplotlib import ticker  # noqa: E402

INK = "#1b1f24"
GRID = "#d8dee4"
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
DASHES = ["-", (0, (6, 2)), (0, (4, 1.5, 1, 1.5)), (0, (1.5, 1.5)), (0, (8, 2, 2, 2)), "-", "--", ":"]
PNG_DPI = 130
FORMAT = "nexus-report-1"
# What curves.json calls what it holds (`workload`); of text, where an older nexus has written it.
TEXT = {"unit": "tokens", "loss_unit": "nats/token", "headline": "perplexity", "symbol": "ppl",
        "loss_thousandths": "thousandths of a nat"}


def use_style():
    plt.rcParams.update({
        "svg.fonttype": "none", "svg.hashsalt": "nexus", "savefig.dpi": PNG_DPI,
        "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans", "Segoe UI", "Helvetica", "Arial"],
        "font.size": 10,
        "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
        "axes.titlesize": 11.5, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.titlepad": 10,
        "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.8,
        "axes.grid": True, "axes.axisbelow": True, "grid.color": GRID, "grid.linewidth": 0.7,
        "lines.linewidth": 1.8, "lines.markersize": 4.5, "legend.frameon": False,
    })


def arguments(description):
    """Command line of every script: CURVES_JSON and the folder for the picture."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("curves", help="curves.json as `nexus report` writes it")
    parser.add_argument("--out", default=".", help="folder for the picture (default: here)")
    return parser


def load(path):
    with open(path, encoding="utf-8") as file:
        curves = json.load(file)
    if curves.get("format") != FORMAT:
        raise SystemExit(f"{path}: not the format {FORMAT}; write it anew with `nexus report`")
    curves.setdefault("workload", TEXT)
    return curves


def run_style(index):
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": DASHES[index % len(DASHES)]}


def marker(index):
    return MARKERS[index % len(MARKERS)]


def plain(text):
    """A label as it is: matplotlib would read dollar signs as mathematics."""
    return text.replace("$", r"\$")


def eval_points(run):
    """Evaluations that have a place on logarithmic axes, in order of compute."""
    points = [row for row in run["evals"] if row["loss"] is not None and row["flops"]]
    return sorted(points, key=lambda row: row["flops"])


def comparable(curves):
    """(index, run) of the runs that may share axes; the index fixes colour and marker. The others do not compare with
    the baseline: other validation tokens, tokenizer, windows or definition of FLOPs."""
    return [(index, run) for index, run in enumerate(curves["runs"]) if not run.get("incomparable")]


def note_left_out(figure, curves):
    """Says below the axes which runs are left out, and why."""
    left_out = [f"{run['label']} ({run['incomparable']})" for run in curves["runs"] if run.get("incomparable")]
    if left_out:
        text = "Not drawn, for they do not compare with " + f"{curves['baseline']}: " + "; ".join(left_out)
        figure.text(0.01, -0.03, plain(text), fontsize=8.5, alpha=0.8, va="top", wrap=True)


def has_perplexity(words):
    return words["headline"] == "perplexity"


def value(words, loss):
    """The headline figure."""
    return math.exp(min(loss, 700.0)) if has_perplexity(words) else loss  # beyond 700 a double overflows


def target(words, saving):
    return saving["target_" + words["symbol"]]


def short_count(value):
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def flops_axis(axis):
    """1e16, 2e16, 5e16, ... on a logarithmic axis."""
    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5), numticks=12))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:.1e}".replace(".0e", "e").replace("e+", "e")))
    axis.set_minor_locator(ticker.NullLocator())


def count_axis(axis):
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: short_count(value)))


def headline_axis(words, axis, low, high):
    """Of perplexity: plain numbers (20, 30, 50) on a logarithmic axis, about five to eight of them."""
    if not has_perplexity(words):
        return
    decades = [1, 1.5, 2, 3, 4, 5, 7] if high / low > 3 else [1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9]
    if high / low < 1.3:
        decades = [x / 20 for x in range(20, 200)]
    axis.set_major_locator(ticker.LogLocator(subs=decades, numticks=12))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:.4g}"))
    axis.set_minor_locator(ticker.NullLocator())


def interval(saving):
    """"[27.4, 42.2]" in percent; a dash for an end that noise leaves open. One validation window gives no interval."""
    if saving["low"] is None and saving["high"] is None:
        return "(no interval)"
    low = "–" if saving["low"] is None else f"{100 * saving['low']:.1f}"
    high = "–" if saving["high"] is None else f"{100 * saving['high']:.1f}"
    return f"[{low}, {high}]"


def spread(positions, least_gap):
    """The positions moved apart, in order, until neighbours are `least_gap` apart; their middle stays."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    moved = list(positions)
    for _ in range(100):
        quiet = True
        for lower, upper in zip(order, order[1:]):
            lack = least_gap - (moved[upper] - moved[lower])
            if lack > 1e-9:
                moved[lower] -= lack / 2
                moved[upper] += lack / 2
                quiet = False
        if quiet:
            break
    return moved


def label_ends(axes, ends, lines=1):
    """Writes each curve's label (of so many lines) right of the axes, at the height of its end.

    `ends` holds (x, y, text, colour) in data coordinates.
    """
    axes.figure.canvas.draw()  # fixes the transformation
    points = axes.figure.dpi / 72
    border = axes.transAxes.transform((1, 0))[0]
    pixels = [axes.transData.transform((x, y)) for x, y, _, _ in ends]
    heights = spread([y for _, y in pixels], (13 * lines + 2 * (lines - 1)) * points)
    for (x_pixel, y_pixel), height, (x, y, text, colour) in zip(pixels, heights, ends):
        axes.annotate(plain(text), (x, y), xytext=((border - x_pixel) / points + 8, (height - y_pixel) / points),
                      textcoords="offset points", va="center", color=colour, fontweight="bold", fontsize=9,
                      annotation_clip=False,
                      arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.7, "alpha": 0.5, "relpos": (0, 0.5),
                                  "shrinkA": 1, "shrinkB": 5})


def name_rows(axes, rows):
    """Rows from the top down, each named in its run's colour."""
    axes.set_yticks(range(len(rows)), [plain(text) for _, text in rows])
    for tick, (index, _) in zip(axes.get_yticklabels(), rows):
        tick.set_color(run_style(index)["color"])
        tick.set_fontweight("bold")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)


def save(figure, folder, name):
    """NAME.svg (text stays text, the ground transparent, no dates) and NAME.png."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    figure.savefig(path + ".png", bbox_inches="tight", pad_inches=0.15, facecolor="white")
    figure.savefig(path + ".svg.tmp", format="svg", bbox_inches="tight", pad_inches=0.15, transparent=True,
                   metadata={"Date": None, "Creator": None})
    plt.close(figure)
    with open(path + ".svg.tmp", encoding="utf-8") as file:
        svg = file.read()
    # Several pictures share one page: the groups' ids, which nothing refers to, would be there twice.
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    with open(path + ".svg.tmp", "w", encoding="utf-8") as file:
        file.write(svg)
    os.replace(path + ".svg.tmp", path + ".svg")
