// The classes of configuration keys: what a change of one does to a run that has begun, and what it needs.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace nexus {

enum class KeyClass {
  kFixed,      // numerics of the model, of the samples and of a growth that has happened: never
  kSchedule,   // numerics of the steps that are left: with permission, from the next step on
  kData,       // files that are compared by what they hold: another content with permission, another place any time
  kAccount,    // what recorded totals mean: never, for a total adds no two definitions
  kPlacement,  // where and how it runs, is saved and is stopped (and at most the rounding): any time
  kCosmetic    // names and reports: any time
};
constexpr std::array<KeyClass, 6> kKeyClasses{KeyClass::kFixed,   KeyClass::kSchedule,  KeyClass::kData,
                                              KeyClass::kAccount, KeyClass::kPlacement, KeyClass::kCosmetic};
std::string name_of(KeyClass key_class);
// What a change of such a key in a run that has begun needs; one sentence for the documentation.
std::string change_needs(KeyClass key_class);
// Whether values of this class are recorded with each stage that they determined (TrainState::stage_numerics).
inline bool is_numerics(KeyClass key_class) {
  return key_class == KeyClass::kFixed || key_class == KeyClass::kSchedule;
}

// The class of a full key ("stages.1.lr.peak"); nothing for a key that this build does not know.
using ClassOfKey = std::function<std::optional<KeyClass>(const std::string& key)>;

// Key -> value of what determined the numbers of one stage.
using StageNumerics = std::map<std::string, std::string>;

}  // namespace nexus
