// What a run reads, by content: recorded in checkpoints, so that files may move and may not be swapped.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace nexus {

struct DataIdentity {
  std::vector<std::string> train;  // digest of each training set, in the campaign's order; empty: not recorded
  // "uint16" or "int32", as the indexes say: the same bytes are other samples by another type. Empty: not recorded
  std::vector<std::string> train_types;
  std::string valid;  // digest of the validation file's .bin; empty: there is none, or it is not recorded
  std::string valid_type;
  std::string tokenizer;  // of its file; empty: not known
  bool operator==(const DataIdentity&) const = default;
};

nlohmann::json to_json(const DataIdentity& identity);
// Throws nlohmann::json::exception where a field is missing or of the wrong type.
DataIdentity data_identity_from_json(const nlohmann::json& document);

}  // namespace nexus
