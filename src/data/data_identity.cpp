#include "data/data_identity.h"

namespace nexus {

nlohmann::json to_json(const DataIdentity& identity) {
  return {{"train", identity.train},
          {"train_types", identity.train_types},
          {"valid", identity.valid},
          {"valid_type", identity.valid_type},
          {"tokenizer", identity.tokenizer}};
}

DataIdentity data_identity_from_json(const nlohmann::json& document) {
  DataIdentity identity;
  document.at("train").get_to(identity.train);
  document.at("valid").get_to(identity.valid);
  document.at("tokenizer").get_to(identity.tokenizer);
  // Checkpoints of an older nexus have no types.
  if (document.contains("train_types")) document.at("train_types").get_to(identity.train_types);
  if (document.contains("valid_type")) document.at("valid_type").get_to(identity.valid_type);
  return identity;
}

}  // namespace nexus
