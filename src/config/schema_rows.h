// How the tables of schema.h are written: one `add` per key.
#pragma once

#include <string>
#include <type_traits>
#include <utility>

#include "config/schema.h"
#include "config/values.h"

namespace nexus {

constexpr auto kFixed = KeyClass::kFixed;
constexpr auto kSchedule = KeyClass::kSchedule;
constexpr auto kData = KeyClass::kData;
constexpr auto kAccount = KeyClass::kAccount;
constexpr auto kPlacement = KeyClass::kPlacement;
constexpr auto kCosmetic = KeyClass::kCosmetic;

// The member that holds a key: at(&CampaignSpec::seed), at(&CampaignSpec::batch, &BatchSpec::micro).
template <typename Spec, typename Member>
auto at(Member Spec::*member) {
  return [member](auto& spec) -> auto& {
    return spec.*member;
  };
}
template <typename Spec, typename Part, typename Member>
auto at(Part Spec::*part, Member Part::*member) {
  return [ part, member ](auto& spec) -> auto& {
    return spec.*part.*member;
  };
}

// Appends the row of `key` and returns it, so that its rarer facts can be set.
template <typename Spec, typename Type, typename Access>
Field<Spec>& add(Table<Spec>& table, const std::string& key, const std::string& preset, const Type& type, Access access,
                 KeyClass key_class, const std::string& comment) {
  Field<Spec>& field = table.emplace_back(key, key_class);
  field.preset = preset;
  field.comment = comment;
  field.set = [type, access](Spec& spec, const Node& node, const std::string& path) {
    access(spec) = static_cast<std::decay_t<decltype(access(spec))>>(type.parse(node, path));
  };
  field.get = [type, access](const Spec& spec) -> std::optional<std::string> {
    return type.text(static_cast<typename Type::Value>(access(spec)));
  };
  return field;
}

// The choices whose names are what name_of says.
template <typename E>
ChoiceType<E> choice_of(std::initializer_list<E> values) {
  ChoiceType<E> type;
  for (const E value : values) type.choices.emplace_back(name_of(value), value);
  return type;
}

// Appends the rows of `model`.
void add_model_rows(Table<CampaignSpec>& table);

}  // namespace nexus
