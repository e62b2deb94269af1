# shellcheck shell=bash
# Shared by the scripts that test: source it, do not run it. Steps that do not need each other all run, whichever fails; the summary
# at the end says which did, and how long each took.
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
summary=()
status=0
started=$(mktemp)
trap 'rm -f "$started"' EXIT

# step NAME COMMAND...: runs the command and notes verdict and seconds; false if it failed.
step() {
  local name=$1 start=$SECONDS verdict=ok
  say "$name"
  "${@:2}" || { verdict=FAILED && status=1; }
  summary+=("$(printf '%-7s %5d s  %s' "$verdict" $((SECONDS - start)) "$name")")
  [[ $verdict == ok ]]
}

# skip REASON: a line of the summary for what was not run.
skip() { summary+=("$(printf '%-7s %5s    %s' skipped '' "$1")"); }

# run_tests PRESET CTEST_ARGUMENT...: two tests more at a time than there are cores, as most of them wait most of the time.
run_tests() {
  mkdir -p "$root/build"
  ctest --preset "$1" --parallel $(($(nproc) + 2)) --output-junit "$root/build/ctest-$1.xml" "${@:2}"
}

# Prints what failed, at the end where whoever keeps only the end of a log finds it, then the summary, and ends the script.
finish() {
  if ((status != 0)); then
    say "What failed in $(basename "$0")"
    find "$root/build" -maxdepth 1 -name 'ctest-*.xml' -newer "$started" -exec "$root/scripts/failed-tests" {} +
  fi
  say "Summary of $(basename "$0")"
  printf '%s\n' "${summary[@]}"
  if ((status == 0)); then echo "all passed in $SECONDS s"; else echo "something FAILED: see above"; fi
  exit "$status"
}
