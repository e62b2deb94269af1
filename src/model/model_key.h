// A key by name: of all models, or only of some architectures or workloads: model.NAME of a campaign file, NAME of the
// model in a checkpoint's state, and grow.NAME if it grows. A count, or a word among `choices`; true and false are a
// flag.
#pragma once

#include <string>
#include <vector>

namespace nexus {

struct ModelKey {
  struct Owner {
    std::string word{}, value{};
  };
  struct Growth {
    std::string comment{}, example{};  // of grow.NAME
  };

  std::string name{};
  std::string comment{};
  std::string preset{};                // where it is not given; empty: it must be
  std::string example{};               // what to write, where there is no preset
  std::vector<std::string> choices{};  // of a word; none: a positive count
  std::string at_birth{};     // a count that stays what this other key was when the model was made, unless it is given
  Owner only_with{};          // only models in which this word has this value have the key
  bool cut = false;           // tensor-parallel ranks have a part each: it must divide by their number
  bool cut_unevenly = false;  // the same, of sizes that may differ by one
  Growth growth{};            // without a comment the key does not grow
  // Of a word that came when there were models without it, which have the preset: told only where it is another value.
  bool late = false;

  bool is_word() const { return !choices.empty(); }
  bool is_flag() const { return choices == std::vector<std::string>{"true", "false"}; }
  bool grows() const { return !growth.comment.empty(); }
};

}  // namespace nexus
