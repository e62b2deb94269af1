// One line of a JSON Lines file: the text in one of its fields.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nexus {

// Where a line stands, for messages: FILE:LINE, and FILE:LINE:COLUMN (in characters, from 1) of what is wrong in it.
struct JsonLinePlace {
  const std::string& path;
  int64_t line = 0;
};

// The string in `field` of the object that `line` holds (valid UTF-8, without its line end). Throws ErrorKind::kData
// with the place, the reason and the cure where the line is not JSON, no object, or `field` is missing, there twice, or
// no string.
std::string text_of_json_line(std::string_view line, const std::string& field, const JsonLinePlace& place);

}  // namespace nexus
