// One line of a JSON Lines file: the text in one of its fields.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nexus {

// Which field holds the text: NAME, or NAME.NAME where it is in an object in the line's object. A dot, or a backslash,
// of a name itself stands behind a backslash.
struct JsonField {
  JsonField(std::string written);  // NOLINT: as text, wherever a field is named. Throws ErrorKind::kConfig
  std::string written;
  std::vector<std::string> path;  // the names, from the outside
};

// Where a line stands, for messages: FILE:LINE, and FILE:LINE:COLUMN (in characters, from 1) of what is wrong in it.
struct JsonLinePlace {
  const std::string& path;
  int64_t line = 0;
};

// The string in `field` of the object that `line` holds (valid UTF-8, without its line end). Throws ErrorKind::kData
// with the place, the reason and the cure where the line is not JSON, no object, or `field` is missing, there twice, or
// no string.
std::string text_of_json_line(std::string_view line, const JsonField& field, const JsonLinePlace& place);

}  // namespace nexus
