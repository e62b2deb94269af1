#!/usr/bin/env python3
"""Draws docs/architecture.svg from the sources: a box for every module, as wide as it has thousands of lines, on the floors that
tests/check_layering proves; an arrow for every include of another module that does not follow from other arrows.

usage: docs/draw_architecture.py [--check]      --check: exit 1 where the picture is not what the sources say
"""
import importlib.machinery
import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "architecture.svg"
WIDTH, FLOOR, BOX, GAP, MARGIN = 1040, 64, 34, 26, 20
LEAST_BOX, PIXELS_PER_THOUSAND = 118, 38
WORDS = {
    "cli": "commands", "slurm": "campaigns as jobs", "doctor": "what is wrong here", "campaign": "stages in order",
    "report": "tables and pictures", "plan": "forecasts", "interchange": "other programs' files", "config": "YAML stops here", "train": "steps, saves, evaluations",
    "study": "arms, seeds, answers", "tasks": "zero-shot scores", "sampling": "text from models", "spec": "campaigns as plain data", "growth": "bigger models, with proof", "accounting": "FLOPs and bytes",
    "monitor": "tail, plot, top, export",
    "workloads": "kinds of data", "model": "blocks, architectures", "layers": "forward, backward", "optim": "AdamW",
    "checkpoint": "durable tensors", "params": "the parameter table", "cuda": "NVIDIA GPUs", "backend": "operations, CPU kernels",
    "comm": "ranks, watchdog", "data": "samples", "records": "files of a run", "tensor": "shapes, memory",
    "system": "outside the process", "statistics": "intervals, power", "core": "errors, log, files",
}


def layering():
    """tests/check_layering as a module: its floors, and how it reads an include."""
    path = str(ROOT / "tests" / "check_layering")
    loader = importlib.machinery.SourceFileLoader("check_layering", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_layering", loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


def read_sources(rules):
    """(lines, modules included) of every module."""
    lines, includes = {}, {}
    for path in sorted([*(ROOT / "src").rglob("*"), *(ROOT / "cuda").rglob("*")]):
        if path.suffix not in rules.SUFFIXES:
            continue
        module = rules.module_of(path.relative_to(ROOT))
        text = path.read_text().splitlines()
        lines[module] = lines.get(module, 0) + len(text)
        found = (rules.INCLUDE.match(line) for line in text)
        targets = {match[2].split("/")[0] for match in found if match and match[1] == '"'}
        includes.setdefault(module, set()).update(targets - {module})
    return lines, includes


def reached(includes, start, without=None):
    """Modules that `start` includes by way of others, its own include of `without` left out."""
    seen, open_ = set(), [target for target in includes[start] if target != without]
    while open_:
        module = open_.pop()
        if module not in seen:
            seen.add(module)
            open_ += includes[module]
    return seen


def place(rules, lines):
    """module -> (left, top, width): a row for every floor, the highest first."""
    boxes = {}
    floors = [[module for module in floor if module in lines] for floor in rules.FLOORS]
    for row, floor in enumerate(reversed([floor for floor in floors if floor])):
        widths = [LEAST_BOX + thousands(lines[module]) * PIXELS_PER_THOUSAND for module in floor]
        left = (WIDTH - sum(widths) - GAP * (len(floor) - 1)) / 2
        for module, width in zip(floor, widths):
            boxes[module] = (left, MARGIN + row * FLOOR, width)
            left += width + GAP
    return boxes


def thousands(lines):
    """Rounded, so that few commits change the picture."""
    return round(lines / 1000)


def arrow(upper, lower):
    """From the bottom of one box to the top of another, where each is nearest to the other's middle."""
    (x1, y1, w1), (x2, y2, w2) = upper, lower
    start = min(max(x2 + w2 / 2, x1 + 10), x1 + w1 - 10)
    end = min(max(x1 + w1 / 2, x2 + 10), x2 + w2 - 10)
    bend = (y2 - y1 - BOX) / 2
    return (f'<path d="M{start:.0f} {y1 + BOX} C{start:.0f} {y1 + BOX + bend:.0f} {end:.0f} {y2 - bend:.0f} {end:.0f} {y2 - 3}" '
            f'marker-end="url(#tip)"/>')


def draw():
    rules = layering()
    lines, includes = read_sources(rules)
    boxes = place(rules, lines)
    height = max(top for _, top, _ in boxes.values()) + BOX + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        "<title>Modules of nexus: who includes whom</title>",
        "<!-- drawn by docs/draw_architecture.py -->",
        '<defs><marker id="tip" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="5" markerHeight="5" orient="auto">'
        '<path d="M0 0L6 3L0 6z" fill="#8a93a3"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        '<g fill="none" stroke="#8a93a3" stroke-width="1">',
    ]
    for module in boxes:
        for target in sorted(includes[module]):
            if target not in reached(includes, module, without=target):
                parts.append(arrow(boxes[module], boxes[target]))
    parts.append("</g>")
    for module, (left, top, width) in boxes.items():
        middle = left + width / 2
        parts += [
            f'<rect x="{left:.0f}" y="{top}" width="{width:.0f}" height="{BOX}" rx="4" fill="#eef3fb" stroke="#3b6db5"/>',
            f'<text x="{middle:.0f}" y="{top + 14}" font-size="12" font-weight="bold" text-anchor="middle" fill="#1b2a41">{module}'
            f'<tspan dx="5" font-weight="normal" fill="#5a6678">{f"{thousands(lines[module])}k" if thousands(lines[module]) else "&lt;1k"}'
            "</tspan></text>",
            f'<text x="{middle:.0f}" y="{top + 27}" font-size="9" text-anchor="middle" fill="#5a6678">{WORDS[module]}</text>',
        ]
    parts.append("</svg>\n")
    return "\n".join(parts)


def main():
    picture = draw()
    if "--check" in sys.argv[1:]:
        if not PICTURE.exists() or PICTURE.read_text() != picture:
            print("docs/architecture.svg is not what the sources say: run docs/draw_architecture.py")
            return 1
        return 0
    PICTURE.write_text(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
