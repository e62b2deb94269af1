#!/usr/bin/env python3
"""Tests of the scripts in analysis/: they draw what curves.json holds, and nothing where there is nothing to draw.

Runs itself again under the first interpreter that has matplotlib; exit code 77 says that there is none.
"""

import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ANALYSIS = pathlib.Path(__file__).resolve().parents[3] / "analysis"
SCRIPTS = ["plot_perplexity_flops", "plot_compute_saved", "plot_loss_curves", "plot_growth"]


def has_matplotlib(python):
    try:
        return subprocess.run([python, "-c", "import matplotlib"], stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def find_python():
    return next((python for python in (sys.executable, "/usr/bin/python3") if has_matplotlib(python)), None)


def evaluation(index, flops, loss, event="periodic"):
    return {"stage": f"s{index}", "stage_index": index, "event": event, "tokens": int(flops / 1e9), "flops": flops,
            "loss": loss, "loss_se": 0.01}


def side(loss):
    return {"ppl": math.exp(loss), "ppl_se": 0.01 * math.exp(loss), "loss": loss, "loss_se": 0.01}


def stage(index, grown):
    growth = {"from_stage": f"s{index - 1}", "params_before": 240, "params_after": 440} if grown else None
    return {"stage": f"s{index}", "stage_index": index, "params": 240_000_000 + 200_000_000 * index, "committed": True,
            "tokens": 1_000_000, "growth": growth, "before_growth": side(3.0) if grown else None,
            "after_growth": side(3.002) if grown else None}


def make_run(label, shift, saving=None):
    evals = [evaluation(0, 0.0, 10.4, "start")]
    evals += [evaluation(0, 1e15 * k, 4.0 - shift - 0.2 * math.log(k)) for k in range(1, 10)]
    evals += [evaluation(1, 9e15, 4.0 - shift - 0.2 * math.log(9), "after_growth")]
    evals += [evaluation(1, 1e15 * k, 4.0 - shift - 0.2 * math.log(k)) for k in range(10, 20)]
    train = [{"stage_index": k // 10, "tokens": 100_000 * (k + 1), "flops": 1e15 * (k + 1), "loss": 4 - 0.05 * k,
              "loss_low": 3.9 - 0.05 * k, "loss_high": 4.1 - 0.05 * k, "lr": 3e-4} for k in range(20)]
    return {"label": label, "flops_def": "gemm_causal", "inherited_tokens": 0, "saving": saving, "evals": evals,
            "train": train, "stages": [stage(0, False), stage(1, True)],
            "saving_curve": [] if saving is None else [dict(saving, target_ppl=p) for p in (50.0, 40.0, 30.0)]}


def make_curves():
    saving = {"kind": "exact", "target_ppl": 30.3, "saved": 0.382, "low": 0.351, "high": 0.409,
              "run_flops": 6.18e15, "baseline_flops": 1e16}
    return {"format": "nexus-report-1", "baseline": "tokenformer", "confidence": 0.95,
            "runs": [make_run("nexus $grown$ & <co>", 0.1, saving), make_run("tokenformer", 0.0)]}


def make_study():
    def group(arm, shift, difference, value=""):
        curves = [{"seed": seed, "tokens": [0, 10, 20], "flops": [0.0, 1e15, 2e15],
                   "loss": [9.0, 4.0 - shift + 0.01 * seed, 3.5 - shift + 0.01 * seed]} for seed in (1, 2)]
        return {"arm": arm, "value": value, "curves": curves, "difference_at_end":
                {"mean": difference, "low": difference and difference - 0.01, "high": difference and difference + 0.01}}
    swept = [{"arm": "swept $1$", "value": value, "loss": {"mean": loss, "low": None, "high": None}}
             for value, loss in (("1e-3", 3.4), ("2e-3", 3.3), ("none", 9.9))]
    return {"format": "nexus-study-1", "baseline": "plain <arm>", "loss_unit": "nats/token", "swept": swept,
            "groups": [group("plain <arm>", 0.0, None), group("swept $1$", 0.1, -0.1, "2e-3")]}


class AnalysisScripts(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def draw(self, script, curves, name="out"):
        """The picture's SVG text; None where the script drew nothing."""
        path = self.folder / "curves.json"
        path.write_text(json.dumps(curves), encoding="utf-8")
        module = __import__(script)
        module.style.PNG_DPI = 20  # the SVG is what is looked at
        self.assertEqual(module.main([str(path), "--out", str(self.folder / name)]), 0)
        svg = self.folder / name / (script.removeprefix("plot_") + ".svg")
        return svg.read_text(encoding="utf-8") if svg.exists() else None

    def test_every_script_draws_every_run_with_its_label(self):
        for script in SCRIPTS:
            with self.subTest(script):
                svg = self.draw(script, make_curves())
                self.assertIn("nexus $grown$ &amp; &lt;co&gt;", svg)
                self.assertIn("tokenformer", svg)
                self.assertIn("#0072b2", svg)

    def test_another_workload_is_drawn_in_its_own_words(self):
        curves = make_curves()
        curves["workload"] = {"unit": "points", "loss_unit": "squared error", "headline": "loss", "symbol": "loss",
                              "loss_thousandths": "thousandths of a squared error"}
        for run in curves["runs"]:
            for saving in run["saving_curve"] + ([run["saving"]] if run["saving"] else []):
                saving["target_loss"] = math.log(saving.pop("target_ppl"))
        curves = json.loads(json.dumps(curves).replace("tokenformer", "other"))
        words = {"plot_loss_flops": ["validation loss (squared error)", "reaches loss 3.411 with", "target 3.411"],
                 "plot_compute_saved": ["target: validation loss p"],
                 "plot_loss_curves": ["points of the lineage", "training loss (squared error)"],
                 "plot_growth": ["points of the lineage", "at most 2 thousandths of a squared error"]}
        for script, texts in words.items():
            with self.subTest(script):
                svg = self.draw(script, curves)
                for text in texts:
                    self.assertIn(text, svg)
                for text in ("token", "perplexity", "ppl", "nat)", "nats"):
                    self.assertNotIn(text, svg)

    def test_further_figures_have_a_panel_each_and_none_no_picture(self):
        curves = make_curves()
        self.assertIsNone(self.draw("plot_figures", curves, "none"))
        for row in curves["runs"][0]["evals"]:
            row["figures"] = [{"name": "late_loss", "unit": "nats/token", "value": row["loss"] - 0.5, "se": 0.02, "count": 8},
                              {"name": "hits", "unit": "", "value": 3.0, "se": None, "count": 0}]
        svg = self.draw("plot_figures", curves)
        self.assertIn("late_loss (nats/token)", svg)
        self.assertIn("hits", svg)
        self.assertIn("nexus $grown$ &amp; &lt;co&gt;", svg)
        self.assertNotIn("tokenformer", svg, "it has no such figures")

    def test_title_states_the_saving_with_its_interval(self):
        svg = self.draw("plot_perplexity_flops", make_curves())
        self.assertIn("38.2 % less compute", svg)
        self.assertIn("95 % interval [35.1, 40.9]", svg)

    def test_axis_names_the_definition_of_flops(self):
        self.assertIn("gemm_causal", self.draw("plot_perplexity_flops", make_curves()))

    def test_a_run_that_does_not_compare_is_named_and_not_drawn(self):
        curves = make_curves()
        curves["runs"].append(dict(make_run("stranger", 2.0), incomparable="other tokenizer", flops_def="palm"))
        together = self.draw("plot_perplexity_flops", make_curves(), "two")
        svg = self.draw("plot_perplexity_flops", curves, "three")
        self.assertIn("stranger (other tokenizer)", svg)
        self.assertNotIn("palm", svg)
        self.assertEqual(svg.count("<path"), together.count("<path"))

    def test_a_growth_over_other_tokens_on_its_two_sides_has_no_change(self):
        curves = make_curves()
        for run in curves["runs"]:
            run["stages"][1]["growth_compares"] = False
        self.assertNotIn("thousandths", self.draw("plot_growth", curves))

    def test_growth_title_states_the_largest_change(self):
        self.assertIn("at most 2 thousandths of a nat", self.draw("plot_growth", make_curves()))

    def test_one_input_gives_one_picture_bit_for_bit(self):
        for script in SCRIPTS:
            with self.subTest(script):
                self.assertEqual(self.draw(script, make_curves(), "one"), self.draw(script, make_curves(), "two"))

    def test_nothing_is_drawn_where_there_is_nothing_to_draw(self):
        curves = make_curves()
        for run in curves["runs"]:
            run.update(evals=run["evals"][:1], train=[], saving=None, saving_curve=[], stages=run["stages"][:1])
        for script in SCRIPTS:
            with self.subTest(script):
                self.assertIsNone(self.draw(script, curves))

    def test_missing_numbers_are_survived(self):
        curves = make_curves()
        curves["runs"][0]["evals"][3].update(loss=None, loss_se=None)
        curves["runs"][0]["train"][0]["loss"] = None
        curves["runs"][0]["saving"]["low"] = None
        curves["runs"][0]["saving_curve"][0]["low"] = None
        for script in SCRIPTS:
            with self.subTest(script):
                self.assertIsNotNone(self.draw(script, curves))

    def test_a_study_is_drawn_with_differences_curves_and_swept_values(self):
        svg = self.draw("plot_study", make_study())
        for text in ("swept $1$ at 2e-3", "plain &lt;arm&gt;", "-0.1000", "0.002", "Loss against compute", "Swept keys"):
            self.assertIn(text, svg)
        self.assertEqual(svg, self.draw("plot_study", make_study(), "again"))

    def test_the_ring_marks_the_value_that_the_report_has_chosen(self):
        points = [(1e-3, 3.4, None, None), (2e-3, 3.3, None, None)]
        self.assertEqual(__import__("plot_study").chosen_point(points, {"value": "1e-3"}), points[0])

    def test_a_study_without_sweep_or_pairs_is_drawn_and_one_without_losses_is_not(self):
        study = make_study()
        study.update(swept=[], groups=study["groups"][:1])
        svg = self.draw("plot_study", study)
        self.assertNotIn("Swept keys", svg)
        self.assertNotIn("Differences", svg)
        study["groups"][0]["curves"] = [{"seed": 1, "tokens": [0], "flops": [0.0], "loss": [9.0]}]
        self.assertIsNone(self.draw("plot_study", study, "none"))

    def test_a_foreign_file_is_refused(self):
        with self.assertRaises(SystemExit):
            self.draw("plot_study", make_curves())
        with self.assertRaises(SystemExit):
            self.draw("plot_growth", {"format": "something else", "runs": []})


if __name__ == "__main__":
    python = find_python()
    if python is None:
        print("no python3 with matplotlib")
        sys.exit(77)
    if python != sys.executable:
        os.execv(python, [python] + sys.argv)
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(ANALYSIS))
    unittest.main()
