// libFuzzer on token files: the input is an index of as many bytes as its first two say, and what is left, the .bin.
// Whatever they hold is refused, or read inside the files.
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"
#include "workloads/text/token_file.h"

namespace {

void put(const std::string& path, const uint8_t* data, size_t size) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr || std::fwrite(data, 1, size, file) != size || std::fclose(file) != 0) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string prefix =
      (std::filesystem::temp_directory_path() / ("fuzz-token-file-" + std::to_string(::getpid()))).string();
  if (size < 2) return 0;
  const size_t index = std::min<size_t>(data[0] | data[1] << 8, size - 2);
  put(prefix + ".idx", data + 2, index);
  put(prefix + ".bin", data + 2 + index, size - 2 - index);
  try {
    const nexus::TokenFile file(prefix);
    std::vector<int32_t> ids(static_cast<size_t>(file.tokens()));
    file.read(0, file.tokens(), ids.data());
    for (int64_t d = 0; d < file.documents(); ++d) {
      const auto document = file.document(d);
      for (int64_t s = 0; s < document.sequences; ++s) {
        const auto sequence = file.sequence(document.first_sequence + s);
        file.read(sequence.first_token, sequence.tokens, ids.data());
      }
    }
  } catch (const nexus::Error& error) {
    if (error.kind() != nexus::ErrorKind::kData) std::abort();
  }
  return 0;
}
