#!/usr/bin/env python3
"""Goodput against the checkpoint interval on clusters of several sizes, as `nexus plan` forecasts it.

Asks `nexus plan CAMPAIGN --cluster CLUSTER --ranks N --json` for every size and interval, so that the picture cannot
differ from the forecast; prints the optima as a table and draws goodput.svg and goodput.png. The cluster file must give
node_mtbf, restart and storage_gb_per_s.
"""

import argparse
import json
import subprocess
import sys

INTERVALS = [10 * 2 ** (half / 2) for half in range(22)]  # 10 s to 4 hours


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("campaign")
    parser.add_argument("cluster")
    parser.add_argument("--ranks", type=int, nargs="+", default=[8, 64, 512, 4096])
    parser.add_argument("--save-stop", help="passed on to nexus plan")
    parser.add_argument("-s", dest="settings", action="append", default=[], help="passed on to nexus plan")
    parser.add_argument("--nexus", default="nexus")
    parser.add_argument("--out", help="folder for the picture; without it the table only")
    return parser.parse_args(arguments)


def forecast(options, ranks, seconds):
    command = [options.nexus, "plan", options.campaign, "--cluster", options.cluster, "--ranks", str(ranks), "--json"]
    for setting in ["parallel.dp=auto", *options.settings, f"checkpoint.every={seconds:.3f}s"]:
        command += ["-s", setting]
    if options.save_stop:
        command += ["--save-stop", options.save_stop]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode:
        raise SystemExit(result.stderr)
    plan = json.loads(result.stdout)["cluster"]
    stage = plan["stages"][-1]  # the largest model
    if not stage["best"] or stage["best"]["goodput"] is None:
        raise SystemExit("no goodput without: " + "; ".join(plan["missing"]))
    return plan, stage


def print_table(options):
    print("| ranks | nodes | failures a day | best interval | Daly | Young | goodput at best | every 30min |")
    print("|---|---|---|---|---|---|---|---|")
    for ranks in options.ranks:
        plan, stage = forecast(options, ranks, 1800)
        interval = [f"{stage[key]['seconds'] / 60:.1f} min" for key in ("best", "daly", "young")]
        share = [f"{100 * stage[key]['goodput']:.2f}%" for key in ("best", "checkpoint_every")]
        print("|", " | ".join([str(ranks), str(plan["nodes"]), f"{86400 / plan['job_mtbf_seconds']:.3g}", *interval,
                               *share]), "|")


def draw(options):
    import style
    from style import plt
    style.use_style()
    figure, axes = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
    for index, ranks in enumerate(options.ranks):
        stages = [forecast(options, ranks, seconds)[1] for seconds in INTERVALS]
        axes.plot([seconds / 60 for seconds in INTERVALS],
                  [100 * stage["checkpoint_every"]["goodput"] for stage in stages], label=f"{ranks} ranks",
                  **style.run_style(index))
        best = stages[0]["best"]
        axes.plot(best["seconds"] / 60, 100 * best["goodput"], style.marker(index),
                  color=style.run_style(index)["color"])
    axes.set_xscale("log")
    axes.set_xlabel("minutes of training between saves (marks: best)")
    axes.set_ylabel("goodput, % of wall time")
    axes.set_title("Goodput by checkpoint interval")
    axes.legend()
    style.save(figure, options.out, "goodput")


def main(arguments):
    options = parse(arguments)
    print_table(options)
    if options.out:
        draw(options)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
