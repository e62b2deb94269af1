// Samples by number: what a workload's files are to training and evaluation (model/workload.h opens them).
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "data/batch.h"

namespace nexus {

// What the bytes of a data set are, found by reading all of them once.
struct DataContent {
  std::string digest;    // other bytes practically never have the same
  std::string type;      // how they are read: the same bytes are other samples by another type
  nlohmann::json facts;  // what else the workload saw: kept with the digest, and shown in run.json
};

// Reads a data set from its first byte to its last, some at a time, so that ranks can read together and show signs of
// life. Errors: ErrorKind::kIo; kData where a file changes meanwhile.
class ContentReader {
 public:
  virtual ~ContentReader() = default;
  // Reads at least one and about `max_bytes` more; false at the end.
  virtual bool read(int64_t max_bytes) = 0;
  virtual int64_t done_bytes() const = 0;
  virtual DataContent content() const = 0;  // once everything is read
};

// Thread-safe. Errors: ErrorKind::kData.
class DataSet {
 public:
  virtual ~DataSet() = default;

  virtual const std::string& path() const = 0;  // for people: where it lies
  virtual BatchFields fields() const = 0;
  virtual int64_t count() const = 0;  // samples
  virtual int64_t units() const = 0;  // all that is in it, in the workload's unit
  // Writes sample `index` in [0, count) to row `row` of every field of the batch, in host memory.
  virtual void fetch(int64_t index, const Batch& batch, int64_t row) const = 0;

  // --- what it holds
  // Cheap to tell: other samples practically never have the same.
  virtual std::string index_digest() const = 0;
  // Of the files as they lie there now: what differs in size, times or inode is another file.
  virtual std::string stamp() const = 0;
  virtual int64_t content_bytes() const = 0;
  virtual std::unique_ptr<ContentReader> content_reader() const = 0;
  // Kept beside the files by an earlier `keep_content`; nothing where there is none, or it is of other bytes.
  virtual std::optional<DataContent> kept_content() const { return std::nullopt; }
  virtual void keep_content(const DataContent&) const {}
  // Whether another set of the same workload holds the same samples. Reads as little as it can.
  virtual bool holds_same(const DataSet& other) const = 0;
};

// What is kept, else reads it all and keeps it.
DataContent content_of(const DataSet& set);

// A data set and the configuration key that names it: "data.train.0.path".
struct NamedDataSet {
  std::string key;
  const DataSet* set = nullptr;
};

}  // namespace nexus
