#include "slurm/job_book.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/files.h"
#include "core/hash.h"
#include "core/json_text.h"
#include "core/run_folder.h"

namespace nexus {
namespace {

using nlohmann::ordered_json;

constexpr int64_t kMostBytes = 16 << 20;

// null is the empty text.
std::string text_of(const ordered_json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? std::string() : found->get<std::string>();
}

ordered_json or_null(const std::string& text) {
  return text.empty() ? ordered_json() : ordered_json(text);
}

}  // namespace

const BookedJob* JobBook::find(const std::string& id) const {
  const auto found = std::find_if(jobs.begin(), jobs.end(), [&](const BookedJob& job) { return job.id == id; });
  return found == jobs.end() ? nullptr : &*found;
}

std::vector<std::string> JobBook::later_than(const std::string& id) const {
  std::vector<std::string> later;
  const auto follows = [&](const BookedJob& job) {
    return !job.after.empty() && (job.after == id || std::find(later.begin(), later.end(), job.after) != later.end());
  };
  for (const BookedJob& job : jobs)
    if (follows(job)) later.push_back(job.id);
  return later;
}

std::string absolute_path(const std::string& path) {
  std::string normal = std::filesystem::absolute(path).lexically_normal().string();
  if (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  return normal;
}

std::string token_of(const std::string& run) {
  return "nexus:" + hash_text(absolute_path(run)).substr(0, 16);
}

JobBook read_job_book(const std::string& run) {
  const std::string path = RunFolder{run}.jobs();
  if (!path_exists(path)) return {};
  try {
    const ordered_json document = ordered_json::parse(read_text_file(path, kMostBytes));
    JobBook book{text_of(document, "run"), text_of(document, "token"), text_of(document, "cluster"), {}};
    if (document.contains("tasks")) book.tasks = document.at("tasks").get<std::vector<std::string>>();
    for (const ordered_json& job : document.at("jobs"))
      book.jobs.push_back({job.at("id").get<std::string>(), text_of(job, "stage"), text_of(job, "after"),
                           text_of(job, "script"), job.value("submitted", 0.0)});
    return book;
  } catch (const ordered_json::exception&) {
    throw Error(ErrorKind::kData, "the record of submitted jobs is malformed", path,
                "look for jobs of this run with squeue --me, then delete the file");
  }
}

void write_job_book(const std::string& run, const JobBook& book) {
  ordered_json jobs = ordered_json::array();
  for (const BookedJob& job : book.jobs)
    jobs.push_back({{"id", job.id},
                    {"stage", or_null(job.stage)},
                    {"after", or_null(job.after)},
                    {"script", job.script},
                    {"submitted", job.submitted}});
  ordered_json document = {
      {"cluster", book.cluster}, {"run", book.run}, {"token", book.token}, {"jobs", std::move(jobs)}};
  if (!book.tasks.empty()) document["tasks"] = book.tasks;
  write_file_durably(RunFolder{run}.jobs(), json_text(document, 1) + "\n");
}

}  // namespace nexus
