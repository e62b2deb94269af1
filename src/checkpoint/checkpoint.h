// Checkpoints: HDF5 shards in logical coordinates, a state, and a manifest written last (docs/checkpoints.md).
//
//   RUN/checkpoints/STAGE/0001840/ { shard-0000.h5 ..., state.json, MANIFEST.json }
//
// Commit: every writer fills its shard in STAGE/0001840.tmp-GENERATION-ID/, digests computed from memory, closes it,
// reads it back, fsyncs; ranks agree; rank 0 writes state.json and MANIFEST.json and fsyncs; the folder is renamed; its
// parent is fsynced. A folder without the manifest, or whose manifest does not verify, is not a checkpoint. LATEST is a
// hint only.
//
// This module speaks tensors by name and logical coordinates; it knows neither models nor optimizers.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "core/run_folder.h"
#include "tensor/box.h"

namespace nexus {

// A box of a logical tensor (any rank >= 1, no empty extent), f32 or f64, its elements contiguous in host memory, row
// by row. A slice whose box is empty is left out.
struct TensorSlice {
  std::string name;  // "master/layers.0.attn.q.w_m", "moment1/...", [A-Za-z0-9._-/]
  DType dtype = DType::kF32;
  Shape shape;  // of the whole logical tensor
  Box box;
  const void* host = nullptr;
  bool must_be_finite = false;  // the save fails, with kNumeric, where a value is not
};

// What a checkpoint is of; part of the manifest and checked on reading.
struct CheckpointId {
  std::string run_id;  // random, made once per run folder; a safe name (core/run_folder.h), like the stage
  std::string stage;
  int64_t step = 0;
};

// Throws (ErrorKind::kFenced) if this process is no longer the run's writer.
using Fence = std::function<void()>;

struct SaveResult {
  std::string path;
  int64_t size_bytes = 0;
  double seconds = 0;
};

// Collective over `comm`: every rank passes the slices it holds (a rank without any writes no shard); together they
// must cover each tensor exactly once. `state` (rank 0's counts) is any JSON document; the trainer owns its meaning,
// except that this module shows state.tokens and never prunes a checkpoint whose state.pinned is true. A checkpoint of
// the same step is replaced, in one atomic exchange where the file system has it (Linux local ones do). Throws on every
// rank if any rank fails; the unfinished folder is removed as far as possible, older checkpoints are intact.
// checkpoint/pending_save.h does the same in two halves, with the writing in the background.
SaveResult save_checkpoint(Communicator& comm, const RunFolder& run, const CheckpointId& id,
                           const std::vector<TensorSlice>& slices, const nlohmann::json& state);

// An opened, verified checkpoint. One thread at a time.
class Checkpoint {
 public:
  struct TensorInfo {
    DType dtype = DType::kF32;
    Shape shape;
  };
  // Verifies the manifest and, unless `verify_data` is false, every file's digest before HDF5 opens it. A folder that
  // is named like a step (and lies under checkpoints/STAGE) must be of that step (and stage). Throws
  // ErrorKind::kCheckpoint with the file and what is wrong with it; kIo if it cannot be read, after some tries.
  explicit Checkpoint(const std::string& path, bool verify_data = true);
  ~Checkpoint();
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;

  // Compares the digest of every file number part, part + parts, ... of the manifest and examines its datasets, as the
  // constructor does for all. Throws like it. For ranks that share the work.
  void verify(int part = 0, int parts = 1) const;
  // Throws kNumeric naming the first tensor of those files that holds a value that is not finite: such a checkpoint is
  // intact, and nobody can train on from it.
  void require_finite(int part = 0, int parts = 1) const;

  const std::string& path() const;
  const CheckpointId& id() const;
  int64_t sequence() const;  // order of commits within the run, from 1
  const nlohmann::json& state() const;
  const nlohmann::json& manifest() const;
  std::vector<std::string> tensor_names() const;  // sorted
  bool contains(const std::string& name) const;
  const TensorInfo& info(const std::string& name) const;  // throws kCheckpoint if absent
  int64_t size_bytes() const;
  std::vector<std::string> extra_files() const;  // in the folder, but not in the manifest
  // Throws kCheckpoint if this is a checkpoint of another run.
  void require_run(const std::string& run_id) const;
  // The elements of `box`, row by row, into `host`, from whatever boxes were written. Checks the digest of every slice
  // whose bytes all pass by.
  void read(const std::string& name, const Box& box, void* host) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// One row of `nexus ckpt ls`.
struct CheckpointEntry {
  std::string path;
  CheckpointId id;
  int64_t sequence = 0;  // 0 if the manifest is not readable
  int64_t size_bytes = 0;
  int64_t tokens = 0;   // state.tokens, if there
  bool pinned = false;  // state.pinned, if there
  std::string problem;  // empty: manifest and state are good, the other files are there (they are not hashed here)
};

// Every committed checkpoint of a run, in order of commit; those with a problem come last. Throws kIo if one cannot be
// read, after some tries: nothing is known of it, so it is neither good nor bad. For people, `unreadable_too` lists it
// with that as its problem.
std::vector<CheckpointEntry> list_checkpoints(const RunFolder& run, bool unreadable_too = false);
// Of these the highest sequence; 0 where there are none.
int64_t newest_sequence(const RunFolder& run);

// The newest checkpoint that verifies and is finite, or "" if there is none at all. Newer ones that are not, and those
// of another run than `run_id` (if given), are warned of and quarantined (renamed to *.bad) unless `read_only`. Throws
// kCheckpoint and touches nothing if checkpoints exist and none will do, or if one is of another format version; kIo
// and touches nothing if a file cannot be read, after some tries: trouble that passes must not cost an interval. For
// tools: one process, which hashes all.
std::string newest_good_checkpoint(const RunFolder& run, bool read_only = false, const std::string& run_id = "");

// The same for a resume, collective: rank 0 lists and sets aside, every rank hashes its share of the files (round
// robin), and all return the same path or throw together. A file that one rank finds damaged is damaged. Afterwards
// ranks may open the path with verify_data = false.
std::string newest_good_checkpoint(Communicator& comm, const RunFolder& run, const std::string& run_id);

// Whoever may not know of all launches of a run (campaign/run_lease.h) must leave the unfinished saves of later ones
// alone.
constexpr int64_t kEveryGeneration = std::numeric_limits<int64_t>::max();

// Takes the folders of unfinished saves away, up to those of `generation`, so that none of them can commit any more,
// whoever is writing it; for the new writer of that generation, before it looks for a checkpoint. A save that an older
// one begins later commits only if its fence lets it.
void revoke_unfinished_saves(const RunFolder& run, int64_t generation);

struct KeepPolicy {
  int keep_last = 2;                      // newest ones, of any stage; at least 1
  std::vector<std::string> pinned;        // paths never removed, besides the last of every stage and state.pinned
  std::string verified;                   // the newest checkpoint, if this process has just saved or verified it
  double min_temporary_age_seconds = 0;   // leaves younger *.tmp-* alone: they may belong to a save of another process
  int64_t generation = kEveryGeneration;  // leaves *.tmp-* of later ones alone: this process may have been replaced
};
// Removes what the policy does not keep: rename to .trash first; before anything goes the newest one must verify and be
// finite, and every other be readable (throws kCheckpoint, kNumeric, kIo). Returns the
// paths that were (or, with dry_run, would be) removed. Also clears *.tmp-* and .trash-* left by killed jobs, not those
// of saves under way in this process. Never touches checkpoints with a problem. Rank 0 only.
std::vector<std::string> prune_checkpoints(const RunFolder& run, const KeepPolicy& policy, bool dry_run = false);

// Differences of two checkpoints: tensors on one side only, types, shapes, and for equal shapes max |a - b| and counts.
struct TensorDiff {
  std::string name;
  std::string note;                  // "only in A", "shape [..] against [..]", "f32 against f64", or empty
  double max_abs = 0;                // infinite where one side is NaN and the other is not
  int64_t differing = 0, count = 0;  // elements whose bits differ, of how many
};
// One entry per tensor name of either side, sorted; equal tensors have an empty note and differing == 0.
std::vector<TensorDiff> diff_checkpoints(const Checkpoint& a, const Checkpoint& b);

}  // namespace nexus
