// A study as plain data: a question about recipes, growth or architectures, stated as arms that are trained under the
// same seeds (docs/studies.md). `config/study.h` reads it from a file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nexus {

// One way to train, once per seed.
struct StudyArm {
  std::string name;
  std::string base;              // campaign file
  std::optional<size_t> parent;  // the arm whose final checkpoint of the same seed it starts from; it stands before
  bool compared = true;          // false: others start from it, and that is all
  // KEY=VALUE upon the base, in order: what it has of its parent (all but stages), then its own.
  std::vector<std::string> assignments;
  std::string swept{}, value{};  // of a sweep: the name of the arm that was swept, and the value of its key
  const std::string& group() const { return swept.empty() ? name : swept; }
};

struct StudySpec {
  std::string name, question;
  std::string out;  // folder of the runs and the report
  std::vector<uint64_t> seeds;
  std::vector<StudyArm> arms;
  std::string baseline;  // the group that the others are compared with
  std::string device = "cpu";
  int64_t ranks = 1;    // of a run
  int64_t at_once = 1;  // runs at a time
  // Standard deviation over seeds of the paired difference of two arms, in the loss's unit, for the power of the study
  // before it is run.
  std::optional<double> noise;
};

// A run of it: one arm under one seed.
struct StudyRun {
  size_t arm = 0;
  uint64_t seed = 0;
  std::optional<size_t> parent;  // in the list of runs; it stands before
  std::string folder;            // OUT/ARM/seed-N
};

// By arms, then seeds: every run after the one that it starts from.
std::vector<StudyRun> runs_of(const StudySpec& study);

// "zero_rows seed 2".
std::string name_of(const StudySpec& study, const StudyRun& run);

}  // namespace nexus
