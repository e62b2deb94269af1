#include "train/earlier_records.h"

#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "core/error.h"
#include "core/files.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;

// Nobody else makes folders here, the run being ours; numbers that exist are of earlier starts.
std::string new_folder(const RunFolder& run) {
  make_folders(earlier_folder(run));
  for (int number = 1;; ++number) {
    const std::string folder = fmt::format("{}/{}", earlier_folder(run), number);
    if (::mkdir(folder.c_str(), 0755) == 0) return folder;
    if (errno != EEXIST) throw_errno("create folder", folder);
  }
}

bool is_worth_keeping(const std::string& path) {
  std::error_code gone;
  return path_exists(path) && !(fs::is_regular_file(path, gone) && fs::file_size(path, gone) == 0);
}

}  // namespace

std::string earlier_folder(const RunFolder& run) {
  return run.root + "/earlier";
}

std::string set_aside(const RunFolder& run, const std::vector<std::string>& paths) {
  std::string folder;
  for (const std::string& path : paths) {
    if (!is_worth_keeping(path)) continue;
    if (folder.empty()) folder = new_folder(run);
    rename_durably(path, folder + "/" + fs::path(path).filename().string());
  }
  return folder;
}

}  // namespace nexus
