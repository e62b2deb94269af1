#include "workloads/text/byte_level_tokenizer.h"

#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/files.h"
#include "core/json_text.h"
#include "core/rng.h"
#include "sample_text.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"
#include "workloads/text/dataset_builder.h"
#include "workloads/text/split_pattern.h"
#include "workloads/text/token_file.h"
#include "workloads/text/tokenizer_json.h"
#include "workloads/text/utf8_text.h"

namespace nexus {
namespace {

using FileJson = nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using Ids = std::vector<int32_t>;

// In the alphabet of bytes, U+0120 is the space, and C3 A9 are the two bytes of an e with an acute accent.
FileJson small_file() {
  return {{"version", "1.0"},
          {"added_tokens",
           {{{"id", 12},
             {"content", "<|endoftext|>"},
             {"single_word", false},
             {"lstrip", false},
             {"rstrip", false},
             {"normalized", false},
             {"special", true}}}},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
          {"post_processor", {{"type", "ByteLevel"}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model",
           {{"type", "BPE"},
            {"vocab",
             {{"a", 0},
              {"b", 1},
              {"c", 2},
              {"\u0120", 3},
              {"!", 4},
              {"\u00C3", 5},
              {"\u00A9", 6},
              {"ab", 7},
              {"\u0120a", 8},
              {"\u0120ab", 9},
              {"abc", 10},
              {"\u00C3\u00A9", 11}}},
            {"merges", {"a b", "\u0120 a", "\u0120a b", "ab c", "\u00C3 \u00A9"}}}}};
}

Tokenizer tokenizer_of(const FileJson& file) {
  return Tokenizer::from_bytes(json_text(file), "tokenizer.json");
}

Tokenizer changed(const std::function<void(FileJson&)>& change) {
  FileJson file = small_file();
  change(file);
  return tokenizer_of(file);
}

TEST(ByteLevelTokenizer, MergesByRank) {
  const Tokenizer tokenizer = tokenizer_of(small_file());
  EXPECT_EQ(tokenizer.kind(), TokenizerKind::kByteLevelBpe);
  EXPECT_EQ(tokenizer.vocab_size(), 13);
  EXPECT_THAT(tokenizer.encode(""), IsEmpty());
  EXPECT_THAT(tokenizer.encode("ab"), ElementsAre(7));
  EXPECT_THAT(tokenizer.encode("abc"), ElementsAre(10));
  EXPECT_THAT(tokenizer.encode("aab"), ElementsAre(0, 7));
  EXPECT_THAT(tokenizer.encode(" a"), ElementsAre(8));
  // "a b" has the lowest rank, so the space never meets an a alone, though " ab" is a token.
  EXPECT_THAT(tokenizer.encode(" ab"), ElementsAre(3, 7));
  EXPECT_THAT(tokenizer.encode(" abc"), ElementsAre(3, 10));
  EXPECT_THAT(tokenizer.encode("abc!"), ElementsAre(10, 4));
  EXPECT_THAT(tokenizer.encode("\u00E9"), ElementsAre(11));
  EXPECT_THAT(tokenizer.encode("abab"), ElementsAre(7, 7));
  // Two spaces before a word: the second one belongs to the word.
  EXPECT_THAT(tokenizer.encode("  ab"), ElementsAre(3, 3, 7));
}

TEST(ByteLevelTokenizer, FindsAddedTokensFirst) {
  const Tokenizer tokenizer = tokenizer_of(small_file());
  EXPECT_EQ(tokenizer.bos_id(), 12);
  EXPECT_EQ(tokenizer.eos_id(), 12);
  const Ids ids{0, 12, 1};
  EXPECT_EQ(tokenizer.encode("a<|endoftext|>b"), ids);
  EXPECT_EQ(tokenizer.decode(ids), "ab");
  const auto add = [](const char* content, int id, FileJson more) {
    return changed([&](FileJson& file) {
      FileJson token = {{"id", id}, {"content", content}, {"special", false}};
      token.update(more);
      file["added_tokens"].push_back(token);
    });
  };
  EXPECT_THAT(add("b c", 13, FileJson::object()).encode("ab cb"), ElementsAre(0, 13, 1));
  EXPECT_EQ(add("b c", 13, FileJson::object()).decode(Ids{0, 13}), "ab c");
  EXPECT_THAT(add("ab", 7, {{"single_word", true}}).encode("ab cab"), ElementsAre(7, 3, 2, 7))
      << "by merges the second time";
  EXPECT_THAT(add("!", 4, {{"lstrip", true}, {"rstrip", true}}).encode("a  !  b"), ElementsAre(0, 4, 1));
}

TEST(ByteLevelTokenizer, TakesTheLongestOfAddedTokensAtOnePlace) {
  const Tokenizer tokenizer = changed([](FileJson& file) {
    for (const auto& [content, id] : {std::pair("  ", 13), std::pair("   ", 14)})
      file["added_tokens"].push_back({{"id", id}, {"content", content}, {"normalized", true}});
  });
  EXPECT_THAT(tokenizer.encode("a     b"), ElementsAre(0, 14, 13, 1));
}

TEST(ByteLevelTokenizer, DoesWhatTheFileSays) {
  EXPECT_THAT(changed([](FileJson& file) { file["model"]["ignore_merges"] = true; }).encode(" ab"), ElementsAre(9));
  const Tokenizer prefix = changed([](FileJson& file) { file["pre_tokenizer"]["add_prefix_space"] = true; });
  EXPECT_THAT(prefix.encode("a"), ElementsAre(8));
  EXPECT_THAT(prefix.encode(" a"), ElementsAre(8));
  EXPECT_THAT(prefix.encode_continuation("a"), ElementsAre(0));
  EXPECT_THAT(prefix.encode("<|endoftext|>a"), ElementsAre(12, 8)) << "before every part";
  const Tokenizer nfc = changed([](FileJson& file) { file["normalizer"] = {{"type", "NFC"}}; });
  EXPECT_THAT(nfc.encode("e\u0301"), ElementsAre(11));
  const Tokenizer merges = changed([](FileJson& file) {
    file["model"]["merges"] = FileJson::array({FileJson::array({"a", "b"}), FileJson::array({"ab", "c"})});
  });
  EXPECT_THAT(merges.encode("abc"), ElementsAre(10));
  const Tokenizer pattern = changed([](FileJson& file) {
    file["pre_tokenizer"] = {
        {"type", "Sequence"},
        {"pretokenizers",
         {{{"type", "Split"}, {"pattern", {{"String", "b"}}}, {"behavior", "Removed"}, {"invert", false}},
          {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
  });
  EXPECT_THAT(pattern.encode("ab abc"), ElementsAre(0, 8, 2));
  EXPECT_FALSE(pattern.keeps_text());
}

TEST(ByteLevelTokenizer, TakesEndsFromTheTemplate) {
  const auto with = [](FileJson single) {
    return changed([&](FileJson& file) {
      file["post_processor"] = {{"type", "TemplateProcessing"},
                                {"single", single},
                                {"special_tokens", {{"!", {{"id", "!"}, {"ids", {4}}, {"tokens", {"!"}}}}}}};
    });
  };
  const FileJson mark = {{"SpecialToken", {{"id", "!"}, {"type_id", 0}}}}, text = {{"Sequence", {{"id", "A"}}}};
  EXPECT_EQ(with({mark, text}).bos_id(), 4);
  EXPECT_EQ(with({mark, text}).eos_id(), 12) << "by name";
  EXPECT_EQ(with({text, mark}).eos_id(), 4);
  EXPECT_NEXUS_ERROR(with({mark, mark, text}), ErrorKind::kData, HasSubstr("more than one token"));
}

TEST(ByteLevelTokenizer, KnowsWhatItLoses) {
  const Tokenizer dropping = tokenizer_of(small_file());
  EXPECT_TRUE(dropping.drops_unknown());
  EXPECT_THAT(dropping.encode("axb"), ElementsAre(7)) << "as the library does";
  EXPECT_EQ(dropping.unknown_bytes("axyb <|endoftext|>", false), 2);
  const Tokenizer marking = changed([](FileJson& file) { file["model"]["unk_token"] = "!"; });
  EXPECT_THAT(marking.encode("axyb"), ElementsAre(0, 4, 4, 1));
  EXPECT_EQ(marking.unknown_id(), 4);
  const Tokenizer fusing = changed([](FileJson& file) {
    file["model"]["unk_token"] = "!";
    file["model"]["fuse_unk"] = true;
  });
  EXPECT_THAT(fusing.encode("axyb"), ElementsAre(0, 4, 1));
}

TEST(ByteLevelTokenizer, GivesBackBytesThatAreNotUtf8) {
  const Tokenizer tokenizer = tokenizer_of(small_file());
  for (const char* text : {"a\xC3", "\xC3\xC3\xA9", "\xA9", "a\xC3 b", "\xC3\xA9\xC3\xA9\xA9", "ab\xC3"})
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  EXPECT_NEXUS_ERROR(tokenizer.decode(Ids{13}), ErrorKind::kData, HasSubstr("outside the vocabulary of 13"));
}

// Every byte is a token; merges of random pairs.
FileJson full_file() {
  FileJson vocabulary, merges = FileJson::array();
  std::vector<std::string> tokens;
  std::string bytes;
  for (char32_t c = 0x21; c < 0x144; ++c) {
    std::string token;
    append_utf8(token, c);
    if (token_to_bytes(token, bytes)) tokens.push_back(token);
  }
  EXPECT_EQ(tokens.size(), 256u);
  const RandomStream random(3, "merges");
  for (uint64_t i = 0; tokens.size() < 600; i += 2) {
    const std::string left = tokens[random.below(i, tokens.size())], right = tokens[random.below(i + 1, tokens.size())];
    if (std::ranges::find(tokens, left + right) != tokens.end()) continue;
    merges.push_back({left, right});
    tokens.push_back(left + right);
  }
  for (size_t id = 0; id < tokens.size(); ++id) vocabulary[tokens[id]] = id;
  FileJson file = small_file();
  file["model"]["vocab"] = vocabulary;
  file["model"]["merges"] = merges;
  file["added_tokens"][0]["id"] = tokens.size();
  return file;
}

TEST(ByteLevelTokenizer, GivesEveryTextBackOnManyThreads) {
  const Tokenizer tokenizer = tokenizer_of(full_file());
  const std::string text = testing::sample_text(200000);
  const Ids ids = tokenizer.encode(text);
  EXPECT_EQ(tokenizer.decode(ids), text);
  std::vector<std::thread> threads;
  std::vector<Ids> found(4);
  for (size_t i = 0; i < found.size(); ++i) threads.emplace_back([&, i] { found[i] = tokenizer.encode(text); });
  for (std::thread& thread : threads) thread.join();
  for (const Ids& other : found) EXPECT_EQ(other, ids);
  std::string any;
  const RandomStream random(4, "bytes");
  for (uint64_t i = 0; i < 20000; ++i) any += static_cast<char>(random.below(i, 256));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(any)), any);
}

TEST(ByteLevelTokenizer, SaysWhereTextMayBeCut) {
  const Tokenizer tokenizer = tokenizer_of(full_file());
  EXPECT_TRUE(tokenizer.may_cut("word", " next"));
  EXPECT_FALSE(tokenizer.may_cut("word", "next"));
  EXPECT_FALSE(tokenizer.may_cut("word\u3000", " next")) << "white space is split as a whole";
  const auto with_token = [](const char* content) {
    FileJson file = full_file();
    file["added_tokens"].push_back({{"id", 601}, {"content", content}});
    return tokenizer_of(file).may_cut("word", " next");
  };
  EXPECT_TRUE(with_token("   "));
  EXPECT_FALSE(with_token("new york"));
  FileJson file = full_file();
  file["pre_tokenizer"] = {{"type", "Sequence"},
                           {"pretokenizers",
                            {{{"type", "Split"}, {"pattern", {{"Regex", "\\w+ \\w+|."}}}, {"behavior", "Isolated"}},
                             {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
  EXPECT_FALSE(tokenizer_of(file).may_cut("word", " next")) << "this pattern joins words";
}

TEST(ByteLevelTokenizer, EncodesDocumentsOfManyPiecesAsAWhole) {
  const TempFolder folder;
  const Tokenizer tokenizer(testing::write_file(folder / "t.json", json_text(small_file())));
  std::string text = "cc";  // the cut would part an a from its b
  for (int i = 0; i < 6000; ++i) text += "ab";
  BuildOptions options;
  options.inputs = {testing::write_file(folder / "text", text)};
  options.tokenizer = folder / "t.json";
  options.out = folder / "built";
  options.valid_share = 0;
  build_dataset(options);
  const TokenFile file(train_prefix(options.out));
  Ids built(static_cast<size_t>(file.tokens())), whole = tokenizer.encode(text), apart;
  file.read(0, file.tokens(), built.data());
  DocumentReader reader(options.inputs, DocumentMode::kFile);
  while (const auto piece = reader.next()) {
    const Ids ids = tokenizer.encode(piece->text);
    apart.insert(apart.end(), ids.begin(), ids.end());
  }
  EXPECT_NE(apart, whole);
  whole.insert(whole.begin(), 12);
  EXPECT_EQ(built, whole);
  EXPECT_TRUE(path_exists(folder / "built.tokenizer.json"));
  EXPECT_TRUE(build_dataset(options).was_complete);
}

struct Refused {
  const char* words;
  std::function<void(FileJson&)> change;
};

TEST(ByteLevelTokenizer, RefusesWhatItDoesNotFollow) {
  const auto split = [](const char* pattern, const char* behavior = "Isolated") {
    return FileJson{
        {"type", "Sequence"},
        {"pretokenizers",
         {{{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", behavior}}, {{"type", "ByteLevel"}}}}};
  };
  const std::vector<Refused> cases = {
      {"a model of type \"WordPiece\"", [](FileJson& f) { f["model"]["type"] = "WordPiece"; }},
      {"a model of type \"Unigram\"",
       [](FileJson& f) {
         f["model"] = {{"type", "Unigram"}, {"vocab", {{"a", -1.5}}}};
       }},
      {"no ByteLevel", [](FileJson& f) { f["pre_tokenizer"] = nullptr; }},
      {"the pre-tokenizer \"Metaspace\"",
       [](FileJson& f) {
         f["pre_tokenizer"] = {{"type", "Metaspace"}};
       }},
      {"behind ByteLevel",
       [](FileJson& f) {
         f["pre_tokenizer"] = {{"type", "Sequence"},
                               {"pretokenizers", {{{"type", "ByteLevel"}}, {{"type", "Digits"}}}}};
       }},
      {"the normalizer \"Lowercase\"",
       [](FileJson& f) {
         f["normalizer"] = {{"type", "Lowercase"}};
       }},
      {"the decoder \"Metaspace\"",
       [](FileJson& f) {
         f["decoder"] = {{"type", "Metaspace"}};
       }},
      {"the post-processor \"BertProcessing\"",
       [](FileJson& f) {
         f["post_processor"] = {{"type", "BertProcessing"}};
       }},
      {"dropout", [](FileJson& f) { f["model"]["dropout"] = 0.1; }},
      {"'end_of_word_suffix'", [](FileJson& f) { f["model"]["end_of_word_suffix"] = "</w>"; }},
      {"'byte_fallback'", [](FileJson& f) { f["model"]["byte_fallback"] = true; }},
      {"'ignore_merges' is neither", [](FileJson& f) { f["model"]["ignore_merges"] = "yes"; }},
      {"'vocab' is no object", [](FileJson& f) { f["model"].erase("vocab"); }},
      {"'merges' is missing", [](FileJson& f) { f["model"].erase("merges"); }},
      {"id 3 belongs to two tokens", [](FileJson& f) { f["model"]["vocab"]["x"] = 3; }},
      {"the id of \"x\" is -1", [](FileJson& f) { f["model"]["vocab"]["x"] = -1; }},
      {"the id of \"x\" is 99999999999", [](FileJson& f) { f["model"]["vocab"]["x"] = 99999999999; }},
      {"the id of \"x\" is 1.5", [](FileJson& f) { f["model"]["vocab"]["x"] = 1.5; }},
      {"merge 5 needs the token \"z\"", [](FileJson& f) { f["model"]["merges"].push_back("a z"); }},
      {"merge 5 needs the token \"cb\"", [](FileJson& f) { f["model"]["merges"].push_back("c b"); }},
      {"merge 5 is \"a b c\", not two", [](FileJson& f) { f["model"]["merges"].push_back("a b c"); }},
      {"merge 5 is neither", [](FileJson& f) { f["model"]["merges"].push_back(7); }},
      {"'unk_token' is not in", [](FileJson& f) { f["model"]["unk_token"] = "<unk>"; }},
      {"has id 40, but by the vocabulary it is 12", [](FileJson& f) { f["added_tokens"][0]["id"] = 40; }},
      {"has id 2, but by the vocabulary it is 12", [](FileJson& f) { f["added_tokens"][0]["id"] = 2; }},
      {"is there twice", [](FileJson& f) { f["added_tokens"].push_back(f["added_tokens"][0]); }},
      {"an added token without text", [](FileJson& f) { f["added_tokens"][0]["content"] = ""; }},
      {"'content' is missing", [](FileJson& f) { f["added_tokens"][0].erase("content"); }},
      {"id 99, outside the vocabulary",
       [](FileJson& f) {
         f["post_processor"] = {{"type", "TemplateProcessing"},
                                {"single", {{{"SpecialToken", {{"id", "!"}}}}, {{"Sequence", {{"id", "A"}}}}}},
                                {"special_tokens", {{"!", {{"ids", {99}}}}}}};
       }},
      {"behavior \"MergedWithNext\"", [&](FileJson& f) { f["pre_tokenizer"] = split("a", "MergedWithNext"); }},
      {"without a pattern",
       [&](FileJson& f) {
         f["pre_tokenizer"] = {{"type", "Split"}, {"behavior", "Isolated"}};
       }},
      {"where there is no text", [&](FileJson& f) { f["pre_tokenizer"] = split("a*"); }},
      {"cannot be used", [&](FileJson& f) { f["pre_tokenizer"] = split("(a"); }},
      {"[:names:]", [&](FileJson& f) { f["pre_tokenizer"] = split("[[:alpha:]]+"); }},
      {"&&", [&](FileJson& f) { f["pre_tokenizer"] = split("[\\w&&[^a]]+"); }},
      {"\\b is not supported", [&](FileJson& f) { f["pre_tokenizer"] = split("\\bx"); }},
      {"kind of group", [&](FileJson& f) { f["pre_tokenizer"] = split("(?<name>a)"); }},
      {"kind of group", [&](FileJson& f) { f["pre_tokenizer"] = split("(*ACCEPT)a"); }},
      {"after a count", [&](FileJson& f) { f["pre_tokenizer"] = split("\\p{N}{1,3}+"); }},
      {"ends with a backslash", [&](FileJson& f) { f["pre_tokenizer"] = split("a\\"); }},
      {"is no property", [&](FileJson& f) { f["pre_tokenizer"] = split("\\p{L }"); }},
      {"without a code point", [&](FileJson& f) { f["pre_tokenizer"] = split("\\x{1"); }},
  };
  for (const Refused& refused : cases)
    EXPECT_NEXUS_ERROR(changed(refused.change), ErrorKind::kData,
                       AllOf(HasSubstr(refused.words), HasSubstr("tokenizer.json")));
  std::string twice = json_text(small_file());
  twice.replace(twice.find("\"a\":0"), 5, "\"a\":0,\"a\":0");
  EXPECT_NEXUS_ERROR(Tokenizer::from_bytes(twice, "t"), ErrorKind::kData, HasSubstr("repeated key"));
  EXPECT_NEXUS_ERROR(Tokenizer::from_bytes("{" + std::string(1 << 16, '['), "t"), ErrorKind::kData, HasSubstr("JSON"));
}

TEST(ByteLevelTokenizer, SurvivesDamage) {
  const std::string file = json_text(small_file());
  for (size_t size = 1; size < file.size(); ++size)
    EXPECT_NEXUS_ERROR(Tokenizer::from_bytes(file.substr(0, size), "t"), ErrorKind::kData, HasSubstr("not valid JSON"));
  const RandomStream random(5, "damage");
  int refused = 0;
  for (uint64_t i = 0; i < 6000; i += 3) {
    std::string damaged = file;
    damaged[1 + random.below(i, file.size() - 1)] = static_cast<char>(random.below(i + 1, 256));
    if (random.below(i + 2, 2) == 0) damaged[1 + random.below(i + 2, file.size() - 1)] = '"';
    try {
      const Tokenizer tokenizer = Tokenizer::from_bytes(damaged, "t");
      tokenizer.decode(tokenizer.encode("ab <|endoftext|> \u00E9c!"));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kData) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST(SplitPattern, MeansWhatOnigurumaMeans) {
  MatchRoom room;
  const auto first = [&](const char* pattern, std::string_view text) {
    return SplitPattern(pattern, "t").find(text, 0, room).value_or(std::pair<size_t, size_t>(9, 9));
  };
  EXPECT_THAT(first("\\s", "\u180E \u0085"), Pair(3, 4)) << "U+180E is no white space any more";
  EXPECT_THAT(first("[^\\s]", " \u180E"), Pair(1, 4));
  EXPECT_THAT(first("a$", "a\nb"), Pair(0, 1)) << "$ knows lines";
  EXPECT_THAT(first("[a[bc]]+", "xabc"), Pair(1, 4));
  EXPECT_THAT(first("\\w+", "-\u00BD_"), Pair(1, 4));
  EXPECT_THAT(first("\\W", "a-"), Pair(1, 2));
  EXPECT_THAT(first("a{,2}b", "aab"), Pair(0, 3));
  EXPECT_THAT(first("x{", "x{"), Pair(0, 2));
  EXPECT_THAT(first("]", "a]"), Pair(1, 2));
  EXPECT_THAT(first("\\p{Han}", "a\u65E5"), Pair(1, 4));
  EXPECT_THAT(first("\\u65E5|\\x{61}", "\u65E5"), Pair(0, 3));
  EXPECT_THAT(first("\\p{^L}", "a1"), Pair(1, 2));
  EXPECT_THAT(first("(?i:'s)", "'\u017F"), Pair(0, 3)) << "the long s is an s";
  const std::string odd = "a.b*[c]\\ {2} #\u00E9";
  EXPECT_THAT(first(quoted_pattern(odd).c_str(), odd), Pair(0, odd.size()));
}

TEST(Utf8Text, KnowsWhatIsNormalised) {
  EXPECT_EQ(to_nfc("e\u0301"), "\u00E9");
  EXPECT_TRUE(is_plainly_nfc("Stra\u00DFe, \u65E5\u672C\u3001\uD55C\uAE00 \u2019\u0416"));
  EXPECT_FALSE(is_plainly_nfc("e\u0301"));
  for (char32_t c = 0x80; c < 0x30000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text = "e";
    append_utf8(text, c);
    text += "e";
    if (is_plainly_nfc(text)) {
      EXPECT_EQ(to_nfc(text), text) << static_cast<uint32_t>(c);
    }
  }
  EXPECT_EQ(valid_utf8_bytes("ab\xC3"), 2u);
  EXPECT_EQ(valid_utf8_bytes("ab\xFFzz"), 2u);
  EXPECT_EQ(blank_bytes_at_end("x\u3000 "), 4u);
  EXPECT_EQ(blank_bytes_at_start(" \u3000x"), 4u);
}

}  // namespace
}  // namespace nexus
