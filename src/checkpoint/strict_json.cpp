#include "checkpoint/strict_json.h"
#include "core/json_text.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace nexus {

using nlohmann::json;

void throw_damaged(const std::string& what, const std::string& where) {
  std::string printable = what;  // may quote the file, whose text must not steer the terminal
  std::replace_if(
      printable.begin(), printable.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }, '?');
  throw Error(ErrorKind::kCheckpoint, printable, where,
              "restore the folder from a copy, or resume from an older checkpoint (`nexus ckpt ls RUN` lists them)");
}

json parse_strict_json(const std::string& text, const std::string& where, int max_depth) {
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  int depth = 0;
  const auto guard = [&](int, json::parse_event_t event, json& parsed) {
    switch (event) {
      case json::parse_event_t::object_start: keys.emplace_back(); [[fallthrough]];
      case json::parse_event_t::array_start:
        if (++depth > max_depth) throw_damaged(fmt::format("JSON nested deeper than {}", max_depth), where);
        break;
      case json::parse_event_t::key:
        if (!keys.back().insert(parsed.get<std::string>()).second) throw_damaged("repeated key in JSON", where);
        break;
      case json::parse_event_t::object_end: keys.pop_back(); [[fallthrough]];
      case json::parse_event_t::array_end: --depth; break;
      case json::parse_event_t::value: break;
    }
    return true;
  };
  try {
    return json::parse(text, guard);
  } catch (const json::exception& e) {
    throw_damaged(fmt::format("not valid JSON ({})", e.what()), where);
  }
}

int64_t strict_integer(const json& value, int64_t min, int64_t max, const std::string& name, const std::string& where) {
  if (!value.is_number_integer()) throw_damaged(fmt::format("'{}' is no whole number", name), where);
  // Values beyond int64 are held as uint64 and would wrap.
  const bool huge = value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  if (huge || value.get<int64_t>() < min || value.get<int64_t>() > max)
    throw_damaged(fmt::format("'{}' is {}, outside {} to {}", name, json_text(value), min, max), where);
  return value.get<int64_t>();
}

FieldReader::FieldReader(const json& object, std::string where) : object_(object), where_(std::move(where)) {
  if (!object_.is_object()) throw_damaged("JSON object expected", where_);
}

const json& FieldReader::field(const std::string& key) {
  const auto found = object_.find(key);
  if (found == object_.end()) throw_damaged(fmt::format("'{}' is missing", key), where_);
  seen_.insert(key);
  return *found;
}

bool FieldReader::contains(const std::string& key) const {
  return object_.contains(key);
}

int64_t FieldReader::integer(const std::string& key, int64_t min, int64_t max) {
  return strict_integer(field(key), min, max, key, where_);
}

const std::string& FieldReader::text(const std::string& key) {
  const json& value = field(key);
  if (!value.is_string()) throw_damaged(fmt::format("'{}' is no text", key), where_);
  return value.get_ref<const std::string&>();
}

const json& FieldReader::array(const std::string& key) {
  const json& value = field(key);
  if (!value.is_array()) throw_damaged(fmt::format("'{}' is no list", key), where_);
  return value;
}

const json& FieldReader::object(const std::string& key) {
  const json& value = field(key);
  if (!value.is_object()) throw_damaged(fmt::format("'{}' is no object", key), where_);
  return value;
}

void FieldReader::finish() const {
  for (const auto& [key, value] : object_.items())
    if (!seen_.count(key)) throw_damaged(fmt::format("unknown field '{}'", key), where_);
}

}  // namespace nexus
