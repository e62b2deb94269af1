#!/usr/bin/env bash
# Which learning rates the quick start's campaigns should have: trains each of them at several rates, and each rate in several
# forms that are the same mathematics (one rank, two ranks, f64) and with other seeds. A rate is fit for a headline where the
# forms end within half a standard error of each other.
#
#   tests/bench/quickstart_rates.sh OUT RATE...        e.g.  tests/bench/quickstart_rates.sh runs/rates 5e-4 1e-3
#
# NEXUS      the program (build/nexus)     CAMPAIGNS  of configs/campaigns/quickstart-*.yaml (all four)
# FORMS      of r1 r2 f64 s2 s3 (r1 r2 f64: one rank, two ranks, one rank in f64; s2, s3: other seeds)
# DATA       prefix of the quick start's token files (runs/quickstart/data/perl)     JOBS  at once (one per core)
#
# Prints one line per training: campaign, rate, form, final loss, its standard error. Trainings that exist are not repeated.
set -euo pipefail
cd "$(dirname "$0")/../.."

out=$1
rates=("${@:2}")
read -r -a campaigns <<<"${CAMPAIGNS:-nexus-grown nexus-scratch tokenformer-grown transformer-scratch}"
read -r -a forms <<<"${FORMS:-r1 r2 f64}"
jobs=${JOBS:-$(nproc)}  # before OMP_NUM_THREADS, which nproc believes
export NEXUS=${NEXUS:-build/nexus} DATA=${DATA:-runs/quickstart/data/perl} OUT_FOLDER=$out OMP_NUM_THREADS=1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# shellcheck disable=SC2317  # called through xargs
train() {
  local campaign=$1 rate=$2 form=$3 stage
  local run=$OUT_FOLDER/$campaign-$rate-$form file=configs/campaigns/quickstart-$campaign.yaml
  local options=(--out "$run" -s "data.train.0.path=$DATA-train" -s "data.valid=$DATA-valid" -s "tokenizer.path=$DATA.model"
    -s "checkpoint.every=never")
  for ((stage = 0; stage < $(grep -c 'name: .*tokens:\|^  - name:' "$file"); ++stage)); do
    options+=(-s "stages.$stage.lr.peak=$rate")
  done
  local launch=()
  case $form in
    r2) launch=(mpirun -q -n 2 --oversubscribe --bind-to none --mca mpi_yield_when_idle 1) ;;
    f64) options+=(-s precision.compute=f64) ;;
    s2) options+=(-s seed=2) ;;
    s3) options+=(-s seed=3) ;;
  esac
  if ! grep -q '^done' "$run/STATUS" 2>/dev/null; then
    mkdir -p "$OUT_FOLDER"
    "${launch[@]}" "$NEXUS" train "$file" "${options[@]}" >"$run.log" 2>&1 || echo "$campaign $rate $form FAILED: $(tail -n 1 "$run.log")"
  fi
  python3 - "$campaign" "$rate" "$form" "$run/eval.jsonl" <<'PYTHON'
import json, sys
campaign, rate, form, path = sys.argv[1:]
row = json.loads(open(path).readlines()[-1])
print(f"{campaign:20s} {rate:7s} {form:4s} loss {row['loss']:.4f} se {row.get("se", row.get("loss_se", 0)):.4f}", flush=True)
PYTHON
}
export -f train

for rate in "${rates[@]}"; do
  for campaign in "${campaigns[@]}"; do
    for form in "${forms[@]}"; do printf '%s %s %s\n' "$campaign" "$rate" "$form"; done
  done
done | xargs -P "$jobs" -L 1 bash -c 'train "$@"' _
