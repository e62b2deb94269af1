// JSON that a stranger or a bad disk may have written: bounded depth, no repeated keys, no unknown or mistyped fields.
// All errors are ErrorKind::kCheckpoint and name the file.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "core/error.h"

namespace nexus {

// The cure is the same for every kind of damage.
[[noreturn]] void throw_damaged(const std::string& what, const std::string& where);

nlohmann::json parse_strict_json(const std::string& text, const std::string& where, int max_depth);

// Reads one object field by field; `finish` refuses fields that nobody asked for.
class FieldReader {
 public:
  FieldReader(const nlohmann::json& object, std::string where);
  bool contains(const std::string& key) const;  // does not count as asking for it
  int64_t integer(const std::string& key, int64_t min, int64_t max);
  const std::string& text(const std::string& key);
  const nlohmann::json& array(const std::string& key);
  const nlohmann::json& object(const std::string& key);
  void finish() const;

 private:
  const nlohmann::json& field(const std::string& key);
  const nlohmann::json& object_;
  std::string where_;
  std::set<std::string> seen_;
};

// A whole number within [min, max]; `name` says which one in the error.
int64_t strict_integer(const nlohmann::json& value, int64_t min, int64_t max, const std::string& name,
                       const std::string& where);

}  // namespace nexus
