// XXH3-128: fast digests against accidents (not against forgery). 32 lower-case hexadecimal digits.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace nexus {

std::string hash_bytes(const void* data, size_t size_bytes);
inline std::string hash_text(std::string_view text) {
  return hash_bytes(text.data(), text.size());
}
// Digest of a whole file, read in blocks.
std::string hash_file(const std::string& path);

// Digest of bytes that arrive in pieces; equal to hash_bytes of their concatenation.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  void add(const void* data, size_t size_bytes);
  std::string digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nexus
