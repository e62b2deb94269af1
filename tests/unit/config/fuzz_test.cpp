// Random mutations of valid files: each loads or throws nexus::Error of kind kConfig; nothing else happens.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/rng.h"
#include "unit/config/config_test_support.h"

namespace nexus::testing {
namespace {

// What mutations insert: the syntax of YAML, values at the edges, and bytes that are no text.
const std::vector<std::string> kPieces = {"{",
                                          "}",
                                          "[",
                                          "]",
                                          ":",
                                          ": ",
                                          ",",
                                          "- ",
                                          "\n",
                                          "  ",
                                          "\t",
                                          "&a ",
                                          "*a",
                                          "!!",
                                          "<<",
                                          "#",
                                          "|",
                                          ">",
                                          "\"",
                                          "'",
                                          "%",
                                          "---",
                                          "...",
                                          "?",
                                          "~",
                                          "null",
                                          "0",
                                          "-1",
                                          "1e999",
                                          ".nan",
                                          "1Mi",
                                          "007",
                                          "1%",
                                          "30min",
                                          "true",
                                          "no",
                                          "\\x00",
                                          "\x80",
                                          "\xE2\x80\xAE",
                                          "M",
                                          "name",
                                          "stages",
                                          "9999999999999999999",
                                          "0.1",
                                          "1B",
                                          "500 steps",
                                          "keys: {a: b}",
                                          "never"};

class Mutator {
 public:
  explicit Mutator(uint64_t seed) : stream_(seed, "config mutations") {}

  std::string mutate(std::string text) {
    const uint64_t edits = 1 + below(6);
    for (uint64_t i = 0; i < edits; ++i) edit(text);
    return text;
  }

 private:
  uint64_t below(uint64_t bound) { return stream_.below(counter_++, bound); }

  void edit(std::string& text) {
    const size_t at = below(text.size() + 1), length = below(12);
    switch (below(5)) {
      case 0: text.erase(at, length); break;
      case 1: text.insert(at, kPieces[below(kPieces.size())]); break;
      case 2: text.insert(at, text.substr(below(text.size() + 1), 4 * length)); break;
      case 3: text.replace(at, length, kPieces[below(kPieces.size())]); break;
      default:
        if (at < text.size()) text[at] = static_cast<char>(below(256));
    }
  }

  RandomStream stream_;
  uint64_t counter_ = 0;
};

TEST(MutatedCampaign, LoadsOrIsRefusedAndNothingElse) {
  constexpr int kMutations = 4000;
  const std::vector<std::string> seeds = {kCampaign, reference_yaml()};
  int accepted = 0;
  for (int i = 0; i < kMutations; ++i) {
    const std::string text = Mutator(static_cast<uint64_t>(i)).mutate(seeds[static_cast<size_t>(i) % seeds.size()]);
    try {
      const LoadedCampaign campaign = load_campaign_text(text, "c.yaml");
      // What loads must also resolve to itself.
      EXPECT_EQ(load_campaign_text(campaign.resolved_yaml, "r.yaml").resolved_yaml, campaign.resolved_yaml) << text;
      ++accepted;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kConfig) << error.what() << "\n" << text;
    }
  }
  // Both outcomes must be exercised: the mutations neither destroy everything nor miss everything.
  EXPECT_GT(accepted, kMutations / 100);
  EXPECT_LT(accepted, kMutations * 9 / 10);
}

}  // namespace
}  // namespace nexus::testing
