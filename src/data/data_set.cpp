#include "data/data_set.h"

namespace nexus {

DataContent content_of(const DataSet& set) {
  if (std::optional<DataContent> kept = set.kept_content()) return std::move(*kept);
  const std::unique_ptr<ContentReader> reader = set.content_reader();
  while (reader->read(int64_t{1} << 30)) {
  }
  DataContent content = reader->content();
  set.keep_content(content);
  return content;
}

}  // namespace nexus
