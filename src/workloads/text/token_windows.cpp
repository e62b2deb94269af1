#include "workloads/text/token_windows.h"

#include <algorithm>

#include "core/error.h"
#include "workloads/text/text_overlap.h"
#include "workloads/text/token_file_content.h"
#include "workloads/text/token_file_info.h"

namespace nexus {
namespace {

DataContent content_of_type(const TokenFileContent& content, const TokenFile& file) {
  return {content.bin_digest, token_type_name(file.type()), to_json(content)};
}

class WindowsReader : public ContentReader {
 public:
  explicit WindowsReader(const TokenFile& file) : file_(file), reader_(file) {}
  bool read(int64_t max_bytes) override { return reader_.read(max_bytes); }
  int64_t done_bytes() const override { return reader_.done_bytes(); }
  DataContent content() const override { return content_of_type(reader_.content(), file_); }

 private:
  const TokenFile& file_;
  TokenFileReader reader_;
};

std::optional<double> bytes_per_token_of(const std::string& prefix) {
  const std::optional<TokenFileInfo> info = read_token_file_info(prefix);
  return info ? std::optional(info->bytes_per_token()) : std::nullopt;
}

}  // namespace

TokenWindows::TokenWindows(const std::string& prefix, int64_t context, int64_t vocab_size)
    : file_(prefix), context_(context), vocab_size_(vocab_size), count_(0) {
  NX_CHECK(context > 0 && vocab_size > 0, "context {}, vocabulary {}", context, vocab_size);
  count_ = (file_.tokens() - 1) / context;
  if (file_.tokens() < context + 1)
    throw Error(ErrorKind::kData, fmt::format("{} tokens are fewer than one sample of {} + 1", file_.tokens(), context),
                prefix, "give more text or lower data.context");
  bytes_per_token_ = bytes_per_token_of(prefix);
}

BatchFields TokenWindows::fields() const {
  return {{"tokens", DType::kI32, {context_}}, {"targets", DType::kI32, {context_}}};
}

void TokenWindows::fetch(int64_t window, const Batch& batch, int64_t row) const {
  NX_CHECK(window >= 0 && window < count_, "window {} of {}", window, count_);
  int32_t* tokens = batch.at("tokens").rows(row, 1).as<int32_t>();
  int32_t* targets = batch.at("targets").rows(row, 1).as<int32_t>();
  const int64_t first = window * context_;
  file_.read(first, context_, tokens);
  file_.read(first + context_, 1, targets + context_ - 1);
  std::copy(tokens + 1, tokens + context_, targets);
  check_ids(tokens, 1, vocab_size_, file_.prefix(), first);
  check_ids(targets, context_, vocab_size_, file_.prefix(), first + 1);
}

std::unique_ptr<ContentReader> TokenWindows::content_reader() const {
  return std::make_unique<WindowsReader>(file_);
}

std::optional<DataContent> TokenWindows::kept_content() const {
  const std::optional<TokenFileContent> kept = nexus::kept_content(file_);
  return kept ? std::optional(content_of_type(*kept, file_)) : std::nullopt;
}

void TokenWindows::keep_content(const DataContent& content) const {
  nexus::keep_content(file_, token_file_content_from_json(content.facts));
}

bool TokenWindows::holds_same(const DataSet& other) const {
  const TokenFile& file = dynamic_cast<const TokenWindows&>(other).file_;
  if (file_.tokens() != file.tokens()) return false;
  const auto mine = kept_content(), theirs = other.kept_content();
  if (mine && theirs && mine->type == theirs->type) return mine->digest == theirs->digest;
  return hold_same_tokens(file_, file);
}

}  // namespace nexus
