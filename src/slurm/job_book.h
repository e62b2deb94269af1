// RUN/jobs.json: the jobs that were submitted for a run folder; and how our jobs are told from all others.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace nexus {

struct BookedJob {
  std::string id;     // "123", or "123_4" for a task of an array
  std::string stage;  // empty: the whole campaign
  std::string after;  // job that must succeed first, or of an array end; empty: none
  std::string script;
  double submitted = 0;  // Unix seconds
};

struct JobBook {
  std::string run;      // the folder that the book was written in, absolute
  std::string token;    // first part of the jobs' comments
  std::string cluster;  // its name
  std::vector<BookedJob> jobs;
  std::vector<std::string> tasks = {};  // run folders of all arrays; empty: this folder is the run

  const BookedJob* find(const std::string& id) const;
  // The jobs that wait for `id`, directly or not, in order of submission.
  std::vector<std::string> later_than(const std::string& id) const;
};

// An absolute path without . and .. and final slash; links are not followed, since nodes may follow them elsewhere.
std::string absolute_path(const std::string& path);

// "nexus:" and a digest of the absolute path. A job's comment is the token, a colon and the script's name.
std::string token_of(const std::string& run);

// An empty book where there is no file. Throws ErrorKind::kData where it is malformed.
JobBook read_job_book(const std::string& run);
// Durable before it returns.
void write_job_book(const std::string& run, const JobBook& book);

}  // namespace nexus
