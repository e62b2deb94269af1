#include "data/data_identity.h"

namespace nexus {

nlohmann::json to_json(const DataIdentity& identity) {
  return {{"train", identity.train}, {"valid", identity.valid}, {"tokenizer", identity.tokenizer}};
}

DataIdentity data_identity_from_json(const nlohmann::json& document) {
  DataIdentity identity;
  document.at("train").get_to(identity.train);
  document.at("valid").get_to(identity.valid);
  document.at("tokenizer").get_to(identity.tokenizer);
  return identity;
}

}  // namespace nexus
