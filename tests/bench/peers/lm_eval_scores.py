"""lm-evaluation-harness on a Hugging Face folder and local task files, for tests/bench/compare_with_lm_eval.py.

usage: lm_eval_scores.py --model FOLDER --tasks FOLDER --names a,b --device cuda --batch 64 --dtype float32 --out FOLDER

Writes NAME.jsonl of every task (log-likelihoods of the choices, whether each is what the model would have said, whether the item counts as
correct) and seconds.json, the time of the evaluation without that of loading the model.
"""
import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

parser = argparse.ArgumentParser()
for option in ("model", "tasks", "names", "device", "batch", "dtype", "out"):
    parser.add_argument(f"--{option}", required=True)
arguments = parser.parse_args()

import lm_eval  # noqa: E402
from lm_eval.models.huggingface import HFLM  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

batch = arguments.batch if not arguments.batch.isdigit() else int(arguments.batch)
model = HFLM(pretrained=arguments.model, device=arguments.device, dtype=arguments.dtype, batch_size=batch, add_bos_token=True,
             trust_remote_code=True)
start = time.perf_counter()
names = arguments.names.split(",")
answer = lm_eval.simple_evaluate(model=model, tasks=[f"local_{name}" for name in names], num_fewshot=0, log_samples=True, bootstrap_iters=0,
                                 task_manager=TaskManager(include_path=arguments.tasks, include_defaults=False))
seconds = time.perf_counter() - start
out = Path(arguments.out)
out.mkdir(parents=True, exist_ok=True)
for name in names:
    with (out / f"{name}.jsonl").open("w") as file:
        for sample in sorted(answer["samples"][f"local_{name}"], key=lambda sample: sample["doc_id"]):
            scores = [response[0] if isinstance(response[0], (list, tuple)) else response for response in sample["resps"]]
            file.write(json.dumps({"loglikelihoods": [float(score[0]) for score in scores], "greedy": str(scores[0][1]) == "True",
                                   "correct": float(sample["acc"])}) + "\n")
(out / "seconds.json").write_text(json.dumps(seconds))
