#include "workloads/text/tokenizer_json.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "checkpoint/strict_json.h"
#include "core/error.h"
#include "core/json_text.h"
#include "workloads/text/split_pattern.h"
#include "workloads/text/utf8_text.h"

namespace nexus {
namespace {

using nlohmann::json;

constexpr int kMaxTokenizerDepth = 16;
constexpr int64_t kMaxTokenizerIds = 1 << 20;  // the largest vocabularies have a quarter of it

json parse_file(const std::string& file, const std::string& name) {
  try {
    return parse_strict_json(file, name, kMaxTokenizerDepth);
  } catch (const Error& e) {  // the cure of damaged checkpoints is another one
    throw Error(ErrorKind::kData, "not a usable tokenizer.json: " + e.fact(), name, "fetch or save it again");
  }
}

class TokenizerJsonReader {
 public:
  TokenizerJsonReader(const json& file, const std::string& name) : file_(file), name_(name) {}

  TokenizerJson run() {
    read_normalizer(section(file_, "normalizer"));
    read_pre_tokenizer(section(file_, "pre_tokenizer"));
    if (!has_byte_level_) refuse("there is no ByteLevel pre-tokenizer: it is not of the byte-level BPE kind");
    read_model(file_.contains("model") ? file_["model"] : file_);
    read_added_tokens(section(file_, "added_tokens"));
    read_post_processor(section(file_, "post_processor"));
    read_decoder(section(file_, "decoder"));
    name_ends();
    return std::move(spec_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(ErrorKind::kData, "not a usable tokenizer.json: " + what, name_,
                "use a byte-level BPE tokenizer, as GPT-2, GPT-NeoX or Llama 3 have, or a SentencePiece model");
  }
  static json section(const json& object, const char* key) {
    return object.is_object() ? object.value(key, json()) : json();
  }

  static std::string quoted(const std::string& text) { return json_text(json(text)); }
  bool flag(const json& object, const char* key, bool preset) const {
    const json value = section(object, key);
    if (value.is_null()) return preset;
    if (!value.is_boolean()) refuse(fmt::format("'{}' is neither true nor false", key));
    return value.get<bool>();
  }
  std::string text(const json& object, const char* key) const {
    const json value = section(object, key);
    if (!value.is_string()) refuse(fmt::format("'{}' is missing, or no text", key));
    return value.get<std::string>();
  }
  int32_t id(const json& value, const std::string& of) const {
    if (!value.is_number_integer() || value < 0 || value >= kMaxTokenizerIds)
      refuse(fmt::format("the id of {} is {}, not from 0 to {}", of, json_text(value), kMaxTokenizerIds - 1));
    return value.get<int32_t>();
  }
  const json& list(const json& object, const char* key) const {
    if (!object.contains(key) || !object[key].is_array()) refuse(fmt::format("'{}' is missing, or no list", key));
    return object[key];
  }

  void read_normalizer(const json& part) {
    if (part.is_null()) return;
    const std::string type = text(part, "type");
    if (type == "NFC") {
      spec_.nfc = true;
    } else if (type == "Sequence") {
      for (const json& inner : list(part, "normalizers")) read_normalizer(inner);
    } else {
      refuse(fmt::format("the normalizer {} is not supported (NFC is)", quoted(type)));
    }
  }

  void read_pre_tokenizer(const json& part) {
    if (part.is_null()) return;
    const std::string type = text(part, "type");
    if (has_byte_level_) refuse(fmt::format("the pre-tokenizer {} comes behind ByteLevel", quoted(type)));
    if (type == "Sequence") {
      for (const json& inner : list(part, "pretokenizers")) read_pre_tokenizer(inner);
    } else if (type == "ByteLevel") {
      has_byte_level_ = true;
      spec_.adds_space = flag(part, "add_prefix_space", true);
      spec_.splits_words = flag(part, "use_regex", true);
    } else if (type == "Digits") {
      spec_.splits.push_back({.pattern = flag(part, "individual_digits", false) ? "\\p{N}" : "\\p{N}+"});
    } else if (type == "Split") {
      read_split(part);
    } else {
      refuse(fmt::format("the pre-tokenizer {} is not supported (Sequence, Split, Digits and ByteLevel are)",
                         quoted(type)));
    }
  }

  void read_split(const json& part) {
    TokenizerSplit split;
    const json pattern = section(part, "pattern");
    if (pattern.is_object() && pattern.size() == 1 && pattern.contains("Regex"))
      split.pattern = text(pattern, "Regex");
    else if (pattern.is_object() && pattern.size() == 1 && pattern.contains("String"))
      split.pattern = quoted_pattern(text(pattern, "String"));
    else
      refuse("a Split without a pattern that is a Regex or a String");
    const std::string behavior = text(part, "behavior");
    if (behavior != "Isolated" && behavior != "Removed")
      refuse(fmt::format("a Split with behavior {} is not supported (Isolated and Removed are)", quoted(behavior)));
    split.removes = behavior == "Removed";
    split.keeps_matches = flag(part, "invert", false);
    spec_.splits.push_back(std::move(split));
  }

  void read_model(const json& model) {
    const std::string type = model.is_object() && !model.contains("type") ? "BPE" : text(model, "type");
    if (type != "BPE") refuse(fmt::format("a model of type {} is not supported (BPE is)", quoted(type)));
    const json dropout = section(model, "dropout");
    if (!dropout.is_null() && !(dropout.is_number() && dropout == 0)) refuse("dropout: ids would be random");
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
      if (const json value = section(model, key); !value.is_null() && value != "")
        refuse(fmt::format("'{}' is not supported", key));
    if (flag(model, "byte_fallback", false)) refuse("'byte_fallback' is not of the byte-level kind");
    spec_.whole_words_first = flag(model, "ignore_merges", false);
    spec_.fuses_unknown = flag(model, "fuse_unk", false);
    read_vocabulary(model.contains("vocab") ? model["vocab"] : json());
    read_merges(list(model, "merges"));
    if (const json unknown = section(model, "unk_token"); !unknown.is_null()) {
      const auto found = id_of_.find(text(model, "unk_token"));
      if (found == id_of_.end()) refuse("'unk_token' is not in the vocabulary");
      spec_.unknown_id = found->second;
    }
  }

  void read_vocabulary(const json& vocabulary) {
    if (!vocabulary.is_object() || vocabulary.empty()) refuse("'vocab' is no object with tokens");
    for (const auto& [token, value] : vocabulary.items()) place(token, id(value, quoted(token)));
    model_tokens_ = static_cast<int64_t>(vocabulary.size());
    for (const auto& [token, at] : id_of_) spec_.tokens[static_cast<size_t>(at)] = token;
  }

  void place(const std::string& token, int32_t at) {
    if (token.empty()) refuse("a token without text");
    if (spec_.vocab_size <= at) spec_.vocab_size = at + 1;
    taken_.resize(static_cast<size_t>(spec_.vocab_size));
    spec_.tokens.resize(static_cast<size_t>(spec_.vocab_size));
    if (taken_[static_cast<size_t>(at)])
      refuse(fmt::format("id {} belongs to two tokens, {} is one", at, quoted(token)));
    taken_[static_cast<size_t>(at)] = true;
    id_of_.emplace(token, at);
  }

  void read_merges(const json& merges) {
    const auto known = [&](const std::string& token, size_t rank) {
      const auto found = id_of_.find(token);
      if (found == id_of_.end())
        refuse(fmt::format("merge {} needs the token {}, which is not in the vocabulary", rank, quoted(token)));
      return found->second;
    };
    for (const json& merge : merges) {
      const size_t rank = spec_.merges.size();
      std::string left, right;
      if (merge.is_string()) {
        left = merge.get<std::string>();
        const size_t space = left.find(' ');
        if (space == left.npos || left.find(' ', space + 1) != left.npos)
          refuse(fmt::format("merge {} is {}, not two tokens", rank, quoted(left)));
        right = left.substr(space + 1);
        left.resize(space);
      } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
        left = merge[0].get<std::string>();
        right = merge[1].get<std::string>();
      } else {
        refuse(fmt::format("merge {} is neither a text nor a pair of texts", rank));
      }
      spec_.merges.push_back({known(left, rank), known(right, rank), known(left + right, rank)});
    }
  }

  // A token has the id of the vocabulary, or the next one behind all others: what the library gives it, whatever the
  // file says.
  void read_added_tokens(const json& added) {
    if (added.is_null()) return;
    if (!added.is_array()) refuse("'added_tokens' is no list");
    int64_t next = model_tokens_;
    for (const json& entry : added) {
      AddedToken token;
      token.content = text(entry, "content");
      token.id = id(section(entry, "id"), quoted(token.content));
      token.special = flag(entry, "special", false);
      token.normalized = flag(entry, "normalized", !token.special);
      token.single_word = flag(entry, "single_word", false);
      token.strips_left = flag(entry, "lstrip", false);
      token.strips_right = flag(entry, "rstrip", false);
      if (token.content.empty()) refuse("an added token without text");
      const auto same = [&](const AddedToken& other) { return other.content == token.content; };
      if (std::ranges::any_of(spec_.added, same))
        refuse(fmt::format("the added token {} is there twice", quoted(token.content)));
      const auto found = id_of_.find(token.content);
      const int64_t given = found != id_of_.end() ? found->second : next;
      if (token.id != given)
        refuse(fmt::format("the added token {} has id {}, but by the vocabulary it is {}", quoted(token.content),
                           token.id, given));
      if (found == id_of_.end()) place(token.content, token.id);
      next = std::max<int64_t>(next, token.id + 1);
      spec_.added.push_back(std::move(token));
    }
  }

  void read_post_processor(const json& part) {
    if (part.is_null()) return;
    const std::string type = text(part, "type");
    if (type == "ByteLevel") return;  // places in the text only
    if (type == "Sequence") {
      for (const json& inner : list(part, "processors")) read_post_processor(inner);
    } else if (type == "TemplateProcessing") {
      read_template(part);
    } else {
      refuse(fmt::format("the post-processor {} is not supported (TemplateProcessing is)", quoted(type)));
    }
  }

  void read_template(const json& part) {
    bool behind_text = false;
    for (const json& piece : list(part, "single")) {
      if (piece.is_object() && piece.contains("Sequence")) {
        behind_text = true;
        continue;
      }
      const std::string token = text(section(piece, "SpecialToken"), "id");
      const json known = section(part, "special_tokens");
      const json ids = known.is_object() && known.contains(token) ? section(known[token], "ids") : json();
      if (!ids.is_array() || ids.size() != 1) refuse(fmt::format("the template's token {} has no id", quoted(token)));
      const int32_t at = id(ids[0], quoted(token));
      if (at >= spec_.vocab_size || !taken_[static_cast<size_t>(at)])
        refuse(fmt::format("the template's token {} has id {}, outside the vocabulary", quoted(token), at));
      int32_t& end = behind_text ? spec_.eos_id : spec_.bos_id;
      if (end >= 0) refuse("a template with more than one token before the text, or behind it");
      end = at;
    }
  }

  void read_decoder(const json& part) const {
    if (part.is_null()) return;
    const std::string type = text(part, "type");
    if (type == "Sequence") {
      for (const json& inner : list(part, "decoders")) read_decoder(inner);
    } else if (type != "ByteLevel") {
      refuse(fmt::format("the decoder {} is not supported (ByteLevel is)", quoted(type)));
    }
  }

  // Most files leave it to their users which tokens texts begin and end with: those that all know by name.
  void name_ends() {
    const auto named = [&](std::initializer_list<const char*> names) {
      for (const char* known : names)
        for (const AddedToken& token : spec_.added)
          if (token.special && token.content == known) return token.id;
      return -1;
    };
    if (spec_.bos_id < 0) spec_.bos_id = named({"<|begin_of_text|>", "<s>", "<|endoftext|>"});
    if (spec_.eos_id < 0) spec_.eos_id = named({"<|end_of_text|>", "</s>", "<|endoftext|>"});
  }

  const json& file_;
  const std::string& name_;
  TokenizerJson spec_;
  bool has_byte_level_ = false;
  int64_t model_tokens_ = 0;
  std::unordered_map<std::string, int32_t> id_of_;
  std::vector<bool> taken_;
};

// Bytes that print stand for themselves; the others, in order, are the characters from U+0100 on.
const std::array<int16_t, 0x144>& byte_of_character() {
  static const auto table = [] {
    std::array<int16_t, 0x144> bytes{};
    bytes.fill(-1);
    size_t next = 0x100;
    for (size_t byte = 0; byte < 256; ++byte) {
      const bool prints = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      bytes[prints ? byte : next++] = static_cast<int16_t>(byte);
    }
    return bytes;
  }();
  return table;
}

}  // namespace

bool token_to_bytes(std::string_view token, std::string& bytes) {
  bytes.clear();
  for (size_t at = 0; at < token.size(); at += token[at] < 0 ? 2 : 1) {
    const char32_t c = first_character(token.substr(at));
    if (c >= byte_of_character().size() || byte_of_character()[c] < 0) return false;
    bytes += static_cast<char>(byte_of_character()[c]);
  }
  return true;
}

TokenizerJson TokenizerJson::parse(const std::string& file, const std::string& name) {
  const json document = parse_file(file, name);
  return TokenizerJsonReader(document, name).run();
}

}  // namespace nexus
