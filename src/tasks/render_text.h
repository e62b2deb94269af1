// Templates of a task (spec/task_spec.h) filled with the fields of an item.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "spec/task_spec.h"

namespace nexus {

// What the names of a template stand for.
struct TextScope {
  const nlohmann::json& item;
  const nlohmann::json* element = nullptr;  // `this`
  const std::string* choice = nullptr;      // `choice`
  std::string place;                        // FILE:LINE of the item, for messages
};

// The value at `path`; null where the item has none.
const nlohmann::json* find_field(const TextScope& scope, const std::vector<std::string>& path);
// A text, a number, true or false as text. Throws ErrorKind::kData where it is another thing or not there.
std::string field_text(const TextScope& scope, const std::vector<std::string>& path);

bool has_fields(const TextTemplate& source, const TextScope& scope);
// Throws ErrorKind::kData naming the field and the item's place.
std::string render(const TextTemplate& source, const TextScope& scope);

// White space is ASCII's.
std::string stripped(const std::string& text);
// Code points of UTF-8 text.
int64_t count_characters(const std::string& text);

}  // namespace nexus
