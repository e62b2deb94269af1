# shellcheck shell=bash
# Shared by the scripts in this folder: source it, do not run it.
# shellcheck disable=SC2034  # for the scripts that source this file
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '\n== %s\n' "$*"; }

# fail WHAT WHERE CURE: the project's one error style.
fail() {
  printf 'nexus: error: %s; %s; %s\n' "$@" >&2
  exit 1
}

# The smaller of two byte counts; "max" (a cgroup without a limit) is larger than everything.
smaller() {
  if [[ $2 == max || $1 -le $2 ]]; then echo "$1"; else echo "$2"; fi
}

# Compilers to run at once: every core, but 1.5 GiB of memory each (the largest translation unit needs about 1 GiB).
build_jobs() {
  local bytes limit jobs
  bytes=$(($(awk '/^MemAvailable:/ {print $2}' /proc/meminfo) * 1024))
  limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || echo max)
  jobs=$(($(smaller "$bytes" "$limit") / (1536 * 1024 * 1024)))
  jobs=$(smaller "$jobs" "$(nproc)")
  echo $((jobs > 0 ? jobs : 1))
}
