#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <set>

#include "core/files.h"
#include "doctor/checks.h"
#include "system/clock.h"

namespace nexus {
namespace {

constexpr double kPoll = 0.02;
constexpr const char* kHello = "/hello";

template <typename Condition>
bool wait_for(const Condition& condition, double seconds) {
  const double start = steady_seconds();
  while (!condition()) {
    if (steady_seconds() - start > seconds) return false;
    sleep_seconds(kPoll);
  }
  return true;
}

// Whole once it is there: written under another name.
bool write_whole(const std::string& path, const std::string& text) {
  std::ofstream(path + ".part") << text << '\n';
  return ::rename((path + ".part").c_str(), path.c_str()) == 0;
}

std::string answer_file(const std::string& folder, int rank) {
  return fmt::format("{}/rank-{}", folder, rank);
}

// Reads the folder's list anew, as network file systems may remember that a name is not there.
bool listed(const std::string& folder, const std::string& name) {
  DIR* list = ::opendir(folder.c_str());
  if (list == nullptr) return false;
  bool found = false;
  while (const dirent* entry = ::readdir(list)) found = found || name == entry->d_name;
  ::closedir(list);
  return found;
}

void answer(const std::string& parent, const std::string& name, const LaunchEnvironment& launch, double patience) {
  const std::string folder = parent + "/" + name;
  const auto there = [&] { return listed(parent, name) && seems_to_exist(folder + kHello); };
  if (!wait_for(there, patience) || !write_whole(answer_file(folder, launch.rank), launch.host))
    std::fprintf(stderr, "nexus doctor: rank %d on host %s does not see files of rank 0 in %s\n", launch.rank,
                 launch.host.c_str(), printable(parent).c_str());
}

void remove_folder(const std::string& folder, int ranks) {
  for (int rank = 1; rank < ranks; ++rank) {
    ::unlink(answer_file(folder, rank).c_str());
    ::unlink((answer_file(folder, rank) + ".part").c_str());
  }
  ::unlink((folder + kHello).c_str());
  ::rmdir(folder.c_str());
}

std::string list_text(const std::set<int>& ranks) {
  std::string text;
  for (const int rank : ranks) text += fmt::format("{}{}", text.empty() ? "" : ", ", rank);
  return text;
}

// Rank 0: leaves a file and counts the answers.
void ask(const std::string& folder, const LaunchEnvironment& launch, double patience, Findings& found) {
  if (::mkdir(folder.c_str(), 0700) != 0 || !write_whole(folder + kHello, launch.host)) {
    found.problem(fmt::format("cannot make {}: {}", printable(folder), std::strerror(errno)),
                  "see the other findings on this folder");
    return;
  }
  const double start = steady_seconds();
  std::set<int> missing;
  for (int rank = 1; rank < launch.size; ++rank) missing.insert(rank);
  std::set<std::string> hosts{launch.host};
  const auto all_answered = [&] {
    for (auto rank = missing.begin(); rank != missing.end();) {
      std::ifstream file(answer_file(folder, *rank));
      std::string host;
      if (!std::getline(file, host)) {
        ++rank;
        continue;
      }
      hosts.insert(host);
      rank = missing.erase(rank);
    }
    return missing.empty();
  };
  // The others begin when they are started, and may have waited their whole patience before they answer.
  if (wait_for(all_answered, 2 * patience)) {
    const double seconds = steady_seconds() - start;
    found
        .ok(fmt::format("{} ranks on {} host{} see each other's files; the last answered after {:.2f} s", launch.size,
                        hosts.size(), hosts.size() == 1 ? "" : "s", seconds))
        .figures["seconds"] = seconds;
  } else {
    found.problem(
        fmt::format("ranks {} do not see files of rank 0, or it not theirs, within {} s", list_text(missing), patience),
        "use a folder that all nodes share: findmnt -T FOLDER on each");
  }
  remove_folder(folder, launch.size);
}

}  // namespace

std::vector<Finding> check_visibility(const std::string& folder, const LaunchEnvironment& launch, double patience) {
  Findings found("fs");
  if (launch.alone()) return {};
  const std::string name = ".nexus-doctor-" + launch.token;
  if (launch.rank == 0)
    ask(folder + "/" + name, launch, patience, found);
  else
    answer(folder, name, launch, patience);
  return found.list();
}

}  // namespace nexus
