#include "workloads/text/dataset_builder.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "core/clean_text.h"
#include "core/error.h"
#include "core/files.h"
#include "core/hash.h"
#include "core/json_text.h"
#include "core/log.h"
#include "core/units.h"
#include "data/worker_pool.h"
#include "system/progress_bar.h"
#include "workloads/text/build_warnings.h"
#include "workloads/text/data_check.h"
#include "workloads/text/text_splitter.h"
#include "workloads/text/text_survey.h"
#include "workloads/text/token_file.h"
#include "workloads/text/token_file_content.h"
#include "workloads/text/tokenizer.h"
#include "workloads/text/vocabulary.h"

namespace nexus {
namespace {

// Enough for stable merges at 32K pieces; SentencePiece then needs about 20 s and 120 MB.
constexpr int64_t kVocabularySampleBytes = 8 << 20;
// One task: long enough that handing it over costs nothing, short enough that what waits between threads stays small.
constexpr size_t kBatchBytes = 1 << 16;
constexpr int kMaxWorkers = 256;
// Pieces without a place where the tokenizer can cut them become one, up to here: more text than any without a space.
constexpr size_t kMostJoinedBytes = 1 << 20;
// Raised when the same text would give other files, so that re-entrant builds notice. 2: documents without blanks give
// their share for validation, and byte order marks are no text.
constexpr int kBuilderVersion = 2;
constexpr double kLargestValidShare = 0.5;

void check_options(const BuildOptions& options) {
  const auto refuse = [](const std::string& what, const std::string& todo) {
    throw Error(ErrorKind::kConfig, what, "nexus data build", todo);
  };
  if (options.inputs.empty()) refuse("no input files", "name one or more text files");
  if (options.out.empty()) refuse("no output prefix", "say --out PREFIX");
  int line = 0;
  if (const std::string bad = find_bad_character(options.out, false, line); !bad.empty())
    throw Error(ErrorKind::kConfig,
                fmt::format("the name given with --out holds {}: no campaign file could name it", bad), options.out,
                "choose another name");
  if (const auto name = std::filesystem::path(options.out).filename(); name.empty() || name == "." || name == "..")
    refuse("--out is a prefix of file names, and '" + options.out + "' names a folder",
           "say for example --out data/web");
  if (options.json_field != "text" && options.documents != DocumentMode::kJsonLines)
    refuse("--json-field without --documents jsonl", "say what a document is");
  if ((options.vocab_size > 0) == !options.tokenizer.empty())
    refuse("the vocabulary is not clear", "say either --vocab N (train one) or --tokenizer FILE");
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

void warn_each(const std::vector<std::string>& warnings) {
  for (const std::string& text : warnings) warn_text(text);
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

// The description of a finished part. Throws where the files are not those that it was written for, or where it is of
// another build. Reads the .bin of those that were touched; `nexus data verify` reads every byte.
TokenFileInfo require_as_built(const std::string& prefix, const std::string& build_digest) {
  const TokenFile file(prefix);
  const NamedTokenFile named = name_token_file("nexus data build", file);
  if (!named.info || named.info->build_digest != build_digest)
    throw Error(ErrorKind::kData,
                named.info ? "these token files are of another build than the other part"
                           : "the description of these token files is gone",
                prefix, "put back what belongs together, or build it again with --force");
  check_descriptions({named}, std::nullopt, named.info->vocab_size);
  check_content(named, content_of(file), named.info->vocab_size);
  return *named.info;
}

// Is the tokenizer of a finished build there? One that was given is put back; one that was trained here is worth a new
// build, which gives the same files. Throws where another one lies in its place.
bool has_tokenizer(const BuildOptions& options, const TokenFileInfo& built) {
  const std::string path = tokenizer_path(train_prefix(options.out), built);
  if (path_exists(path)) {
    if (built.tokenizer_digest.empty() || hash_file(path) == built.tokenizer_digest) return true;
    throw Error(ErrorKind::kData, "this is not the tokenizer that made the token files beside it", path,
                "put the tokenizer back, or build it again with --force");
  }
  if (options.tokenizer.empty()) {
    warn("{} is gone: everything is built again", path);
    return false;
  }
  write_file_durably(path, Tokenizer(options.tokenizer).model_bytes());
  warn("{} was gone, and is put back", path);
  return true;
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
  if (!is_older && (!info || info->build_digest != wanted.build_digest)) {
    if (info || path_exists(train + ".idx"))
      throw Error(ErrorKind::kConfig, "these token files were built from other text or options", train,
                  "choose another --out, or say --force to replace them");
    return std::nullopt;
  }
  BuildResult result{true, require_as_built(train, info->build_digest), std::nullopt};
  if (options.valid_share > 0) result.valid = require_as_built(valid, info->build_digest);
  if (!has_tokenizer(options, *info)) return std::nullopt;
  return result;
}

// Its name says which of the two kinds of file it is.
std::string stored_path(const BuildOptions& options, const Tokenizer& tokenizer) {
  return options.out + (tokenizer.kind() == TokenizerKind::kByteLevelBpe ? ".tokenizer.json" : ".model");
}

Tokenizer make_tokenizer(const BuildOptions& options, VocabularySample sample) {
  if (!options.tokenizer.empty()) return Tokenizer(options.tokenizer);
  const std::vector<std::string> pieces = std::move(sample).finish();
  int64_t bytes = 0;
  for (const std::string& piece : pieces) bytes += static_cast<int64_t>(piece.size());
  log("data vocabulary | pieces {} | sample {}", options.vocab_size, format_bytes(bytes));
  return Tokenizer::from_bytes(train_vocabulary(pieces, options.vocab_size), options.out + ".model");
}

void store_tokenizer(const BuildOptions& options, const Tokenizer& tokenizer) {
  const std::string path = stored_path(options, tokenizer);
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
  int64_t text_bytes = 0, unknown_tokens = 0, unknown_bytes = 0;
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
    if (encoded.unknown_tokens > 0 || tokenizer.drops_unknown())
      encoded.unknown_bytes = tokenizer.unknown_bytes(item.piece.text, !item.piece.begins_document);
    encoded.part = item.part;
    encoded.ends_document = item.piece.ends_document;
    result.push_back(std::move(encoded));
  }
  return result;
}

struct PartWriter {
  PartWriter(const std::string& prefix, TokenType type) : file(prefix, type) {}
  TokenFileWriter file;
  int64_t text_bytes = 0, unknown_tokens = 0, unknown_bytes = 0;
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
    const size_t bytes = piece.piece.text.size();
    if (joins_last(piece)) {
      batch_.back().piece.text += piece.piece.text;
      batch_.back().piece.ends_document = piece.piece.ends_document;
    } else {
      if (batch_bytes_ >= kBatchBytes) submit();
      batch_.push_back(std::move(piece));
    }
    batch_bytes_ += bytes;
  }
  void finish() {
    submit();
    while (!waiting_.empty()) write_next();
    progress_.finish();
  }

 private:
  // A piece that the tokenizer would not cut off what is before it.
  bool joins_last(const SplitPiece& piece) const {
    if (piece.piece.begins_document || batch_.empty()) return false;
    const SplitPiece& last = batch_.back();
    return last.part == piece.part && last.piece.text.size() < kMostJoinedBytes &&
           !tokenizer_.may_cut(last.piece.text, piece.piece.text);
  }
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
      writer.unknown_bytes += piece.unknown_bytes;
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

// Completes the token file and its description, which is not written yet.
TokenFileInfo finish_part(TokenFileInfo info, PartWriter& part) {
  part.file.finish();
  info.documents = part.file.documents();
  info.tokens = part.file.tokens();
  info.text_bytes = part.text_bytes;
  info.unknown_tokens = part.unknown_tokens;
  info.unknown_bytes = part.unknown_bytes;
  info.bin_digest = part.file.bin_digest();
  info.idx_digest = part.file.idx_digest();
  return info;
}

void describe_part(const std::string& prefix, const TokenFileInfo& info, const PartWriter& part) {
  keep_content(TokenFile(prefix), {info.bin_digest, part.file.largest_id(), part.file.largest_at()});
  write_token_file_info(prefix, info);
}

std::vector<std::string> text_warnings(const BuildOptions& options, const TextSurvey& survey,
                                       const TextSplitter& splitter, const BuildResult& result) {
  std::vector<std::string> warnings = part_warnings(result.train, result.valid ? &*result.valid : nullptr);
  if (options.valid_share == 0 || !splitter.splits_whole_documents()) return warnings;
  // Where tails are held out, copies are cut at the same place.
  for (std::string& text : copy_warnings(options.inputs, survey.text_digests)) warnings.push_back(std::move(text));
  for (std::string& text : long_document_warnings(splitter.long_documents(), survey.text_bytes, options.valid_share))
    warnings.push_back(std::move(text));
  return warnings;
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
  if (valid) result.valid = finish_part(info, *valid);
  result.train = finish_part(info, train);
  result.train.warnings = text_warnings(options, survey, splitter, result);
  if (valid) describe_part(valid_name, *result.valid, *valid);
  describe_part(train_name, result.train, train);
  warn_each(*result.train.warnings);
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
  warn_each(json_warnings(options.inputs, options.documents));
  if (std::optional<BuildResult> finished = find_finished(options, info)) {
    const TokenFileInfo* valid = finished->valid ? &*finished->valid : nullptr;
    warn_each(finished->train.warnings ? *finished->train.warnings : part_warnings(finished->train, valid));
    return *finished;
  }
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

  const Tokenizer tokenizer = make_tokenizer(options, std::move(sample));
  if (tokenizer.bos_id() < 0)
    throw Error(ErrorKind::kData, "the tokenizer has no BOS piece, which documents begin with", options.tokenizer,
                "use a model with <s>, or a tokenizer.json with a template, <|endoftext|> or <|begin_of_text|>");
  store_tokenizer(options, tokenizer);
  info.vocab_size = tokenizer.vocab_size();
  info.bos_id = tokenizer.bos_id();
  info.type = token_type_name(token_type_for(info.vocab_size));
  info.tokenizer = std::filesystem::path(stored_path(options, tokenizer)).filename().string();
  info.tokenizer_digest = tokenizer.digest();
  info.document_mode = document_mode_name(options.documents);
  info.valid_share = options.valid_share;
  return encode_text(options, survey, std::move(splitter), tokenizer, info);
}

}  // namespace nexus
