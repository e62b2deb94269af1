#include "spec/cluster_words.h"

#include <string>
#include <utility>

#include "core/ascii.h"
#include "core/error.h"

namespace nexus {

std::string_view signs_of_word(std::string_view key) {
  static constexpr std::pair<std::string_view, std::string_view> kSigns[] = {
      {"partition", "._-+,"},  // several, by commas
      {"account", "._-+@"},
      {"qos", "._-+,@"},
      {"constraint", "._-+,&|*=:()[]"},  // expressions of features
      {"reservation", "._-+,@"},
      {"gres", "._-:"},  // kind and type
      {"memory", ""},
      {"srun_mpi", "_-"}};
  for (const auto& [name, signs] : kSigns)
    if (name == key) return signs;
  NX_CHECK(false, "no word of a cluster file: {}", std::string(key));
  return "";
}

bool is_word(std::string_view text, std::string_view signs) {
  return !text.empty() && text[0] != '-' && is_made_of(text, signs);
}

}  // namespace nexus
