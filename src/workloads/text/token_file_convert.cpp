#include "workloads/text/token_file_convert.h"

#include <algorithm>
#include <filesystem>
#include <limits>

#include "core/error.h"
#include "core/files.h"
#include "system/progress_bar.h"
#include "workloads/text/token_file_content.h"

namespace nexus {
namespace {

constexpr int64_t kBlockTokens = 1 << 16;

int64_t largest_id_of(TokenType type) {
  return with_token_type(type, [](auto id) {
    return static_cast<int64_t>(std::min<uint64_t>(std::numeric_limits<decltype(id)>::max(), INT32_MAX - 1));
  });
}

// INT32_MAX stands for what is beyond it.
void require_ids_up_to(int64_t most, const TokenFile& file, const TokenFileContent& content, const std::string& type) {
  if (content.largest_id <= most) return;
  const auto id = static_cast<int32_t>(static_cast<uint32_t>(content.largest_id));
  throw Error(id < 0 || type.empty() ? ErrorKind::kData : ErrorKind::kConfig,
              fmt::format("token {} has id {}{}, which {}", content.largest_at, id, id == INT32_MAX ? " or more" : "",
                          id < 0 || type.empty() ? "is none" : "does not fit " + type),
              file.prefix() + ".bin",
              id < 0 || type.empty() ? "make the file anew" : "choose a wider --type, or leave it out");
}

class Conversion {
 public:
  Conversion(const std::vector<TokenFile>& files, const std::string& out, TokenType type, bool modes)
      : writer_(out, type, modes), ids_(kBlockTokens), progress_("data convert", tokens_of(files), "tokens") {}

  void add(const TokenFile& file) {
    for (int64_t d = 0; d < file.documents(); ++d) {
      const TokenFile::Document document = file.document(d);
      for (int64_t s = 0; s < document.sequences; ++s) {
        const TokenFile::Sequence sequence = file.sequence(document.first_sequence + s);
        copy(file, sequence);
        writer_.end_sequence(sequence.mode);
      }
      writer_.end_document();
    }
  }

  TokenFileContent finish() {
    writer_.finish();
    progress_.finish();
    return {writer_.bin_digest(), writer_.largest_id(), writer_.largest_at()};
  }

 private:
  static int64_t tokens_of(const std::vector<TokenFile>& files) {
    int64_t tokens = 0;
    for (const TokenFile& file : files) tokens += file.tokens();
    return tokens;
  }
  void copy(const TokenFile& file, const TokenFile::Sequence& sequence) {
    for (int64_t done = 0; done < sequence.tokens; done += kBlockTokens) {
      const int64_t count = std::min(kBlockTokens, sequence.tokens - done);
      file.read(sequence.first_token + done, count, ids_.data());
      writer_.append(ids_.data(), count);
    }
    progress_.update(writer_.tokens());
  }

  TokenFileWriter writer_;
  std::vector<int32_t> ids_;
  Progress progress_;
};

}  // namespace

TokenFile convert_token_files(const TokenFileConversion& conversion) {
  for (const char* suffix : {".idx", ".bin", ".json"})
    if (path_exists(conversion.out + suffix))
      throw Error(ErrorKind::kConfig, "this exists already", conversion.out + suffix,
                  "choose another --out, or remove it");
  std::vector<TokenFile> files;
  int64_t largest = -1;
  bool modes = false;
  for (const std::string& prefix : conversion.inputs) {
    const TokenFile& file = files.emplace_back(prefix);
    const TokenFileContent content = content_of(file);
    require_ids_up_to(INT32_MAX - 1, file, content, "");
    if (conversion.type)
      require_ids_up_to(largest_id_of(*conversion.type), file, content, token_type_name(*conversion.type));
    largest = std::max(largest, content.largest_id);
    modes = modes || file.has_modes();
  }
  make_folders(std::filesystem::absolute(conversion.out).parent_path());
  Conversion work(files, conversion.out, conversion.type.value_or(token_type_for(largest + 1)), modes);
  for (const TokenFile& file : files) work.add(file);
  const TokenFileContent content = work.finish();
  TokenFile made(conversion.out);
  keep_content(made, content);
  return made;
}

}  // namespace nexus
