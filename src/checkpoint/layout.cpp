#include "checkpoint/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <mutex>
#include <random>
#include <set>

#include "checkpoint/retry_io.h"
#include "core/error.h"
#include "core/files.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTemporaryMark = ".tmp-";
constexpr std::string_view kTrashPrefix = ".trash-";

std::string random_id() {
  std::random_device device;
  return fmt::format("{:08x}", device());
}

struct LivePaths {
  std::mutex mutex;
  std::set<std::string> paths;
};

LivePaths& live_paths() {
  static LivePaths live;
  return live;
}

std::vector<StageEntry> list_stages(const RunFolder& run) {
  std::vector<StageEntry> entries;
  try {
    if (!fs::is_directory(run.checkpoints())) return entries;
    for (const auto& stage : fs::directory_iterator(run.checkpoints())) {
      if (!stage.is_directory() || !is_safe_name(stage.path().filename().string())) continue;
      for (const auto& entry : fs::directory_iterator(stage.path()))
        entries.push_back({stage.path().filename().string(), entry.path().filename().string(), entry.path().string()});
    }
  } catch (const fs::filesystem_error& e) {
    throw Error(ErrorKind::kIo, fmt::format("cannot list folder: {}", e.code().message()), e.path1().string(),
                "check the path and its permissions");
  }
  std::sort(entries.begin(), entries.end(), [](const StageEntry& a, const StageEntry& b) { return a.path < b.path; });
  return entries;
}

}  // namespace

std::string temporary_path(const std::string& checkpoint, int64_t generation) {
  return fmt::format("{}{}{}-{}", checkpoint, kTemporaryMark, generation, random_id());
}

std::string trash_path(const std::string& checkpoint) {
  const fs::path path(checkpoint);
  return (path.parent_path() / fmt::format("{}{}-{}", kTrashPrefix, path.filename().string(), random_id())).string();
}

std::string quarantine_path(const std::string& checkpoint) {
  std::string path = checkpoint + ".bad";
  for (int copy = 2; path_exists(path); ++copy) path = fmt::format("{}.{}.bad", checkpoint, copy);
  return path;
}

std::string latest_path(const RunFolder& run) {
  return run.checkpoints() + "/LATEST";
}

void write_latest(const RunFolder& run, const std::string& checkpoint) {
  const fs::path path(checkpoint);
  replace_file(latest_path(run),
               fmt::format("{}/{}\n", path.parent_path().filename().string(), path.filename().string()));
}

bool is_temporary_name(const std::string& name) {
  const size_t mark = name.find(kTemporaryMark);
  return mark != std::string::npos && step_of_name(name.substr(0, mark)).has_value();
}

int64_t generation_of_temporary(const std::string& name) {
  const size_t mark = name.find(kTemporaryMark);
  if (mark == std::string::npos) return 0;
  int64_t generation = 0;
  const char *begin = name.data() + mark + kTemporaryMark.size(), *all = name.data() + name.size();
  const auto [end, error] = std::from_chars(begin, all, generation);
  return error == std::errc() && end != all && *end == '-' ? generation : 0;
}

bool is_trash_name(const std::string& name) {
  return name.rfind(kTrashPrefix, 0) == 0;
}

std::optional<int64_t> step_of_name(const std::string& name) {
  int64_t step = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
  const bool whole = error == std::errc() && end == name.data() + name.size() && step >= 0;
  if (!whole || name != fs::path(RunFolder{}.checkpoint("s", step)).filename()) return std::nullopt;
  return step;
}

std::vector<StageEntry> stage_entries(const RunFolder& run) {
  return retry_io([&] { return list_stages(run); });
}

std::string normal_path(const std::string& path) {
  if (path.empty()) return path;
  std::string text = fs::absolute(path).lexically_normal().string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

LiveFolder::LiveFolder(const std::string& path) : path_(normal_path(path)) {
  const std::lock_guard lock(live_paths().mutex);
  live_paths().paths.insert(path_);
}

LiveFolder::~LiveFolder() {
  const std::lock_guard lock(live_paths().mutex);
  live_paths().paths.erase(path_);
}

bool is_live(const std::string& path) {
  const std::lock_guard lock(live_paths().mutex);
  return live_paths().paths.contains(normal_path(path));
}

bool remove_quietly(const std::string& path) noexcept {
  if (path.empty()) return true;
  std::error_code code;
  fs::remove_all(path, code);
  return !code;
}

}  // namespace nexus
