// RUN/run.json: who a run is, made once, with a line added for every launch. What a nexus does not know in it, it
// keeps.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/run_folder.h"
#include "records/launch_mark.h"
#include "records/workload_words.h"

namespace nexus {

// One launch: what it ran with.
struct LaunchFacts {
  std::string version, backend, mpi, grid, host, config_digest, command;
  int64_t pid = 0;
  LaunchMark mark;
  double time = 0;  // Unix seconds
};

class RunDescription {
 public:
  // Of a new run.
  explicit RunDescription(const std::string& run_id);
  // Nothing where there is no file. Throws ErrorKind::kData where it is no JSON object.
  static std::optional<RunDescription> read(const RunFolder& run);

  // Whether it has what every run.json of nexus has: id and launches.
  bool is_complete() const;
  // Texts are "" where they are not told.
  std::string run_id() const { return text("run_id"); }
  std::string name() const { return text("name"); }
  std::string arch() const { return text("arch"); }
  std::string flops_def() const { return text("flops_def"); }
  std::string init_from() const { return text("init_from"); }  // a checkpoint
  // Throws ErrorKind::kData where they are malformed. Of text where an older nexus has written it.
  WorkloadWords words() const;
  // The highest that a launch has recorded; 0: none has.
  int64_t highest_generation() const;

  // What the newest launch says of the whole run. `data`: campaign/launch_data.h.
  void describe(const std::string& name, const WorkloadWords& words, const std::string& arch, uint64_t seed,
                const std::string& flops_def, const std::string& init_from, const nlohmann::json& data);
  // Returns in what it differs from the launch before, where that may change bits: "grid (dp 2 tp 1, was dp 1 tp 1)".
  std::vector<std::string> add_launch(const LaunchFacts& facts);

  const nlohmann::json& document() const { return document_; }
  void write(const RunFolder& run) const;  // durably

 private:
  RunDescription() = default;
  std::string text(const char* key) const;

  std::string place_ = "run.json";  // the file, where it was read
  nlohmann::json document_;
};

}  // namespace nexus
