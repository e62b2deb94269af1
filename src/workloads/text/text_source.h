// Text of one file as a stream of bytes: plain, .xz or .zst, recognised by its first bytes and not by its name.
//
// Memory is bounded whatever the file's size: decoders that ask for more than 256 MiB are refused. Errors:
// ErrorKind::kData for damaged or truncated archives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace nexus {

class TextSource {
 public:
  virtual ~TextSource() = default;
  // Up to `size` bytes of text; 0 only at the end.
  virtual size_t read(char* buffer, size_t size) = 0;
};

std::unique_ptr<TextSource> open_text(const std::string& path);

}  // namespace nexus
