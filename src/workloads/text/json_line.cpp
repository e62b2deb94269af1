#include "workloads/text/json_line.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "core/error.h"

namespace nexus {
namespace {

using Json = nlohmann::json;

// Takes the field and keeps what the messages need; nothing else of the line is held.
class TextFieldReader : public nlohmann::json_sax<Json> {
 public:
  explicit TextFieldReader(const JsonField& field) : path_(field.path) {}

  bool null() override { return value("null"); }
  bool boolean(bool) override { return value("true or false"); }
  bool number_integer(number_integer_t) override { return value("a number"); }
  bool number_unsigned(number_unsigned_t) override { return value("a number"); }
  bool number_float(number_float_t, const string_t&) override { return value("a number"); }
  bool binary(binary_t&) override { return value("binary data"); }
  bool string(string_t& text) override {
    if (is_next() && found_ == path_.size()) texts.push_back(std::move(text));
    return value("text");
  }
  bool start_object(size_t) override {
    const bool goes_on = depth_ == 0 || (is_next() && found_ < path_.size());
    value("an object");
    if (goes_on && depth_ > 0) other_fields.clear();  // those of the object where the next name is looked for
    if (goes_on) ++open_;
    is_next_ = false;
    ++depth_;
    return true;
  }
  bool start_array(size_t) override {
    value("an array");
    ++depth_;
    return true;
  }
  bool end_object() override {
    if (depth_ == open_) --open_;
    return --depth_ >= 0;
  }
  bool end_array() override { return --depth_ >= 0; }
  bool key(string_t& name) override {
    if (depth_ == 1) ++members_;
    if (depth_ != open_) return true;
    const auto level = static_cast<size_t>(depth_ - 1);
    is_next_ = name == path_[level];
    if (is_next_ && level < found_) ++repeats;
    if (is_next_) found_ = std::max(found_, level + 1);
    if (is_next_ && (level + 1 == path_.size() || repeats > 0)) places.push_back(members_ - 1);
    if (!is_next_ && level == found_ && other_fields.size() < kMaxNamed) other_fields.push_back(name);
    return true;
  }
  bool parse_error(size_t position, const std::string&, const Json::exception& error) override {
    error_position = position;
    error_text = error.what();
    return false;
  }

  static constexpr size_t kMaxNamed = 8;
  const char* top = nullptr;         // what the line holds
  const char* field_kind = nullptr;  // what the last value on the way to the field is
  size_t repeats = 0;                // names on the way, or the field, that had been there
  std::vector<size_t> places;        // the members of the line's object in which the field, or a repeat, is
  std::vector<std::string> texts, other_fields;
  size_t error_position = 0;  // bytes read when the error was seen
  std::string error_text;     // empty: the line is JSON
  size_t found() const { return found_; }

 private:
  bool is_next() const { return depth_ == open_ && is_next_; }
  bool value(const char* kind) {
    if (depth_ == 0) top = kind;
    if (is_next()) field_kind = kind;
    return true;
  }
  const std::vector<std::string>& path_;
  int64_t depth_ = 0;
  int64_t open_ = 0;    // objects that are open on the way to the field, the line's included
  size_t found_ = 0;    // names of the path that were found
  size_t members_ = 0;  // of the line's object
  bool is_next_ = false;
};

struct Trouble {
  std::string what, todo;
};

constexpr const char* kMend = "mend or remove the line";
constexpr const char* kWriter = "write the file with a JSON library, such as Python's json.dumps(record)";

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

char first_of(std::string_view line) {
  const size_t at = line.find_first_not_of(" \t");
  return at == std::string_view::npos ? '\0' : line[at];
}

// Words of the file for a message: short, and without what could steer a terminal.
std::string shown(std::string_view text) {
  constexpr size_t kMaxShown = 60;
  size_t size = std::min(text.size(), kMaxShown);
  while (size > 0 && size < text.size() && (static_cast<uint8_t>(text[size]) & 0xC0) == 0x80) --size;
  std::string result(text.substr(0, size));
  for (char& c : result)
    if (static_cast<uint8_t>(c) < 0x20 || c == 0x7F) c = '?';
  return result + (size < text.size() ? "..." : "");
}

// The last part of the library's sentence: "[...] parse error at ...: syntax error while parsing X - REASON; last read:
// ...".
std::string reason_of(std::string text) {
  if (const size_t last_read = text.find("; last read"); last_read != std::string::npos) text.resize(last_read);
  if (const size_t dash = text.find(" - "); dash != std::string::npos) return text.substr(dash + 3);
  const size_t bracket = text.find("] ");
  return bracket == std::string::npos ? text : text.substr(bracket + 2);
}

// `at` is the byte where reading stopped. The word around it, or the character itself, tells what was meant; then `at`
// becomes its beginning.
Trouble explain(std::string_view line, size_t& at, const std::string& message) {
  const std::string reason = reason_of(message);
  size_t begin = std::min(at, line.size());
  if (reason.find("surrogate") != std::string::npos)
    return {"half of a surrogate pair (\\uD800 to \\uDFFF) stands alone: it is no character",
            "write whole characters; Python: text.encode('utf-8', 'replace').decode()"};
  if (reason.find("control character") != std::string::npos)
    return {"a raw control character in a text: JSON wants it escaped, like \\t or \\u0000", kWriter};
  if (line.find_first_not_of(" \t") == line.size() - 1 && (line.back() == '[' || line.back() == '{'))
    return {"the JSON goes on in the next line: in JSON Lines every line holds one whole object",
            "bring it into lines: jq -c '.[]' FILE > FILE.jsonl for an array, jq -c . for objects"};
  if (begin >= line.size() && first_of(line) == '[')
    return {"a JSON array begins here and does not end in this line: in JSON Lines every line holds one whole object",
            "bring it into lines: jq -c '.[]' FILE > FILE.jsonl (where it was cut off, fetch or write the file again)"};
  if (begin >= line.size())
    return {"the line ends inside its JSON: it was cut off, or goes on in the next line",
            "fetch or write the file again; bring objects of several lines into one each: jq -c . FILE > FILE.jsonl"};
  while (begin > 0 && is_word(line[begin]) && is_word(line[begin - 1])) --begin;
  at = begin;
  size_t end = begin;
  while (end < line.size() && is_word(line[end])) ++end;
  const std::string_view word = line.substr(begin, end - begin);
  if (word == "NaN" || word == "nan" || word == "Infinity" || word == "inf" || word == "Inf")
    return {fmt::format("{} is no number in JSON", word),
            "write null, or leave the field out; Python: allow_nan=False"};
  if (word == "None" || word == "True" || word == "False" || line[begin] == '\'')
    return {line[begin] == '\'' ? "names and texts stand in double quotes in JSON, not in single ones"
                                : fmt::format("{} is Python, not JSON", word),
            kWriter};
  if (!word.empty() && message.find("object key") != std::string::npos)
    return {fmt::format("the name {} stands without double quotes", shown(word)), kWriter};
  const size_t before = begin == 0 ? std::string_view::npos : line.find_last_not_of(" \t", begin - 1);
  if ((line[begin] == '}' || line[begin] == ']') && before != std::string_view::npos && line[before] == ',')
    return {"a comma before the closing bracket", "remove the comma"};
  if (reason.find("expected end of input") != std::string::npos && line.substr(begin) == ",")
    return {"a comma follows the object, as in a JSON array over many lines: in JSON Lines nothing does",
            "bring the array into lines: jq -c '.[]' FILE > FILE.jsonl"};
  if (reason.find("expected end of input") != std::string::npos)
    return {"more text follows the end of the JSON value", "write one object on each line"};
  if (begin == line.find_first_not_of(" \t") && (line[begin] == ']' || line[begin] == '}'))
    return {"an array or object ends here that began in another line: in JSON Lines every line holds one whole object",
            "bring it into lines: jq -c '.[]' FILE > FILE.jsonl for an array, jq -c . for objects"};
  if (begin == line.find_first_not_of(" \t"))
    return {"this is no JSON: a line must be an object, like {\"text\": \"...\"}",
            "name JSON Lines, or say what a document is with --documents file, line or blank-line"};
  return {"not JSON: " + shown(reason), kMend};
}

std::string place_at(const JsonLinePlace& place, std::string_view line, size_t byte) {
  const std::string_view before = line.substr(0, std::min(byte, line.size()));
  const auto is_start = [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; };
  const auto column = 1 + std::count_if(before.begin(), before.end(), is_start);
  return fmt::format("{}:{}:{}", place.path, place.line, column);
}

[[noreturn]] void refuse_syntax(std::string_view line, const TextFieldReader& reader, const JsonLinePlace& place) {
  // The position counts the byte that was found wrong; where the input ended, one more.
  size_t at = reader.error_position > 0 ? reader.error_position - 1 : 0;
  if (reader.error_text.find("missing closing quote") != std::string::npos) at = line.size();
  const Trouble trouble = explain(line, at, reader.error_text);
  throw Error(ErrorKind::kData, trouble.what, place_at(place, line, at), trouble.todo);
}

struct Member {
  size_t name_at, value_at;  // bytes of the line
};

// Where the members of the object that `line` holds stand. The line is JSON: brackets and quotes are paired.
std::vector<Member> members_of(std::string_view line) {
  std::vector<Member> members;
  int64_t depth = 0;
  bool wants_name = false, wants_value = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == ' ' || c == '\t') continue;
    if (depth == 1 && wants_value && c != ':') {
      members.back().value_at = i;
      wants_value = false;
    }
    if (c == '"') {
      if (depth == 1 && wants_name) {
        members.push_back({i, i});
        wants_name = false;
        wants_value = true;
      }
      for (++i; i < line.size() && line[i] != '"'; ++i) i += line[i] == '\\' ? 1 : 0;
    } else if (c == '{' || c == '[') {
      wants_name = ++depth == 1;
    } else if (c == '}' || c == ']') {
      --depth;
    } else if (c == ',' && depth == 1) {
      wants_name = true;
    }
  }
  return members;
}

// Of a line that holds an object: its second field of this name, the value that is no text, or the object. Of a field
// in an object in it: the member that holds this object.
size_t place_of_trouble(std::string_view line, const TextFieldReader& reader) {
  const std::vector<Member> members = members_of(line);
  if (reader.places.empty() || reader.places.back() >= members.size()) return line.find('{');
  return reader.repeats > 0 ? members[reader.places.back()].name_at : members[reader.places[0]].value_at;
}

Trouble field_trouble(const TextFieldReader& reader, const JsonField& wanted) {
  const std::string& field = wanted.written;
  const char* const name_it = "name the field that holds the text with --json-field";
  if (reader.repeats > 0)
    return {fmt::format("the field '{}' is there {} times: which one is meant is not clear", field, reader.repeats + 1),
            "leave one of them"};
  if (reader.found() == wanted.path.size())
    return {fmt::format("the field '{}' is {}, not text", field, reader.field_kind),
            std::string(name_it) + ", or remove the line"};
  if (reader.found() > 0 && std::string_view(reader.field_kind) != "an object")
    return {fmt::format("there is no field '{}': '{}' is {}, not an object", field,
                        shown(wanted.path[reader.found() - 1]), reader.field_kind),
            std::string(name_it) + R"(; a dot in a name is written \.)"};
  std::string names;
  for (const std::string& name : reader.other_fields) names += (names.empty() ? "'" : ", '") + shown(name) + "'";
  return {names.empty() ? fmt::format("an empty object: there is no field '{}'", field)
                        : fmt::format("there is no field '{}', but {}", field, names),
          name_it};
}

}  // namespace

JsonField::JsonField(std::string text) : written(std::move(text)), path(1) {
  for (size_t i = 0; i < written.size(); ++i) {
    if (written[i] == '.') {
      path.emplace_back();
      continue;
    }
    if (written[i] == '\\' && i + 1 < written.size() && (written[i + 1] == '.' || written[i + 1] == '\\')) ++i;
    path.back() += written[i];
  }
  if (path.size() > 1 && std::ranges::find(path, "") != path.end())
    throw Error(ErrorKind::kConfig, fmt::format("'{}' names no field: a name is empty", written), "--json-field",
                R"(write NAME or NAME.NAME; a dot in a name is written \.)");
}

std::string text_of_json_line(std::string_view line, const JsonField& field, const JsonLinePlace& place) {
  line = line.substr(0, line.find_last_not_of(" \t\r") + 1);
  TextFieldReader reader(field);
  if (!Json::sax_parse(line.begin(), line.end(), &reader)) refuse_syntax(line, reader, place);
  const std::string where = place_at(place, line, line.find_first_not_of(" \t"));
  if (std::string_view(reader.top) == "an array")
    throw Error(ErrorKind::kData, "this line holds an array, not an object", where,
                "write one object on each line; where the whole file is one array: jq -c '.[]' FILE > FILE.jsonl");
  if (std::string_view(reader.top) != "an object")
    throw Error(ErrorKind::kData,
                fmt::format("this line holds {}, not an object like {{\"{}\": \"...\"}}", reader.top, field.written),
                where, kMend);
  if (reader.repeats > 0 || reader.texts.empty()) {
    const Trouble trouble = field_trouble(reader, field);
    throw Error(ErrorKind::kData, trouble.what, place_at(place, line, place_of_trouble(line, reader)), trouble.todo);
  }
  return std::move(reader.texts.front());
}

}  // namespace nexus
