#include "workloads/text/token_file_content.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/files.h"
#include "core/json_text.h"
#include "core/log.h"

namespace nexus {
namespace {

constexpr const char* kFormat = "nexus-token-content";
constexpr int kVersion = 1;
constexpr int64_t kMaxKeptBytes = 1 << 16;
constexpr size_t kTokenBlockBytes = 4 << 20;  // a multiple of every token's size

// `file` is PREFIX.bin as it was opened; the type of its ids stands in the index, which can be replaced alone.
nlohmann::json describe(const TokenFile& file) {
  const FileStamp& stamp = file.bin_stamp();
  return {{"format", kFormat},
          {"version", kVersion},
          {"type", token_type_name(file.type())},
          {"size_bytes", stamp.size_bytes},
          {"mtime_ns", stamp.mtime_ns},
          {"ctime_ns", stamp.ctime_ns},
          {"inode", stamp.inode}};
}

void require_unchanged(const FileStamp& before, const FileStamp& now, const std::string& path) {
  if (now != before)
    throw Error(ErrorKind::kData, "the file changes while it is read", path,
                "wait until whoever writes it has finished, then run the same command again");
}

template <typename Id>
void find_largest(const char* bytes, size_t count, int64_t first_token, TokenFileContent& content) {
  const auto at = [bytes](size_t index) {  // negative ids are beyond all others
    Id id;
    std::memcpy(&id, bytes + index * sizeof(Id), sizeof(Id));
    return static_cast<uint32_t>(narrow_id(id));
  };
  uint32_t largest = 0;
  for (size_t i = 0; i < count; ++i) largest = std::max(largest, at(i));
  if (count == 0 || static_cast<int64_t>(largest) <= content.largest_id) return;
  content.largest_id = static_cast<int64_t>(largest);
  for (size_t i = 0; i < count; ++i)
    if (at(i) == largest) {
      content.largest_at = first_token + static_cast<int64_t>(i);
      return;
    }
}

}  // namespace

nlohmann::json to_json(const TokenFileContent& content) {
  return {{"bin_digest", content.bin_digest}, {"largest_id", content.largest_id}, {"largest_at", content.largest_at}};
}

TokenFileContent token_file_content_from_json(const nlohmann::json& document) {
  return {document.at("bin_digest").get<std::string>(), document.at("largest_id").get<int64_t>(),
          document.at("largest_at").get<int64_t>()};
}

std::string content_path(const std::string& prefix) {
  return prefix + ".digest";
}

std::optional<TokenFileContent> kept_content(const TokenFile& file) {
  const std::string path = content_path(file.prefix());
  try {
    if (!path_exists(path)) return std::nullopt;
    const nlohmann::json kept = nlohmann::json::parse(read_text_file(path, kMaxKeptBytes));
    const nlohmann::json expected = describe(file);
    for (const auto& [key, value] : expected.items())
      if (kept.at(key) != value) return std::nullopt;
    return token_file_content_from_json(kept);
  } catch (const std::exception&) {  // damaged, or of another program: as good as none
    return std::nullopt;
  }
}

void keep_content(const TokenFile& file, const TokenFileContent& content) {
  nlohmann::json document = describe(file);
  document.update(to_json(content));
  try {
    write_file_durably(content_path(file.prefix()), json_text(document, 2) + "\n");
  } catch (const Error& error) {
    warn("the digest of {}.bin cannot be kept beside it ({}): every launch reads the whole file again", file.prefix(),
         error.fact());
  }
}

TokenFileReader::TokenFileReader(const TokenFile& file)
    : file_(file), bin_(file.prefix() + ".bin"), block_(kTokenBlockBytes) {
  require_unchanged(file_.bin_stamp(), bin_.stamp(), bin_.path());
}

bool TokenFileReader::read(int64_t max_bytes) {
  for (int64_t read_bytes = 0; read_bytes < std::max<int64_t>(max_bytes, 1);) {
    size_t filled = 0;
    while (filled < block_.size()) {
      const size_t got = bin_.read(block_.data() + filled, block_.size() - filled);
      if (got == 0) break;
      filled += got;
    }
    hasher_.add(block_.data(), filled);
    look_at_ids(block_.data(), filled);
    done_bytes_ += static_cast<int64_t>(filled);
    read_bytes += static_cast<int64_t>(filled);
    if (filled < block_.size()) {
      require_unchanged(file_.bin_stamp(), bin_.stamp(), bin_.path());
      content_.bin_digest = hasher_.digest();
      return false;
    }
  }
  return true;
}

void TokenFileReader::look_at_ids(const char* bytes, size_t size_bytes) {
  const auto token = static_cast<size_t>(token_bytes(file_.type()));
  const int64_t first = done_bytes_ / static_cast<int64_t>(token);
  with_token_type(file_.type(),
                  [&](auto id) { find_largest<decltype(id)>(bytes, size_bytes / token, first, content_); });
}

TokenFileContent TokenFileReader::content() const {
  NX_CHECK(!content_.bin_digest.empty(), "{} of {} bytes are read", done_bytes_, file_.bin_bytes());
  return content_;
}

TokenFileContent read_content(const TokenFile& file) {
  TokenFileReader reader(file);
  while (reader.read(int64_t{1} << 30)) {
  }
  return reader.content();
}

TokenFileContent content_of(const TokenFile& file) {
  if (const auto kept = kept_content(file)) return *kept;
  const TokenFileContent content = read_content(file);
  keep_content(file, content);
  return content;
}

}  // namespace nexus
