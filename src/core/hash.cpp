#include "core/hash.h"

#include <xxhash.h>

#include <cstdio>
#include <vector>

#include "core/error.h"

namespace nexus {
namespace {

std::string hex(XXH128_hash_t value) {
  return fmt::format("{:016x}{:016x}", static_cast<unsigned long long>(value.high64),
                     static_cast<unsigned long long>(value.low64));
}

}  // namespace

struct Hasher::State {
  XXH3_state_t* xxh = nullptr;
  State() : xxh(XXH3_createState()) {
    NX_CHECK(xxh != nullptr);
    XXH3_128bits_reset(xxh);
  }
  ~State() { XXH3_freeState(xxh); }
};

Hasher::Hasher() : state_(std::make_unique<State>()) {}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;
void Hasher::add(const void* data, size_t size_bytes) {
  XXH3_128bits_update(state_->xxh, data, size_bytes);
}
std::string Hasher::digest() const {
  return hex(XXH3_128bits_digest(state_->xxh));
}

std::string hash_bytes(const void* data, size_t size_bytes) {
  return hex(XXH3_128bits(data, size_bytes));
}

std::string hash_file(const std::string& path) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (!file) throw_errno("open", path);
  Hasher hasher;
  std::vector<char> block(1 << 20);
  size_t got = 0;
  while ((got = std::fread(block.data(), 1, block.size(), file.get())) > 0) hasher.add(block.data(), got);
  if (std::ferror(file.get())) throw_errno("read", path);
  return hasher.digest();
}

}  // namespace nexus
