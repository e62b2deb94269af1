#include "checkpoint/misnamed.h"

#include <filesystem>

#include "checkpoint/checkpoint.h"
#include "checkpoint/layout.h"
#include "checkpoint/raw_file.h"
#include "checkpoint/strict_json.h"
#include "core/files.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;

struct Place {
  std::string run, what;  // the run's folder; both empty where the path is not above checkpoints
};

Place place_of(const fs::path& path) {
  if (path_exists(RunFolder{path.string()}.checkpoints()))
    return {path.string(), "this is a run folder, no checkpoint"};
  const fs::path stage_parent = path.parent_path();
  if (path.filename() == "checkpoints")
    return {path.parent_path().string(), "this is the folder of all checkpoints of a run"};
  if (stage_parent.filename() == "checkpoints" && !is_temporary_name(path.filename().string()))
    return {stage_parent.parent_path().string(), "this is the folder of a stage's checkpoints"};
  return {};
}

std::string newest_below(const std::string& path, const std::string& run) {
  std::string newest;
  for (const CheckpointEntry& entry : list_checkpoints(RunFolder{run}, /*unreadable_too=*/true))
    if (entry.problem.empty() && normal_path(entry.path).starts_with(path + "/")) newest = entry.path;
  return newest;
}

[[noreturn]] void refuse(const std::string& what, const std::string& path, const std::string& todo) {
  throw Error(ErrorKind::kCheckpoint, what, path, todo);
}

}  // namespace

void throw_no_checkpoint(const std::string& path) {
  constexpr const char* kList = "name a checkpoint's folder: `nexus ckpt ls RUN` lists those of a run";
  std::error_code none;
  if (require_status(path).type() == fs::file_type::not_found) refuse("there is no such folder", path, kList);
  if (!fs::exists(path, none))  // perhaps on a file system that is not mounted: no damage, nothing to set aside
    throw Error(ErrorKind::kIo, "the checkpoint is a link to a folder that is not there", path,
                "mount its file system, or put the link right");
  if (!fs::is_directory(path, none)) refuse("this is a file, and a checkpoint is a folder", path, kList);
  const std::string normal = normal_path(path);
  const Place place = place_of(normal);
  if (place.run.empty()) throw_damaged("no MANIFEST.json: this is no committed checkpoint", path);
  const std::string newest = newest_below(normal, place.run);
  refuse(place.what, path,
         newest.empty() ? "name a checkpoint; there is none in it that could be read"
                        : fmt::format("name a checkpoint: the newest one in it is {}", newest));
}

}  // namespace nexus
