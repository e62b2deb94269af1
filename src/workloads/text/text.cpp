#include "workloads/text/text.h"

#include <algorithm>
#include <cstring>
#include <numbers>
#include <optional>

#include "core/log.h"
#include "core/rng.h"
#include "layers/embedding.h"
#include "layers/head.h"
#include "workloads/text/data_check.h"
#include "workloads/text/text_overlap.h"
#include "workloads/text/token_windows.h"

namespace nexus {
namespace {

using nlohmann::json;

constexpr char kVocab[] = "V", kTie[] = "tie";
// Text that is read more often than this teaches ever less (Muennighoff et al. 2023, arXiv 2305.16264: up to 4 times it
// is nearly as good as new text).
constexpr double kManyPasses = 4;

int64_t vocab_of(const ModelConfig& config) {
  return config.count(kVocab);
}

const TokenFile& file_of(const DataSet& set) {
  return dynamic_cast<const TokenWindows&>(set).file();
}

std::vector<NamedTokenFile> token_files(const std::vector<NamedDataSet>& sets) {
  std::vector<NamedTokenFile> files;
  for (const NamedDataSet& each : sets) files.push_back(name_token_file(each.key, file_of(*each.set)));
  return files;
}

std::optional<TokenizerIdentity> tokenizer_of(const Encoder& encoder) {
  if (!encoder.path.empty()) return identify_tokenizer(encoder.path);
  if (encoder.named_by.empty()) return std::nullopt;
  return TokenizerIdentity{encoder.named_by, encoder.digest};
}

// Ids without meaning, which are handed out by copying, as those of a token file are.
class RandomTokens {
 public:
  RandomTokens(int64_t context, int64_t vocab, uint64_t seed) : context_(context) {
    constexpr int64_t kLeast = 1 << 20;
    const RandomStream random(seed, "bench tokens");
    tokens_.resize(static_cast<size_t>(std::max(kLeast, 4 * context)));
    for (size_t i = 0; i < tokens_.size(); ++i)
      tokens_[i] = static_cast<int32_t>(random.below(i, static_cast<uint64_t>(vocab)));
  }

  void operator()(int64_t sample, const Batch& batch, int64_t row) const {
    const auto bytes = static_cast<size_t>(context_) * sizeof(int32_t);
    const int64_t begin = sample * context_ % (static_cast<int64_t>(tokens_.size()) - context_);
    std::memcpy(batch.at("tokens").rows(row, 1).data, tokens_.data() + begin, bytes);
    std::memcpy(batch.at("targets").rows(row, 1).data, tokens_.data() + begin + 1, bytes);
  }

 private:
  int64_t context_;
  std::vector<int32_t> tokens_;
};

class Text : public Workload {
 public:
  const WorkloadWords& words() const override {
    static const WorkloadWords words;  // its defaults are text's
    return words;
  }

  const std::vector<ModelKey>& keys() const override {
    static const std::vector<ModelKey> keys = {
        {.name = kVocab, .comment = "vocabulary; must cover the tokenizer's", .preset = "32000", .cut_unevenly = true},
        {.name = kTie,
         .comment = "the head shares the embedding's matrix; tokenformer: true",
         .preset = "false",
         .choices = {"true", "false"}}};
    return keys;
  }

  std::unique_ptr<InputLayer> input_layer(const ModelConfig& config, ParamTable& table) const override {
    return std::make_unique<Embedding>(table, "embed.weight", vocab_of(config), config.d);
  }
  std::unique_ptr<OutputLayer> output_layer(const ModelConfig& config, const InputLayer& input,
                                            ParamTable& table) const override {
    if (config.flag(kTie)) return std::make_unique<Head>(table, dynamic_cast<const Embedding&>(input).param());
    return std::make_unique<Head>(table, "head.weight", vocab_of(config), config.d);
  }

  std::vector<Figure> metrics(const DataSet& valid, const Figure& loss, const std::vector<double>&) const override {
    const double bytes = dynamic_cast<const TokenWindows&>(valid).bytes_per_token().value_or(0.0);
    if (!(bytes > 0)) return {};
    const auto of_bytes = [bytes](double nats) { return nats / std::numbers::ln2 / bytes; };
    return {{kBitsPerByteFigure, "bits/byte", of_bytes(loss.value), of_bytes(loss.se), loss.count}};
  }

  std::string files() const override { return "token files"; }
  std::string files_advice() const override { return "make token files with `nexus data build`"; }
  std::vector<std::string> files_of(const std::string& path) const override { return {path + ".idx", path + ".bin"}; }
  std::unique_ptr<const DataSet> open(const std::string& path, int64_t context,
                                      const ModelConfig& config) const override {
    return std::make_unique<TokenWindows>(path, context, vocab_of(config));
  }
  FetchSample random_samples(int64_t context, const ModelConfig& config, uint64_t seed) const override {
    return RandomTokens(context, vocab_of(config), seed);
  }

  std::string check_descriptions(const std::vector<NamedDataSet>& sets, const Encoder& encoder,
                                 const ModelConfig& config) const override {
    return nexus::check_descriptions(token_files(sets), tokenizer_of(encoder), vocab_of(config));
  }
  void check_contents(const std::vector<NamedDataSet>& sets, const std::vector<DataContent>& contents,
                      const Encoder& encoder, const ModelConfig& config) const override {
    const std::vector<NamedTokenFile> files = token_files(sets);
    const std::optional<TokenizerIdentity> tokenizer = tokenizer_of(encoder);
    for (size_t i = 0; i < files.size(); ++i) {
      const TokenFileContent content = token_file_content_from_json(contents[i].facts);
      check_content(files[i], content, vocab_of(config));
      // Some programs add ids of their own to a tokenizer's.
      if (tokenizer && tokenizer->pieces > 0 && content.largest_id >= tokenizer->pieces)
        warn("{} ({}): token {} has id {}, but the tokenizer has {} pieces: was the file made by another one?",
             files[i].key, files[i].file->prefix(), content.largest_at, content.largest_id, tokenizer->pieces);
    }
  }

  json describe(const DataSet& set, const DataContent& content) const override {
    const TokenFile& file = file_of(set);
    json document{{"path", file.prefix()},
                  {"tokens", file.tokens()},
                  {"type", content.type},
                  {"bin_digest", content.digest},
                  {"idx_digest", file.index_digest()},
                  {"largest_id", content.facts.at("largest_id")}};
    if (const auto info = read_token_file_info(file.prefix())) {
      document["tokenizer_digest"] = info->tokenizer_digest;
      document["vocab_size"] = info->vocab_size;
    }
    return document;
  }
  json describe(const ModelConfig& config) const override { return {{kVocab, vocab_of(config)}}; }
  std::string overlap_warning(const DataSet& valid, const DataSet& train) const override {
    const std::string reason = same_text_reason(valid.path(), train.path());
    if (reason.empty()) return "";
    return fmt::format(
        "validation text is trained on: {} {} as data.train {}; its losses say nothing about new text, so "
        "name the -valid part of the same build (`nexus data verify VALID --against TRAIN` counts)",
        valid.path(), reason, train.path());
  }
  std::string repetition_warning(double passes) const override {
    if (passes <= kManyPasses) return "";
    return fmt::format(
        "text that is read more than about {:.0f} times teaches ever less (arXiv 2305.16264), and a small one is "
        "learned by heart; give more text, fewer tokens or a lower weight",
        kManyPasses);
  }
};

}  // namespace

const Workload& text_workload() {
  static const Text text;
  return text;
}

}  // namespace nexus
