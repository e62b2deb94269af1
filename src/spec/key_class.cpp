#include "spec/key_class.h"

namespace nexus {

std::string name_of(KeyClass key_class) {
  switch (key_class) {
    case KeyClass::kFixed: return "fixed";
    case KeyClass::kSchedule: return "schedule";
    case KeyClass::kData: return "data";
    case KeyClass::kAccount: return "account";
    case KeyClass::kPlacement: return "placement";
    case KeyClass::kCosmetic: return "cosmetic";
  }
  return "?";
}

std::string change_needs(KeyClass key_class) {
  switch (key_class) {
    case KeyClass::kFixed:
      return "Refused, always. A new run (another `out`) may start from this run's checkpoint with `init_from`; widths "
             "grow in an appended stage.";
    case KeyClass::kSchedule:
      return "`--allow-schedule-change KEY`. It holds from the next step to the end of the stage; the ledger records "
             "it. "
             "Refused where no step is left that it could change.";
    case KeyClass::kData:
      return "Nothing for files that have moved: they are compared by what they hold. Others need "
             "`--allow-schedule-change` with `data.train`, `data.valid` or `tokenizer.path`.";
    case KeyClass::kAccount: return "Refused, always: no total adds two definitions. A new run may have another one.";
    case KeyClass::kPlacement:
      return "Nothing. It changes where and how the run is computed, saved and stopped, and at "
             "most the rounding.";
    case KeyClass::kCosmetic: return "Nothing. It changes names and reports only.";
  }
  return "?";
}

}  // namespace nexus
