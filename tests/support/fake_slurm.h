// Slurm's commands as small scripts, first in PATH: they record how they are called and answer from files.
#pragma once

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/files.h"
#include "core/json_text.h"
#include "records/lease_record.h"
#include "support/temp_folder.h"

namespace nexus {

using Call = std::vector<std::string>;  // the program's name and its arguments

// A generation as RUN/lease/ keeps it.
inline void write_lease(const std::string& run, int generation, const std::string& job, int restart, int ranks = 1,
                        double seconds = 0, const std::optional<LaunchEnd>& end = std::nullopt) {
  std::filesystem::create_directories(run + "/lease");
  LeaseRecord record;
  record.generation = generation;
  record.host = "n1";
  record.machine = "m";
  record.pid = record.start_ticks = 1;
  record.job = {job, restart};
  record.ranks = ranks;
  record.seconds = seconds;
  record.found = 0;
  record.released = true;
  record.end = end;
  write_file_durably(fmt::format("{}/lease/{:06}.json", run, generation), json_text(to_json(record)));
}

// Files in `folder`: `queue` is what squeue prints; sbatch fails at its N-th call where `fail_at` holds N, and runs
// `after_sbatch` (bash, $n is N) when the job is queued and not yet answered; while there is `down`, nothing answers,
// and while there is `NAME_down`, NAME does not; scontrol fails at its first calls, as often as `scontrol_failures`
// says; `hostnames` is what `scontrol show hostnames` prints of a list with brackets; `nodes` is what sinfo prints.
class FakeSlurm {
 public:
  FakeSlurm() : path_before_(std::getenv("PATH")) {
    std::filesystem::create_directory(bin());
    const std::string head =
        "#!/bin/bash\nF='" + folder.path() +
        "'\nprintf '%s\\0' \"${0##*/}\" \"$@\" $'\\n' >>\"$F/calls\"\n"
        "[[ ! -e $F/down && ! -e $F/${0##*/}_down ]] || { echo 'Unable to contact slurm controller' >&2; exit 1; }\n";
    program("sbatch", head + R"sh(
n=$(($(cat "$F/count" 2>/dev/null || echo 0) + 1)); echo $n >"$F/count"
[[ $n != "$(cat "$F/fail_at" 2>/dev/null)" ]] || { echo 'sbatch: error: QOSMaxSubmitJobPerUserLimit' >&2; exit 1; }
for word; do [[ $word != --comment=* ]] || comment=${word#--comment=}; done
echo "$((100 + n))|PENDING|Dependency|0:00|1:00:00|N/A||(null)|$comment" >>"$F/queue"
[[ ! -e $F/after_sbatch ]] || . "$F/after_sbatch"
echo $((100 + n))
)sh");
    program("squeue", head + "cat \"$F/queue\" 2>/dev/null || true\n");
    program("sinfo", head + "cat \"$F/nodes\" 2>/dev/null || true\n");
    program("scancel", head + R"sh(
for id; do [[ $1 == --signal* ]] || sed -i "s/^$id|[A-Z]*|/$id|CANCELLED|/" "$F/queue"; done
)sh");
    program("scontrol", head + R"sh(
[[ "$1 $2" != 'show hostnames' || $3 == *[* ]] || { tr , '\n' <<<"$3"; exit 0; }
[[ "$1 $2" != 'show hostnames' ]] || { cat "$F/hostnames"; exit 0; }
n=$(cat "$F/scontrol_failures" 2>/dev/null || echo 0)
((n == 0)) || { echo $((n - 1)) >"$F/scontrol_failures"; echo 'Unable to contact slurm controller' >&2; exit 1; }
[[ $1 != requeue ]] || sed -i "s/^$2|[A-Z]*|/$2|PENDING|/" "$F/queue"
)sh");
    for (const char* name : {"srun", "mpirun", "module", "nexus"}) program(name, head + "exit 0\n");
    ::setenv("PATH", (bin() + ":" + path_before_).c_str(), 1);
  }
  ~FakeSlurm() { ::setenv("PATH", path_before_.c_str(), 1); }

  std::string bin() const { return folder / "bin"; }

  void program(const std::string& name, const std::string& text) const {
    write_file_durably(bin() + "/" + name, text);
    ::chmod((bin() + "/" + name).c_str(), 0755);
  }
  void file(const std::string& name, const std::string& text) const { write_file_durably(folder / name, text); }

  // All calls so far; of `program` only, if one is named.
  std::vector<Call> calls(const std::string& program = "") const {
    std::vector<Call> calls;
    Call call;
    std::string word;
    for (const char c : path_exists(folder / "calls") ? read_text_file(folder / "calls") : "") {
      if (c != '\0') {
        word += c;
        continue;
      }
      if (word != "\n") call.push_back(word);
      if (word == "\n" && (program.empty() || call[0] == program)) calls.push_back(call);
      if (word == "\n") call.clear();
      word.clear();
    }
    return calls;
  }
  void forget_calls() const { std::filesystem::remove(folder / "calls"); }

  TempFolder folder;

 private:
  std::string path_before_;
};

}  // namespace nexus
