// Samples of text: windows of T + 1 tokens over a token file's documents, one after the other.
//
// Window w covers tokens [w*T, w*T + T]: T inputs ("tokens"), and T targets one token later ("targets"), so neighbours
// share one token and every token but the first is a target once. A last incomplete window is left out.
#pragma once

#include <optional>
#include <string>

#include "data/data_set.h"
#include "workloads/text/token_file.h"

namespace nexus {

class TokenWindows : public DataSet {
 public:
  // Throws ErrorKind::kData where the file has fewer than context + 1 tokens.
  TokenWindows(const std::string& prefix, int64_t context, int64_t vocab_size);

  const std::string& path() const override { return file_.prefix(); }
  BatchFields fields() const override;
  int64_t count() const override { return count_; }
  int64_t units() const override { return file_.tokens(); }
  // Every id is checked against the vocabulary.
  void fetch(int64_t window, const Batch& batch, int64_t row) const override;

  std::string index_digest() const override { return file_.index_digest(); }
  std::string stamp() const override { return file_.bin_stamp().str(); }
  int64_t content_bytes() const override { return file_.bin_bytes(); }
  // Facts: workloads/text/token_file_content.h.
  std::unique_ptr<ContentReader> content_reader() const override;
  std::optional<DataContent> kept_content() const override;
  void keep_content(const DataContent& content) const override;
  // The same ids, whatever documents and types the indexes say.
  bool holds_same(const DataSet& other) const override;

  const TokenFile& file() const { return file_; }
  // UTF-8 bytes of text per token; nothing where PREFIX.json is missing.
  std::optional<double> bytes_per_token() const { return bytes_per_token_; }

 private:
  TokenFile file_;
  int64_t context_, vocab_size_, count_;
  std::optional<double> bytes_per_token_;
};

}  // namespace nexus
