#include "data/dataset_builder.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <future>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "core/error.h"
#include "core/files.h"
#include "core/hash.h"
#include "core/json_text.h"
#include "core/log.h"
#include "core/units.h"
#include "data/data_check.h"
#include "data/text_splitter.h"
#include "data/text_survey.h"
#include "data/token_file.h"
#include "data/token_file_content.h"
#include "data/tokenizer.h"
#include "data/vocabulary.h"
#include "data/worker_pool.h"

namespace nexus {
namespace {

// Enough for stable merges at 32K pieces; SentencePiece then needs about 20 s and 120 MB.
constexpr int64_t kVocabularySampleBytes = 8 << 20;
// One task: long enough that handing it over costs nothing, short enough that what waits between threads stays small.
constexpr size_t kBatchBytes = 1 << 16;
constexpr int kMaxWorkers = 256;
// Raised when the same text would give other files, so that re-entrant builds notice. 2: documents without blanks give
// their share for validation, and byte order marks are no text.
constexpr int kBuilderVersion = 2;
constexpr double kLargestValidShare = 0.5;
// Above this share of unknown tokens a tokenizer does not fit a text.
constexpr double kManyUnknown = 0.02;

void check_options(const BuildOptions& options) {
  const auto refuse = [](const std::string& what, const std::string& todo) {
    throw Error(ErrorKind::kConfig, what, "nexus data build", todo);
  };
  if (options.inputs.empty()) refuse("no input files", "name one or more text files");
  if (options.out.empty()) refuse("no output prefix", "say --out PREFIX");
  if (Utf8Checker utf8; utf8.feed(options.out) || !utf8.complete())
    throw Error(ErrorKind::kConfig, "the name given with --out is not UTF-8: no campaign file could name it",
                options.out, "choose a name in UTF-8");
  if (const auto name = std::filesystem::path(options.out).filename(); name.empty() || name == "." || name == "..")
    refuse("--out is a prefix of file names, and '" + options.out + "' names a folder",
           "say for example --out data/web");
  if (options.json_field != "text" && options.documents != DocumentMode::kJsonLines)
    refuse("--json-field without --documents jsonl", "say what a document is");
  if ((options.vocab_size > 0) == !options.tokenizer.empty())
    refuse("the vocabulary is not clear", "say either --vocab N (train one) or --tokenizer FILE.model");
  if (!(options.valid_share >= 0 && options.valid_share <= kLargestValidShare))
    refuse(fmt::format("a validation share of {}", options.valid_share),
           fmt::format("choose a share from 0 to {}", kLargestValidShare));
  if (options.workers < 0 || options.workers > kMaxWorkers)
    refuse(fmt::format("{} workers", options.workers),
           fmt::format("choose 1 to {}, or 0 for one per core", kMaxWorkers));
}

DocumentReader open_documents(const BuildOptions& options) {
  return {options.inputs, options.documents, options.json_field};
}

std::vector<TextFileRef> describe_sources(const std::vector<std::string>& inputs) {
  std::vector<TextFileRef> sources;
  for (const std::string& path : inputs) {
    const InputFile file(path);  // refuses what is no regular file before it is hashed
    sources.push_back({path, file.size_bytes(), hash_file(path)});
  }
  return sources;
}

void warn_of_json_lines(const BuildOptions& options) {
  for (const std::string& path : options.inputs)
    if (path.find(".jsonl") != std::string::npos && options.documents != DocumentMode::kJsonLines)
      warn("{} is taken as plain text, with its brackets and names; for JSON Lines say --documents jsonl", path);
}

// Where tails are held out, copies are cut at the same place.
void warn_of_copies(const std::vector<TextFileRef>& sources) {
  std::map<std::string, std::string> paths;
  for (const TextFileRef& source : sources) {
    const auto [first, is_new] = paths.emplace(source.digest, source.path);
    if (!is_new && source.size_bytes > 0)
      warn(
          "{} has the same content as {}: its documents are in the data twice, and some in both training and "
          "validation",
          source.path, first->second);
  }
}

// Everything that determines the files; not the number of workers, nor the names of the inputs.
std::string digest_of_build(const BuildOptions& options, const std::vector<TextFileRef>& sources, int version) {
  nlohmann::json json = {{"version", version},
                         {"documents", document_mode_name(options.documents)},
                         {"valid_share", options.valid_share},
                         {"vocab_size", options.vocab_size}};
  if (options.documents == DocumentMode::kJsonLines) json["json_field"] = options.json_field;
  if (!options.tokenizer.empty()) json["tokenizer"] = Tokenizer(options.tokenizer).digest();
  for (const TextFileRef& source : sources) json["sources"].push_back(source.digest);
  return hash_text(json_text(json));
}

// Throws where the files are not those that the description beside them was written for. Reads those that were touched;
// `nexus data verify` reads every byte.
void require_as_built(const std::string& prefix) {
  const TokenFile file(prefix);
  const NamedTokenFile named = name_token_file("nexus data build", file);
  if (named.info) check_content(named, content_of(file), named.info->vocab_size);
}

// The finished result of the same build; nothing where there is none. Throws where PREFIX holds something else.
std::optional<BuildResult> find_finished(const BuildOptions& options, const TokenFileInfo& wanted) {
  if (options.force) return std::nullopt;
  const std::string train = train_prefix(options.out), valid = valid_prefix(options.out);
  const std::optional<TokenFileInfo> info = read_token_file_info(train);
  const bool is_older = info && info->build_digest == digest_of_build(options, wanted.sources, kBuilderVersion - 1);
  if (is_older)
    warn(
        "{} was built by an older nexus, which left documents without blanks out of validation; --force builds it anew",
        train);
  if (info && (is_older || info->build_digest == wanted.build_digest)) {
    require_as_built(train);
    BuildResult result{true, *info, std::nullopt};
    if (options.valid_share > 0) {
      require_as_built(valid);
      result.valid = read_token_file_info(valid);
    }
    if (result.valid.has_value() == (options.valid_share > 0)) return result;
  }
  if (info || path_exists(train + ".idx"))
    throw Error(ErrorKind::kConfig, "these token files were built from other text or options", train,
                "choose another --out, or say --force to replace them");
  return std::nullopt;
}

Tokenizer make_tokenizer(const BuildOptions& options, VocabularySample sample) {
  const std::string path = options.out + ".model";
  if (!options.tokenizer.empty()) return Tokenizer(options.tokenizer);
  const std::vector<std::string> pieces = std::move(sample).finish();
  int64_t bytes = 0;
  for (const std::string& piece : pieces) bytes += static_cast<int64_t>(piece.size());
  log("data vocabulary | pieces {} | sample {}", options.vocab_size, format_bytes(bytes));
  return Tokenizer::from_bytes(train_vocabulary(pieces, options.vocab_size), path);
}

void store_tokenizer(const BuildOptions& options, const Tokenizer& tokenizer) {
  const std::string path = options.out + ".model";
  if (path_exists(path) && hash_file(path) == tokenizer.digest()) return;
  if (path_exists(path) && !options.force)
    throw Error(ErrorKind::kConfig, "another tokenizer lies here already", path,
                "choose another --out, or say --force to replace it");
  write_file_durably(path, tokenizer.model_bytes());
}

// Descriptions first: a token file without one is never taken for finished.
void remove_old_files(const std::string& out) {
  for (const char* suffix : {".json", ".digest", ".idx", ".bin"})
    for (const std::string& prefix : {train_prefix(out), valid_prefix(out)}) std::remove((prefix + suffix).c_str());
}

struct EncodedPiece {
  std::vector<int32_t> ids;  // with BOS where a document begins
  int64_t text_bytes = 0, unknown_tokens = 0;
  Part part = Part::kTrain;
  bool ends_document = false;
};

std::vector<EncodedPiece> encode_batch(const Tokenizer& tokenizer, const std::vector<SplitPiece>& batch) {
  std::vector<EncodedPiece> result;
  result.reserve(batch.size());
  for (const SplitPiece& item : batch) {
    EncodedPiece encoded;
    if (item.piece.begins_document) {
      encoded.ids = tokenizer.encode(item.piece.text);
      encoded.ids.insert(encoded.ids.begin(), tokenizer.bos_id());
    } else {
      encoded.ids = tokenizer.encode_continuation(item.piece.text);
    }
    encoded.text_bytes = static_cast<int64_t>(item.piece.text.size());
    encoded.unknown_tokens = std::count(encoded.ids.begin(), encoded.ids.end(), tokenizer.unknown_id());
    encoded.part = item.part;
    encoded.ends_document = item.piece.ends_document;
    result.push_back(std::move(encoded));
  }
  return result;
}

struct PartWriter {
  PartWriter(const std::string& prefix, TokenType type) : file(prefix, type) {}
  TokenFileWriter file;
  int64_t text_bytes = 0, unknown_tokens = 0;
};

// Hands batches to the workers and writes the results in the order of the text.
class OrderedEncoder {
 public:
  OrderedEncoder(const Tokenizer& tokenizer, int workers, int64_t text_bytes, PartWriter& train, PartWriter* valid)
      : tokenizer_(tokenizer),
        max_waiting_(2 * static_cast<size_t>(workers) + 1),
        train_(train),
        valid_(valid),
        progress_("data encode", text_bytes, "bytes"),
        pool_(workers) {}

  void add(SplitPiece piece) {
    batch_bytes_ += piece.piece.text.size();
    batch_.push_back(std::move(piece));
    if (batch_bytes_ >= kBatchBytes) submit();
  }
  void finish() {
    submit();
    while (!waiting_.empty()) write_next();
    progress_.finish();
  }

 private:
  void submit() {
    if (waiting_.size() == max_waiting_) write_next();
    waiting_.push_back(
        pool_.submit([tokenizer = &tokenizer_, batch = std::move(batch_)] { return encode_batch(*tokenizer, batch); }));
    batch_.clear();
    batch_bytes_ = 0;
  }
  void write_next() {
    const std::vector<EncodedPiece> pieces = waiting_.front().get();
    waiting_.pop_front();
    for (const EncodedPiece& piece : pieces) {
      PartWriter& writer = piece.part == Part::kTrain ? train_ : *valid_;
      writer.file.append(piece.ids.data(), static_cast<int64_t>(piece.ids.size()));
      if (piece.ends_document) writer.file.end_document();
      writer.text_bytes += piece.text_bytes;
      writer.unknown_tokens += piece.unknown_tokens;
      done_bytes_ += piece.text_bytes;
    }
    progress_.update(done_bytes_);
  }

  const Tokenizer& tokenizer_;
  size_t max_waiting_;
  PartWriter& train_;
  PartWriter* valid_;
  Progress progress_;
  int64_t done_bytes_ = 0;
  std::vector<SplitPiece> batch_;
  size_t batch_bytes_ = 0;
  std::deque<std::future<std::vector<EncodedPiece>>> waiting_;
  WorkerPool pool_;  // last, so that the threads end before what they use
};

TokenFileInfo finish_part(const std::string& prefix, TokenFileInfo info, PartWriter& part) {
  part.file.finish();
  info.documents = part.file.documents();
  info.tokens = part.file.tokens();
  info.text_bytes = part.text_bytes;
  info.unknown_tokens = part.unknown_tokens;
  info.bin_digest = part.file.bin_digest();
  info.idx_digest = part.file.idx_digest();
  keep_content(TokenFile(prefix), {info.bin_digest, part.file.largest_id(), part.file.largest_at()});
  write_token_file_info(prefix, info);
  return info;
}

void warn_of_oddities(const BuildResult& result, double valid_share) {
  int64_t tokens = 0, unknown = 0, bytes = 0;
  for (const TokenFileInfo* part : {&result.train, result.valid ? &*result.valid : nullptr}) {
    if (part == nullptr) continue;
    tokens += part->tokens;
    unknown += part->unknown_tokens.value_or(0);
    bytes += part->text_bytes;
  }
  const double unknown_share = static_cast<double>(unknown) / static_cast<double>(std::max<int64_t>(tokens, 1));
  if (unknown_share >= kManyUnknown)
    warn(
        "{:.1f} % of the tokens stand for text that this tokenizer does not know, which is lost; use a tokenizer of "
        "this language, or train one with --vocab N",
        100 * unknown_share);
  if (!result.valid) return;
  const double share = static_cast<double>(result.valid->text_bytes) / static_cast<double>(bytes);
  if (share > 2 * valid_share || share < valid_share / 2)
    warn(
        "the validation part holds {:.2g} % of the text instead of {:.2g} %: the documents are few or differ much in "
        "length",
        100 * share, 100 * valid_share);
}

[[noreturn]] void refuse_empty_validation(const BuildOptions& options, const TextSurvey& survey) {
  const std::optional<double> least = least_valid_share(survey, kLargestValidShare);
  throw Error(ErrorKind::kData,
              fmt::format("{} document{} with {} bytes of text are too little for a validation share of {}",
                          survey.documents, survey.documents == 1 ? "" : "s", survey.text_bytes, options.valid_share),
              options.inputs.front(),
              least ? fmt::format("say --valid-share {:.2g} or more, or 0 for no validation part", *least)
                    : "give more text, or say --valid-share 0 for no validation part");
}

BuildResult encode_text(const BuildOptions& options, const TextSurvey& survey, TextSplitter splitter,
                        const Tokenizer& tokenizer, const TokenFileInfo& info) {
  const std::string train_name = train_prefix(options.out), valid_name = valid_prefix(options.out);
  const TokenType type = token_type_for(tokenizer.vocab_size());
  PartWriter train(train_name, type);
  std::optional<PartWriter> valid;
  if (options.valid_share > 0) valid.emplace(valid_name, type);

  const int cores = std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMaxWorkers);
  OrderedEncoder encoder(tokenizer, options.workers > 0 ? options.workers : cores, survey.text_bytes, train,
                         valid ? &*valid : nullptr);
  DocumentReader reader = open_documents(options);
  while (std::optional<TextPiece> piece = reader.next())
    for (SplitPiece& part : splitter.split(std::move(*piece))) encoder.add(std::move(part));
  encoder.finish();
  if (valid && valid->file.tokens() == 0) refuse_empty_validation(options, survey);

  remove_old_files(options.out);
  BuildResult result;
  if (valid) result.valid = finish_part(valid_name, info, *valid);
  result.train = finish_part(train_name, info, train);
  warn_of_oddities(result, options.valid_share);
  return result;
}

}  // namespace

std::string train_prefix(const std::string& out) {
  return out + "-train";
}
std::string valid_prefix(const std::string& out) {
  return out + "-valid";
}

BuildResult build_dataset(const BuildOptions& options) {
  check_options(options);
  const std::filesystem::path out(options.out);
  TokenFileInfo info;
  info.sources = describe_sources(options.inputs);
  info.build_digest = digest_of_build(options, info.sources, kBuilderVersion);
  if (std::optional<BuildResult> finished = find_finished(options, info)) return *finished;
  warn_of_json_lines(options);
  const std::string folder = out.has_parent_path() ? out.parent_path().string() : ".";
  make_folders(folder);
  if (::access(folder.c_str(), W_OK) != 0) throw_errno("write in the folder", folder);

  VocabularySample sample(kVocabularySampleBytes);
  const bool trains = options.vocab_size > 0;
  const TextSurvey survey = survey_text(open_documents(options), trains ? &sample : nullptr);
  if (survey.documents == 0)
    throw Error(ErrorKind::kData, "there is no text", options.inputs.front(), "give files with text");
  log("data survey | documents {} | text {}", survey.documents, format_bytes(survey.text_bytes));
  TextSplitter splitter(survey, options.valid_share, open_documents(options));
  if (splitter.holds_out_nothing()) refuse_empty_validation(options, survey);
  if (options.valid_share > 0 && splitter.splits_whole_documents()) warn_of_copies(info.sources);

  const Tokenizer tokenizer = make_tokenizer(options, std::move(sample));
  if (tokenizer.bos_id() < 0)
    throw Error(ErrorKind::kData, "the tokenizer has no BOS piece, which documents begin with",
                trains ? options.out + ".model" : options.tokenizer, "use a model with <s>");
  store_tokenizer(options, tokenizer);
  info.vocab_size = tokenizer.vocab_size();
  info.bos_id = tokenizer.bos_id();
  info.type = token_type_name(token_type_for(info.vocab_size));
  info.tokenizer = (out.filename().string() + ".model");
  info.tokenizer_digest = tokenizer.digest();
  info.document_mode = document_mode_name(options.documents);
  info.valid_share = options.valid_share;
  return encode_text(options, survey, std::move(splitter), tokenizer, info);
}

}  // namespace nexus
