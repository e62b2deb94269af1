#!/usr/bin/env bash
# Everything that only a machine with NVIDIA GPUs can show, part by part:
#
#   tests/bench/gpu_session.sh [build] [test] [bench] [peer] [nccl] [sanitize]        (default: build test bench peer)
#
# build     configures and builds the program and the GPU tests
# test      ctest -L gpu
# bench     training steps of configs/bench/gpu-*.yaml in several sizes of micro-batch, by families of operations
# peer      the same step against PyTorch, compiled and eager, in turn
# nccl      the tests of several ranks, then training steps on all grids that the visible GPUs make
# sanitize  memcheck, racecheck and synccheck of compute-sanitizer on the tests of our kernels
#
# BUILD      build folder (build-gpu)             OUT           folder for logs and figures ($BUILD/session)
# CUDA_ARCH  architecture (90a)                   TORCH_PYTHON  a Python that can import torch (python3)
# CMAKE_ARGS further arguments of the configure step, separated by spaces
#
# Every part's output goes into a log; short tables come last. A part that fails does not stop the others.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/../../scripts/common.sh"
cd "$root"

build=${BUILD:-build-gpu}
out=${OUT:-$build/session}
nexus=$build/nexus
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

visible_gpus() { nvidia-smi --list-gpus 2>/dev/null | grep -c '^GPU' || true; }

# --- parts. They run as conditions, and there an error does not stop a function: each one is caught by hand.
part_build() {
  local more=()
  read -r -a more <<<"${CMAKE_ARGS:-}"
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DNEXUS_CUDA=ON \
    -DCMAKE_CUDA_ARCHITECTURES="${CUDA_ARCH:-90a}" "${more[@]}" &&
    cmake --build "$build" -j "$(build_jobs)" --target nexus gpu_tests
}

part_test() { ctest --test-dir "$build" --no-tests=error -L '^gpu$' --output-on-failure; }

# bench NAME ARGUMENTS...: text into the log, figures into NAME.json.
bench() {
  local name=$1 config=$2
  shift 2
  echo "--- $name"
  "$nexus" bench step "configs/bench/$config.yaml" --device cuda --steps 10 --warmup 3 --out "$out/bench-$name.json" "$@"
}

part_bench() {
  local failed=0
  bench gpu-250m gpu-250m --micro 4,8,16,32 || failed=1
  bench gpu-431m gpu-431m --micro 4,8,16 || failed=1
  return "$failed"
}

part_peer() {
  local failed=0 shape
  for shape in gpu-250m gpu-431m; do
    echo "--- $shape"
    python3 tests/bench/compare_with_torch.py "$nexus" --device cuda --config "configs/bench/$shape.yaml" --rounds 3 \
      --steps 10 --eager --torch-python "${TORCH_PYTHON:-python3}" --out "$out/peer-$shape.json" || failed=1
  done
  return "$failed"
}

# The tokens of a step grow with the data-parallel ranks: what is measured is the cost of the exchange, not of smaller
# batches. A grid's tensor-parallel ranks share the batch of one.
bench_grid() {
  local dp=$1 tp=$2
  echo "--- dp $dp tp $tp"
  mpirun -q -n $((dp * tp)) --bind-to none "$nexus" bench step configs/bench/gpu-250m.yaml --device cuda --steps 10 \
    --warmup 3 --out "$out/bench-dp$dp-tp$tp.json" -s "parallel.dp=$dp" -s "parallel.tp=$tp" \
    -s "batch.global_tokens=$((dp * 131072))"
}

part_nccl() {
  local failed=0 gpus ranks
  gpus=$(visible_gpus)
  if ((gpus < 2)); then
    echo "skipped: $gpus GPU is visible, several ranks need one each"
    return 0
  fi
  ctest --test-dir "$build" --no-tests=error -L '^gpu$' -R 'nccl|grids|2x1' --output-on-failure || failed=1
  bench_grid 1 1 || failed=1
  for ranks in 2 4 8; do
    ((ranks <= gpus)) || continue
    bench_grid "$ranks" 1 || failed=1
    bench_grid $((ranks / 2)) 2 || failed=1
  done
  return "$failed"
}

# sanitized TOOL FILTER: libraries probe the device with calls that are allowed to fail, so only kernels are judged.
sanitized() {
  echo "--- $1, tests $2"
  compute-sanitizer --tool "$1" --report-api-errors no --error-exitcode 1 "$build/tests/gpu/test_gpu_operations" \
    --gtest_brief=1 --gtest_filter="$2"
}

# Not the libraries' kernels: matrix products and attention in bf16 are theirs.
part_sanitize() {
  local failed=0 kernels='*NormGelu*:*Gate*:*RowNorm*:*Loss*:*Optimizer*:*Rope*:*Attention*f32*'
  local not_ours='*Refused*:*Refuses*:*Slope*:*f64*'
  if ! command -v compute-sanitizer >/dev/null; then
    echo "skipped: compute-sanitizer is not installed (it comes with the CUDA toolkit)"
    return 0
  fi
  sanitized memcheck "$kernels:*Elementwise*:*CopyMatrix*-$not_ours" || failed=1
  sanitized racecheck "$kernels-$not_ours" || failed=1
  sanitized synccheck "$kernels-$not_ours" || failed=1
  return "$failed"
}

# --- what of a part's log is worth seeing at once
brief() {
  case $1 in
    build) tail -n 1 ;;
    test) grep -E '^[0-9]+% tests passed|\*\*\*|\((Failed|Timeout|Not Run|SEGFAULT|Child aborted)\)|Total Test time' ;;
    nccl) grep -E '^[0-9]+% tests passed|\((Failed|Timeout|Not Run)\)|^skipped|^---|^speed|^time|^outside|^step ' ;;
    peer) grep -vE '^round' ;;
    sanitize) grep -E '^---|^skipped|SUMMARY|PASSED|FAILED|^=+ (Error|Warning|Invalid|Race)' | head -n 40 ;;
    *) cat ;;
  esac || true
}

part() {
  case $1 in
    build) part_build ;;
    test) part_test ;;
    bench) part_bench ;;
    peer) part_peer ;;
    nccl) part_nccl ;;
    sanitize) part_sanitize ;;
  esac
}

run_part() {
  local name=$1 start=$SECONDS log=$out/$1.log
  say "$name"
  if part "$name" >"$log" 2>&1; then
    results+=("$name: done in $((SECONDS - start)) s")
  else
    results+=("$name: FAILED after $((SECONDS - start)) s, see $log")
    failures=1
    tail -n 40 "$log"
  fi
}

parts=("$@")
((${#parts[@]} > 0)) || parts=(build test bench peer)
for name in "${parts[@]}"; do
  [[ $name =~ ^(build|test|bench|peer|nccl|sanitize)$ ]] ||
    fail "unknown part $name" "tests/bench/gpu_session.sh" "use build, test, bench, peer, nccl or sanitize"
done
mkdir -p "$out"
results=()
failures=0
for name in "${parts[@]}"; do run_part "$name"; done

say "results"
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv,noheader 2>/dev/null || true
for name in "${parts[@]}"; do
  say "$name"
  brief "$name" <"$out/$name.log"
done
printf '\n'
printf '%s\n' "${results[@]}"
exit "$failures"
