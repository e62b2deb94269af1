// A record's fields by their names in JSON, each named once for both directions: a generic function
// `list(fields, record)` goes through them with a FieldWriter or a FieldReader.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "records/record_place.h"

namespace nexus {

class FieldWriter {
 public:
  explicit FieldWriter(nlohmann::json& document) : document_(document) {}

  // A field that every file has.
  template <typename T>
  void field(const char* key, const T& value) {
    document_[key] = value;
  }
  // One that files of an older nexus lack, and need not have: there it stays as it was.
  template <typename T>
  void newer(const char* key, const T& value) {
    document_[key] = value;
  }
  // One that is left out where there is nothing to say.
  template <typename T>
  void optional(const char* key, const std::optional<T>& value) {
    if (value) document_[key] = *value;
  }
  void optional(const char* key, const std::string& value) {
    if (!value.empty()) document_[key] = value;
  }
  void unless_true(const char* key, bool value) {
    if (!value) document_[key] = value;
  }
  // One that is null where there is nothing to say.
  template <typename T>
  void or_null(const char* key, const std::optional<T>& value) {
    document_[key] = value ? nlohmann::json(*value) : nlohmann::json();
  }

 private:
  nlohmann::json& document_;
};

// Throws ErrorKind::kData where a field of every file is missing, and where one is of the wrong type (JsonRecord).
class FieldReader {
 public:
  explicit FieldReader(const JsonRecord& record) : record_(record) {}

  template <typename T>
  void field(const char* key, T& value) {
    read(key, value);
  }
  template <typename T>
  void newer(const char* key, T& value) {
    if (record_.has(key)) read(key, value);
  }
  template <typename T>
  void optional(const char* key, std::optional<T>& value) {
    if (record_.has(key)) read(key, value.emplace());
  }
  void optional(const char* key, std::string& value) { newer(key, value); }
  void unless_true(const char* key, bool& value) { newer(key, value); }
  template <typename T>
  void or_null(const char* key, std::optional<T>& value) {
    optional(key, value);
  }

 private:
  void read(const char* key, std::string& value) const { value = record_.text(key); }
  void read(const char* key, int64_t& value) const { value = record_.count(key); }
  void read(const char* key, double& value) const { value = record_.number(key); }
  void read(const char* key, bool& value) const { value = record_.truth(key); }
  void read(const char* key, std::vector<std::string>& value) const { value = record_.texts(key); }
  void read(const char* key, nlohmann::json& value) const { value = record_.value().at(key); }

  const JsonRecord& record_;
};

template <typename Fields, typename Place>
void list_stage(Fields& fields, Place& place) {
  fields.field("stage", place.stage);
  fields.field("stage_index", place.stage_index);
}
template <typename Fields, typename Place>
void list_place(Fields& fields, Place& place) {
  list_stage(fields, place);
  fields.field("step", place.step);
}

// A record of metrics, evaluations or ledger: its `kKind` tells it from others in its file.
template <typename Record, typename List>
nlohmann::json write_record(const Record& record, const List& list) {
  nlohmann::json document{{"kind", Record::kKind}};
  FieldWriter fields(document);
  list(fields, record);
  return document;
}
template <typename Record, typename List>
Record read_record(const JsonRecord& line, const List& list) {
  Record record;
  FieldReader fields(line);
  list(fields, record);
  return record;
}

}  // namespace nexus
