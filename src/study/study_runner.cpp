#include "study/study_runner.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <list>
#include <thread>
#include <utility>

#include "campaign/launch_liveness.h"
#include "config/study.h"
#include "core/error.h"
#include "core/files.h"
#include "core/log.h"
#include "core/units.h"
#include "records/status_record.h"
#include "study/study_jobs.h"
#include "study/study_status.h"
#include "system/child_process.h"
#include "system/clock.h"
#include "system/environment.h"
#include "train/stop_requests.h"

namespace nexus {
namespace {

constexpr double kPoll = 0.05;
constexpr int kMostStarts = 3;         // of one run, where the trouble may pass
constexpr int kSaveAndStop = SIGUSR2;  // mpirun passes it on

bool may_pass(int code) {
  return code == to_int(ExitCode::kTransient) || code == to_int(ExitCode::kHardware) || code > 128;
}

// What a run that failed has said last: of nexus its one line of error.
std::string last_words(const std::string& log) {
  std::ifstream file(log);
  std::string line, last;
  while (std::getline(file, line))
    if (!line.empty()) last = line;
  return last;
}

class StudyLoop {
 public:
  StudyLoop(const StudySpec& study, const StudyLaunch& launch)
      : study_(study),
        launch_(launch),
        runs_(runs_of(study)),
        progress_(runs_.size()),
        requests_(RunFolder{study.out}, true, launch.stop_seconds) {}

  ExitCode run() {
    while (true) {
      collect_ended();
      if (!stopping_ && requests_.poll().stop) stop();
      earlier_ = 0;
      if (!stopping_) start_what_fits();
      if (running_.empty() && earlier_ == 0) break;
      sleep_seconds(kPoll);
    }
    requests_.clear_stop_request();
    return end();
  }

 private:
  enum class Stand { kWaiting, kRunning, kDone, kFailed, kStopped };
  struct Progress {
    Stand stand = Stand::kWaiting;
    int starts = 0, code = 0;
    bool waited = false;     // for an earlier launch of it to end
    std::string campaign{};  // as nexus trains it; empty: not known yet
  };
  struct Running {
    size_t run;
    int slot;  // which of the `at_once` places it has
    ChildProcess process;
  };

  // --- starting
  void start_what_fits() {
    for (size_t i = 0; i < runs_.size(); ++i) {
      if (static_cast<int64_t>(running_.size()) + earlier_ >= study_.at_once) return;
      if (progress_[i].stand != Stand::kWaiting) continue;
      if (runs_[i].parent) {
        const Stand parent = progress_[*runs_[i].parent].stand;
        if (parent == Stand::kFailed) fail_for_parent(i);
        if (parent != Stand::kDone) continue;
      }
      if (is_wanted(i)) {
        if (lives(i))
          ++earlier_;
        else
          start(i);
      }
    }
  }

  void fail_for_parent(size_t i) {
    progress_[i].stand = Stand::kFailed;
    progress_[i].code = progress_[*runs_[i].parent].code;
    log("{} | not trained: {} failed", name_of(study_, runs_[i]), name_of(study_, runs_[*runs_[i].parent]));
  }

  // Whether something of the run is left to do; fills in its campaign.
  bool is_wanted(size_t i) {
    const StudyRun& run = runs_[i];
    std::string& campaign = progress_[i].campaign;
    if (campaign.empty()) campaign = campaign_of(study_, run).resolved_yaml;
    if (!is_done(study_, run)) return true;
    progress_[i].stand = Stand::kDone;
    return false;
  }

  void start(size_t i) {
    const StudyRun& run = runs_[i];
    std::filesystem::create_directories(std::filesystem::path(run.folder).parent_path());
    write_file_durably(run.folder + ".yaml", progress_[i].campaign);
    const int slot = free_slot();
    running_.push_back({i, slot, ChildProcess(words(run), variables(slot), run.folder + ".log", kSaveAndStop)});
    progress_[i].stand = Stand::kRunning;
    ++progress_[i].starts;
    log("{} | {}", name_of(study_, run), progress_[i].starts > 1 ? "started again" : "started");
  }

  // A launch of it whose runner was killed is given time to save and to end.
  bool lives(size_t i) {
    const std::optional<StatusRecord> status = read_status(RunFolder{runs_[i].folder});
    if (!status || status->end || launches_gone({RunFolder{runs_[i].folder}})[0]) return false;
    if (!std::exchange(progress_[i].waited, true))
      log("{} | waits for an earlier launch of it to end", name_of(study_, runs_[i]));
    return true;
  }

  int free_slot() const {
    int slot = 0;
    while (std::ranges::any_of(running_, [&](const Running& each) { return each.slot == slot; })) ++slot;
    return slot;
  }

  std::vector<std::string> words(const StudyRun& run) const {
    std::vector<std::string> words;
    if (study_.ranks > 1) {
      words = {"mpirun", "-q", "-n", fmt::format("{}", study_.ranks), "--oversubscribe", "--bind-to", "none"};
      // Containers often forbid one rank to read another's memory.
      words.insert(words.end(), {"--mca", "btl", "self,vader", "--mca", "btl_vader_single_copy_mechanism", "none"});
      if (::geteuid() == 0) words.emplace_back("--allow-run-as-root");
    }
    words.insert(words.end(), {launch_.program, "train", run.folder + ".yaml", "--device", study_.device});
    return words;
  }

  // Of the machine each run has its share: of the cores, and of the GPUs in turn.
  std::map<std::string, std::string> variables(int slot) const {
    std::map<std::string, std::string> variables;
    const auto ranks = study_.at_once * study_.ranks;
    const auto cores = static_cast<int64_t>(std::max(1u, std::thread::hardware_concurrency()));
    if (environment("OMP_NUM_THREADS").empty())
      variables["OMP_NUM_THREADS"] = fmt::format("{}", std::max<int64_t>(1, cores / ranks));
    if (study_.device == "cuda" && launch_.gpus > 1) {
      std::vector<int64_t> mine;
      for (int64_t r = 0; r < std::min<int64_t>(study_.ranks, launch_.gpus); ++r)
        mine.push_back((slot * study_.ranks + r) % launch_.gpus);
      variables["CUDA_VISIBLE_DEVICES"] = fmt::format("{}", fmt::join(mine, ","));
    }
    return variables;
  }

  // --- ending
  void collect_ended() {
    for (auto each = running_.begin(); each != running_.end();) {
      const std::optional<int> code = each->process.poll();
      if (!code) {
        ++each;
        continue;
      }
      const size_t run = each->run;
      each = running_.erase(each);
      note_end(run, *code);
    }
  }

  void note_end(size_t i, int code) {
    Progress& progress = progress_[i];
    const std::string name = name_of(study_, runs_[i]);
    progress.code = code;
    if (code == 0) {
      progress.stand = Stand::kDone;
      log("{} | done | {} of {}", name, std::ranges::count(progress_, Stand::kDone, &Progress::stand), runs_.size());
    } else if (code == to_int(ExitCode::kStopped) || stopping_) {
      progress.stand = Stand::kStopped;
      log("{} | stopped", name);
    } else if (may_pass(code) && progress.starts < kMostStarts) {
      progress.stand = Stand::kWaiting;
      log("{} | ended with {}, is tried again | {}.log", name, code, runs_[i].folder);
    } else {
      progress.stand = Stand::kFailed;
      log("{} | failed with {} | {}.log | {}", name, code, runs_[i].folder, last_words(runs_[i].folder + ".log"));
    }
  }

  void stop() {
    stopping_ = true;
    log("study {} stops: {} | {} runs save first", study_.name, requests_.reason(), running_.size());
    for (Running& each : running_) each.process.send(kSaveAndStop);
  }

  ExitCode end() const {
    const auto failed = std::ranges::find(progress_, Stand::kFailed, &Progress::stand);
    const auto done = std::ranges::count(progress_, Stand::kDone, &Progress::stand);
    log("study {} | {} of {} runs done", study_.name, done, runs_.size());
    if (failed != progress_.end()) return static_cast<ExitCode>(failed->code);
    return done == static_cast<std::ptrdiff_t>(runs_.size()) ? ExitCode::kDone : ExitCode::kStopped;
  }

  const StudySpec& study_;
  const StudyLaunch& launch_;
  std::vector<StudyRun> runs_;
  std::vector<Progress> progress_;
  StopRequests requests_;
  std::list<Running> running_;
  int64_t earlier_ = 0;  // launches of a runner that was killed, which have a place until they have saved
  bool stopping_ = false;
};

}  // namespace

FileDescriptor lock_study(const std::string& out) {
  std::filesystem::create_directories(out);
  const std::string path = out + "/.study-lock";
  FileDescriptor lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!lock.is_open()) throw_errno("open", path);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
    throw Error(ErrorKind::kConfig, "another `nexus study run`, or a submission, works on this study", out,
                "watch it with `nexus study status`, or stop it with a file STOP in that folder");
  return lock;
}

ExitCode run_study(const StudySpec& study, const StudyLaunch& launch) {
  const FileDescriptor lock = lock_study(study.out);
  require_no_jobs(study);
  return StudyLoop(study, launch).run();
}

}  // namespace nexus
