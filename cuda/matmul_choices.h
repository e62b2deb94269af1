// The algorithms that were fastest in earlier runs, in a file of lines, one per product:
//   KEY us MICROSECONDS algo 128 HEXADECIMAL DIGITS sum 16 HEXADECIMAL DIGITS
//
// The file's name tells device kinds and library versions apart, so that an algorithm is only read where it means what
// it meant. Ranks append whole lines and may do so at once; where a product has several lines the last one counts, the
// same for all who read the file later. The file is a convenience: whatever is wrong with it is a warning.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>

#include "cuda/matmul_problem.h"

namespace nexus::cuda {

class MatmulChoices {
 public:
  // An empty folder: nothing is read or written, choices last as long as this object.
  MatmulChoices(const std::string& folder, int device);

  std::optional<MatmulAlgorithm> find(const MatmulKey& key) const;
  void add(const MatmulKey& key, const MatmulAlgorithm& algorithm, double microseconds);
  const std::string& path() const { return path_; }

 private:
  void read();
  bool read_line(const std::string& line);

  std::string folder_, path_;
  std::unordered_map<std::string, MatmulAlgorithm> algorithms_;  // by MatmulKey::text
  bool writable_ = false, begun_ = false;
};

}  // namespace nexus::cuda
