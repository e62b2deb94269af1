// `nexus data build | convert | info | verify | sample`: text to token files, and a look into them.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/option_checks.h"
#include "core/error.h"
#include "core/files.h"
#include "core/json_text.h"
#include "core/log.h"
#include "core/units.h"
#include "data/sampler.h"
#include "workloads/text/dataset_builder.h"
#include "workloads/text/text_overlap.h"
#include "workloads/text/token_file.h"
#include "workloads/text/token_file_convert.h"
#include "workloads/text/token_file_info.h"
#include "workloads/text/token_windows.h"
#include "workloads/text/tokenizer.h"

namespace nexus {
namespace {

// `name` is the prefix of a token file, or one of its files, or the prefix of a build: then its parts.
std::vector<std::string> parts_of(std::string name) {
  for (const char* suffix : {".bin", ".idx", ".json"})
    if (name.ends_with(suffix) && path_exists(name)) name.resize(name.size() - std::strlen(suffix));
  if (path_exists(name + ".idx")) return {name};
  std::vector<std::string> parts;
  for (const std::string& prefix : {train_prefix(name), valid_prefix(name)})
    if (path_exists(prefix + ".idx")) parts.push_back(prefix);
  if (parts.empty())
    throw Error(ErrorKind::kData, "no token files here", fmt::format("{0}.idx, {0}-train.idx", name),
                "name the prefix that was given to 'nexus data build --out'");
  return parts;
}

int64_t count_or_throw(const std::string& text, const char* option) {
  const std::optional<int64_t> value = parse_count(text);
  if (!value || *value == 0)
    throw Error(ErrorKind::kConfig, fmt::format("'{}' is not a count", text), option, "write it like 512, 32K or 1.5M");
  return *value;
}

// Text from anywhere must not steer the terminal.
std::string printable(std::string text) {
  for (char& c : text)
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7F) c = '?';
  return text;
}

void log_part(const std::string& prefix, const TokenFileInfo& info) {
  log_text(LineBuilder("data part")
               .group("documents {}", info.documents)
               .group("tokens {}", info.tokens)
               .group("bytes_per_token {:.3f}", info.bytes_per_token())
               .group("path {}", prefix)
               .str());
}

struct BuildFlags {
  BuildOptions options;
  std::string documents = "file", vocab;
};

int run_build(const BuildFlags& flags) {
  BuildOptions options = flags.options;
  options.documents = parse_document_mode(flags.documents).value();
  if (!flags.vocab.empty()) options.vocab_size = count_or_throw(flags.vocab, "--vocab");
  const BuildResult result = build_dataset(options);
  if (result.was_complete) log_text("data build | already complete for these inputs and options, nothing to do");
  log_part(train_prefix(options.out), result.train);
  if (result.valid) log_part(valid_prefix(options.out), *result.valid);
  log("data tokenizer | pieces {} | path {}", result.train.vocab_size,
      tokenizer_path(train_prefix(options.out), result.train));
  return 0;
}

struct ConvertFlags {
  std::vector<std::string> inputs;
  std::string out, type;
};

int run_convert(const ConvertFlags& flags) {
  std::vector<std::string> prefixes;
  for (const std::string& name : flags.inputs)
    for (const std::string& prefix : parts_of(name)) prefixes.push_back(prefix);
  const TokenFile made = convert_token_files({prefixes, flags.out, parse_token_type(flags.type)});
  log("data convert | documents {} | sequences {} | tokens {} | type {} | path {}", made.documents(), made.sequences(),
      made.tokens(), token_type_name(made.type()), flags.out);
  return 0;
}

nlohmann::ordered_json describe(const std::string& prefix) {
  const TokenFile file(prefix);
  nlohmann::ordered_json json = {{"path", prefix},
                                 {"tokens", file.tokens()},
                                 {"documents", file.documents()},
                                 {"sequences", file.sequences()},
                                 {"type", token_type_name(file.type())},
                                 {"bin_bytes", file.bin_bytes()}};
  if (file.has_modes()) json["modes"] = "there; training reads past them";
  if (const std::optional<TokenFileInfo> info = read_token_file_info(prefix)) {
    json["text_bytes"] = info->text_bytes;
    json["bytes_per_token"] = info->bytes_per_token();
    if (info->unknown_tokens) json["unknown_tokens"] = *info->unknown_tokens;
    if (info->unknown_bytes) json["unknown_bytes"] = *info->unknown_bytes;
    json["vocab_size"] = info->vocab_size;
    json["tokenizer"] = tokenizer_path(prefix, *info);
    json["document_mode"] = info->document_mode;
    json["sources"] = nlohmann::ordered_json::array();
    for (const TextFileRef& source : info->sources) json["sources"].push_back(source.path);
  }
  return json;
}

int run_info(const std::string& name, bool as_json) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const std::string& prefix : parts_of(name)) all.push_back(describe(prefix));
  if (as_json) {
    fmt::print("{}\n", json_text(all, 2));
    return 0;
  }
  for (const auto& part : all)
    for (const auto& [key, value] : part.items()) {
      const bool is_path = key == "path";
      const std::string text = value.is_string() ? value.get<std::string>() : json_text(value);
      fmt::print("{}{:<{}}  {}\n", is_path ? "" : "  ", key, is_path ? 17 : 15, text);
    }
  return 0;
}

struct VerifyFlags {
  std::string name, against, tokenizer;
};

// Files that another program wrote have no description to be compared with.
void verify_undescribed(const std::string& prefix, const std::string& tokenizer) {
  const TokenFile file(prefix);
  check_ids(file, tokenizer.empty() ? INT32_MAX : Tokenizer(tokenizer).vocab_size());
  const std::string description = prefix + ".json";
  fmt::print(
      "ok {}: sizes and borders agree, ids are {}; {}, so no digests to compare\n", prefix,
      tokenizer.empty() ? "not negative (--tokenizer FILE compares them with its vocabulary)" : "inside the vocabulary",
      path_exists(description) ? description + " is no description by nexus (another program's, or damaged)"
                               : "there is no " + description);
}

// Throws where text of `prefix` is in `other` too.
void verify_apart(const std::string& prefix, const std::string& other) {
  const auto refuse = [&](ErrorKind kind, const std::string& what, const std::string& todo) {
    throw Error(kind, what, prefix + " against " + other, todo);
  };
  constexpr int64_t kLeastShortTokens = 2;  // BOS and one more
  constexpr const char* kHoldOut = "train on one part and validate on the other part of one build";
  const TokenFile file(prefix), other_file(other);
  if (const std::string reason = same_text_reason(prefix, other);
      reason.starts_with("is ") || reason.starts_with("has "))
    refuse(ErrorKind::kData, "the first " + reason + " as the second", kHoldOut);
  const auto info = read_token_file_info(prefix), other_info = read_token_file_info(other);
  if (info && other_info && info->tokenizer_digest != other_info->tokenizer_digest)
    refuse(ErrorKind::kConfig, "these files come from different tokenizers: their tokens cannot be compared",
           "build one of them with the other's --tokenizer");
  TextOverlap overlap = find_text_overlap(file, other_file);
  // A licence or a greeting recurs in any text; one run in a hundred is more than that, and so is a long document.
  // Where all documents are short, half of them are.
  int64_t least = TextOverlap::kLeastDocumentTokens, few_documents = 0;
  if (overlap.documents == 0) {
    least = kLeastShortTokens;
    overlap = find_text_overlap(file, other_file, least);
    few_documents = overlap.documents / 2;
  }
  if ((overlap.documents == 0 && overlap.runs == 0) || other_file.tokens() == 0)
    refuse(ErrorKind::kData,
           fmt::format("nothing could be compared: {} tokens against {}, no document of at least {} and no run of {}",
                       file.tokens(), other_file.tokens(), least, TextOverlap::kRunTokens),
           "name files with more text");
  const std::string counts = fmt::format(
      "{} of {} documents (of at least {} tokens) and {} of {} sampled runs of {} tokens", overlap.documents_found,
      overlap.documents, least, overlap.runs_found, overlap.runs, TextOverlap::kRunTokens);
  if (overlap.documents_found > few_documents || overlap.runs_found * 100 > overlap.runs)
    refuse(ErrorKind::kData,
           counts + " of the first are in the second too" +
               (overlap.first_found >= 0 ? fmt::format(", document {} the first", overlap.first_found) : ""),
           kHoldOut);
  fmt::print("ok {} against {}: {} are in both\n", prefix, other, counts);
}

int run_verify(const VerifyFlags& flags) {
  const std::vector<std::string> parts = parts_of(flags.name);
  for (const std::string& prefix : parts) {
    if (!read_token_file_info(prefix)) {
      verify_undescribed(prefix, flags.tokenizer);
      continue;
    }
    verify_token_file(prefix, flags.tokenizer);
    fmt::print("ok {}: sizes, borders, digests and ids agree\n", prefix);
  }
  if (flags.against.empty()) return 0;
  const std::vector<std::string> others = parts_of(flags.against);
  for (const std::string& prefix : parts)
    for (const std::string& other : others)
      if (prefix != other || (parts.size() == 1 && others.size() == 1)) verify_apart(prefix, other);
  return 0;
}

struct SampleFlags {
  std::string name, tokenizer;
  int64_t count = 3, context = 128;
  uint64_t seed = 0;
};

int run_sample(const SampleFlags& flags) {
  const std::string prefix = parts_of(flags.name).front();
  const std::optional<TokenFileInfo> info = read_token_file_info(prefix);
  if (!info && flags.tokenizer.empty())
    throw Error(ErrorKind::kConfig, "the tokenizer of these files is not known", prefix, "say --tokenizer FILE");
  const Tokenizer tokenizer(info ? find_tokenizer(prefix, *info, flags.tokenizer) : flags.tokenizer);
  if (info && !info->tokenizer_digest.empty() && info->tokenizer_digest != tokenizer.digest())
    warn("these tokens were made by another tokenizer: what follows is not their text");
  std::vector<Sampler::Weighted> files;
  files.push_back({std::make_unique<TokenWindows>(prefix, flags.context, tokenizer.vocab_size()), 1.0});
  const Sampler sampler(std::move(files), flags.seed);
  const HostBatch sample(sampler[0].fields(), 1);
  const auto* ids = sample.batch().at("tokens").as<int32_t>();
  for (int64_t i = 0; i < flags.count; ++i) {
    sampler.fetch(i, sample.batch(), 0);
    const SampleLocation place = sampler.locate(i);
    fmt::print("--- sample {} epoch {} window {} of {}\n", i, place.epoch, place.index, sampler.samples_per_epoch());
    fmt::print("{}\n", printable(tokenizer.decode({ids, static_cast<size_t>(flags.context)})));
  }
  return 0;
}

void declare_build(CLI::App& data, Action& action) {
  CLI::App* build = data.add_subcommand("build", "text files to token files");
  auto flags = std::make_shared<BuildFlags>();
  BuildOptions& options = flags->options;
  build->add_option("inputs", options.inputs, "text files: plain, .xz or .zst")->required()->transform(path_to_read());
  build->add_option("--out", options.out, "prefix of the files to write")->required()->transform(path_of_shell());
  build->add_option("--documents", flags->documents, "what one document is")
      ->check(CLI::IsMember({"file", "blank-line", "line", "jsonl"}))
      ->capture_default_str();
  build->add_option("--vocab", flags->vocab, "train a vocabulary of this many pieces (8000, 32K)");
  build
      ->add_option("--tokenizer", options.tokenizer,
                   "use this tokenizer instead: SentencePiece model or tokenizer.json")
      ->transform(path_to_read());
  build->add_option("--valid-share", options.valid_share, "share held out for validation; 0: none")
      ->check(number_from(0, 0.5))
      ->capture_default_str();
  build->add_option("--workers", options.workers, "threads; 0: one per core")
      ->check(whole_number(0))
      ->capture_default_str();
  build
      ->add_option("--json-field,--field", options.json_field,
                   "jsonl: the field with the text; meta.text is in an object")
      ->capture_default_str();
  build->add_flag("--force", options.force, "replace files built from other text or options");
  build->callback([flags, &action] { action = [flags] { return run_build(*flags); }; });
}

void declare_convert(CLI::App& data, Action& action) {
  auto flags = std::make_shared<ConvertFlags>();
  CLI::App* convert = data.add_subcommand("convert", "token files of nexus or Megatron into one of Megatron");
  convert->add_option("prefixes", flags->inputs, "prefixes of builds or of token files; one follows the other")
      ->required()
      ->transform(path_to_read());
  convert->add_option("--out", flags->out, "prefix of the files to write")->required()->transform(path_of_shell());
  convert->add_option("--type", flags->type, "of the ids; by default uint16 below 65500, else int32")
      ->check(CLI::IsMember({"uint8", "int8", "int16", "uint16", "int32", "int64"}));
  convert->callback([flags, &action] { action = [flags] { return run_convert(*flags); }; });
}

void declare_readers(CLI::App& data, Action& action) {
  auto name = std::make_shared<std::string>();
  auto as_json = std::make_shared<bool>(false);
  CLI::App* info = data.add_subcommand("info", "counts of token files");
  info->add_option("prefix", *name, "prefix of a build or of one token file")->required()->transform(path_to_read());
  info->add_flag("--json", *as_json, "for programs");
  info->callback([=, &action] { action = [=] { return run_info(*name, *as_json); }; });

  auto to_verify = std::make_shared<VerifyFlags>();
  CLI::App* verify = data.add_subcommand("verify", "read every byte and compare it with the description");
  verify->add_option("prefix", to_verify->name, "prefix of a build or of one token file")
      ->required()
      ->transform(path_to_read());
  verify->add_option("--against", to_verify->against, "other token files: is text of the first in them too?")
      ->transform(path_to_read());
  verify->add_option("--tokenizer", to_verify->tokenizer, "tokenizer that made the files")->transform(path_to_read());
  verify->callback([=, &action] { action = [=] { return run_verify(*to_verify); }; });

  auto flags = std::make_shared<SampleFlags>();
  CLI::App* sample = data.add_subcommand("sample", "print some training samples as text");
  sample->add_option("prefix", flags->name, "prefix of a build or of one token file")
      ->required()
      ->transform(path_to_read());
  sample->add_option("-n", flags->count, "how many")->check(whole_number(1))->capture_default_str();
  sample->add_option("--context", flags->context, "tokens per sample")
      ->check(whole_number(1, 1 << 20))
      ->capture_default_str();
  sample->add_option("--seed", flags->seed, "of the sample order")->check(whole_number(0))->capture_default_str();
  sample->add_option("--tokenizer", flags->tokenizer, "by default the one of the build")->transform(path_to_read());
  sample->callback([=, &action] { action = [=] { return run_sample(*flags); }; });
}

}  // namespace

void add_data_command(CLI::App& app, Action& action) {
  CLI::App* data = app.add_subcommand("data", "text to token files, and a look into them");
  data->require_subcommand(1);
  declare_build(*data, action);
  declare_convert(*data, action);
  declare_readers(*data, action);
}

}  // namespace nexus
