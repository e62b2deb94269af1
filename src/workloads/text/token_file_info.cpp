#include "workloads/text/token_file_info.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/error.h"
#include "core/files.h"
#include "core/hash.h"
#include "core/json_text.h"
#include "data/input_file.h"
#include "workloads/text/token_file.h"
#include "workloads/text/token_file_content.h"
#include "workloads/text/tokenizer.h"

namespace nexus {
namespace {

using OrderedJson = nlohmann::ordered_json;
constexpr int64_t kMaxInfoBytes = 16 << 20;

TokenFileInfo from_json(const OrderedJson& json) {
  TokenFileInfo info;
  info.documents = json.at("documents");
  info.tokens = json.at("tokens");
  info.text_bytes = json.at("text_bytes");
  if (json.contains("unknown_tokens")) info.unknown_tokens = json.at("unknown_tokens").get<int64_t>();
  if (json.contains("unknown_bytes")) info.unknown_bytes = json.at("unknown_bytes").get<int64_t>();
  if (json.contains("warnings")) info.warnings = json.at("warnings").get<std::vector<std::string>>();
  info.vocab_size = json.at("vocab_size");
  info.bos_id = json.at("bos_id");
  info.type = json.at("type");
  info.bin_digest = json.value("bin_digest", "");
  info.idx_digest = json.value("idx_digest", "");
  info.tokenizer = json.at("tokenizer");
  info.tokenizer_digest = json.value("tokenizer_digest", "");
  info.document_mode = json.at("document_mode");
  info.valid_share = json.at("valid_share");
  info.build_digest = json.at("build_digest");
  for (const OrderedJson& source : json.at("sources"))
    info.sources.push_back({source.at("path"), source.at("size_bytes"), source.at("digest")});
  return info;
}

// What every description of ours begins with.
constexpr std::string_view kOurBegin = "{\n  \"format\": \"nexus-tokens\"";

// A PREFIX.json of another program (the text that the tokens were made of, say) describes nothing. One that holds
// nothing at all, or ends inside our own first line, is the rest of one of ours (a copy that was cut short, a full
// disk): to take it for another program's would switch every check of the tokenizer off.
bool is_ours(const std::string& path) {
  InputFile file(path);
  std::string begin(4096, '\0');
  begin.resize(file.read(begin.data(), begin.size()));
  const bool is_blank = begin.find_first_not_of(std::string_view(" \t\r\n\0", 5)) == std::string::npos;
  if (is_blank || kOurBegin.starts_with(begin))
    throw Error(ErrorKind::kData, fmt::format("the description of a token file is {}", is_blank ? "empty" : "cut off"),
                path,
                "put it back, or build it again with 'nexus data build --force'; remove it where the files are not "
                "nexus's");
  return begin.find("nexus-tokens") != std::string::npos;
}

void expect_equal(const std::string& found, const std::string& expected, const char* what, const std::string& path) {
  if (found == expected) return;
  throw Error(ErrorKind::kData, fmt::format("{} is {}, but the .json beside it says {}", what, found, expected), path,
              "build it again with 'nexus data build --force'");
}

// The text that the tokens stand for, against what the description says of it. Exact but for text that holds the sign
// for a blank itself, and for models that normalise text away.
void check_text_counts(const TokenFile& file, const TokenFileInfo& info, const Tokenizer& tokenizer) {
  constexpr int64_t kBlock = 1 << 16;
  constexpr int64_t kMostReplaced = 11;  // NFKC writes U+FDFA, of three bytes, as 33; no character grows by more
  const std::vector<PieceSize> sizes = tokenizer.piece_sizes();
  std::vector<int32_t> ids(kBlock);
  int64_t bytes = 0, most_bytes = 0, unknown = 0;
  for (int64_t first = 0; first < file.tokens(); first += kBlock) {
    const int64_t count = std::min(kBlock, file.tokens() - first);
    file.read(first, count, ids.data());
    for (int64_t i = 0; i < count; ++i) {
      const int32_t id = ids[static_cast<size_t>(i)];
      bytes += sizes[static_cast<size_t>(id)].least;
      most_bytes += sizes[static_cast<size_t>(id)].most;
      unknown += id == tokenizer.unknown_id() ? 1 : 0;
    }
  }
  const std::string path = file.prefix() + ".json";
  if (info.unknown_tokens)
    expect_equal(std::to_string(unknown), std::to_string(*info.unknown_tokens), "the number of unknown tokens",
                 file.prefix() + ".bin");
  const int64_t known = info.text_bytes - info.unknown_bytes.value_or(0);
  int64_t least = bytes / kMostReplaced, most = std::numeric_limits<int64_t>::max();
  if (tokenizer.keeps_text()) {
    least = bytes - file.documents();  // a space may have been put before each
    if (info.unknown_bytes || unknown == 0) most = most_bytes;
  }
  if (info.unknown_bytes.value_or(0) < 0 || known < least || known > most || known < 0)
    throw Error(ErrorKind::kData,
                fmt::format("text_bytes says {} bytes, {} of them unknown, but the tokens stand for {}",
                            info.text_bytes, info.unknown_bytes.value_or(0), bytes),
                path, "build it again with 'nexus data build --force'");
}

}  // namespace

std::string to_json(const TokenFileInfo& info) {
  OrderedJson json = {{"format", "nexus-tokens"},
                      {"version", 1},
                      {"documents", info.documents},
                      {"tokens", info.tokens},
                      {"text_bytes", info.text_bytes},
                      {"vocab_size", info.vocab_size},
                      {"bos_id", info.bos_id},
                      {"type", info.type},
                      {"bin_digest", info.bin_digest},
                      {"idx_digest", info.idx_digest},
                      {"tokenizer", info.tokenizer},
                      {"tokenizer_digest", info.tokenizer_digest},
                      {"document_mode", info.document_mode},
                      {"valid_share", info.valid_share},
                      {"build_digest", info.build_digest}};
  if (info.unknown_tokens) json["unknown_tokens"] = *info.unknown_tokens;
  if (info.unknown_bytes) json["unknown_bytes"] = *info.unknown_bytes;
  if (info.warnings) json["warnings"] = *info.warnings;
  json["sources"] = OrderedJson::array();
  for (const TextFileRef& source : info.sources)
    json["sources"].push_back({{"path", source.path}, {"size_bytes", source.size_bytes}, {"digest", source.digest}});
  return json_text(json, 2) + "\n";
}

void write_token_file_info(const std::string& prefix, const TokenFileInfo& info) {
  write_file_durably(prefix + ".json", to_json(info));
}

std::optional<TokenFileInfo> read_token_file_info(const std::string& prefix) {
  const std::string path = prefix + ".json";
  if (!path_exists(path) || !is_ours(path)) return std::nullopt;
  const std::string text = read_text_file(path, kMaxInfoBytes);
  try {
    const OrderedJson json = OrderedJson::parse(text);
    if (json.at("format") != "nexus-tokens" || json.at("version") != 1)
      throw Error(ErrorKind::kData, "unknown format or version", path, "use the nexus that wrote it");
    return from_json(json);
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kData, fmt::format("cannot read the description of a token file ({})", error.what()), path,
                "build it again with 'nexus data build --force'");
  }
}

std::string tokenizer_path(const std::string& prefix, const TokenFileInfo& info) {
  // Only the last component counts: a description must not lead to files elsewhere.
  const std::filesystem::path name = std::filesystem::path(info.tokenizer).filename();
  return (std::filesystem::path(prefix).parent_path() / name).string();
}

std::string find_tokenizer(const std::string& prefix, const TokenFileInfo& info, const std::string& given) {
  if (!given.empty()) return given;
  const std::string path = tokenizer_path(prefix, info);
  if (!path_exists(path))
    throw Error(ErrorKind::kData, "the tokenizer that the .json names is not beside the token files", path,
                "put it there, or say where it is with --tokenizer FILE");
  return path;
}

void verify_token_file(const std::string& prefix, const std::string& given_tokenizer) {
  const TokenFile file(prefix);
  const std::optional<TokenFileInfo> info = read_token_file_info(prefix);
  if (!info)
    throw Error(ErrorKind::kData, "there is nothing to compare with: no description", prefix + ".json",
                "only files made by 'nexus data build' can be verified");
  const std::string bin = prefix + ".bin", idx = prefix + ".idx";
  expect_equal(token_type_name(file.type()), info->type, "the token type", idx);
  expect_equal(std::to_string(file.tokens()), std::to_string(info->tokens), "the number of tokens", idx);
  expect_equal(std::to_string(file.documents()), std::to_string(info->documents), "the number of documents", idx);
  expect_equal(hash_file(idx), info->idx_digest, "the digest", idx);
  const TokenFileContent content = read_content(file);  // whatever is kept
  expect_equal(content.bin_digest, info->bin_digest, "the digest", bin);
  if (content.largest_id >= info->vocab_size) check_ids(file, info->vocab_size);  // names the place
  const std::string model = find_tokenizer(prefix, *info, given_tokenizer);
  const Tokenizer tokenizer(model);
  if (!info->tokenizer_digest.empty() && tokenizer.digest() != info->tokenizer_digest)
    throw Error(ErrorKind::kData,
                fmt::format("this is not the tokenizer that made the tokens: the digest is {}, the .json says {}",
                            tokenizer.digest(), info->tokenizer_digest),
                model, "name the one that made them, or build the files again with 'nexus data build --force'");
  expect_equal(std::to_string(tokenizer.vocab_size()), std::to_string(info->vocab_size), "the vocabulary size", model);
  expect_equal(std::to_string(tokenizer.bos_id()), std::to_string(info->bos_id), "the id of BOS", model);
  check_text_counts(file, *info, tokenizer);
  if (kept_content(file) != content) keep_content(file, content);
}

}  // namespace nexus
