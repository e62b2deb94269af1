// Samples by number: what a workload's files are to training and evaluation.
#pragma once

#include <string>

#include "data/batch.h"

namespace nexus {

// Thread-safe. Errors: ErrorKind::kData.
class DataSet {
 public:
  virtual ~DataSet() = default;

  virtual const std::string& path() const = 0;  // for people: where it lies
  virtual BatchFields fields() const = 0;
  virtual int64_t count() const = 0;  // samples
  // Writes sample `index` in [0, count) to row `row` of every field of the batch, in host memory.
  virtual void fetch(int64_t index, const Batch& batch, int64_t row) const = 0;
  // Cheap to tell: other samples practically never have the same.
  virtual std::string index_digest() const = 0;
};

}  // namespace nexus
