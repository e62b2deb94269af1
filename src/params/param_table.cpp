#include "params/param_table.h"

#include "core/hash.h"

namespace nexus {

std::string_view name_of(Width width) {
  switch (width) {
    case Width::kFixed: return "fixed";
    case Width::kM: return "M";
    case Width::kA: return "A";
    case Width::kTokensQkv: return "n_qkv";
    case Width::kTokensProj: return "n_proj";
    case Width::kTokensFfn: return "n_ffn";
  }
  return "?";
}

Shape ParamSpec::shape() const {
  std::vector<int64_t> extents;
  for (const Axis& axis : axes) extents.push_back(axis.extent);
  return Shape(std::span<const int64_t>(extents));
}

int ParamTable::add(ParamSpec spec) {
  NX_CHECK(!index_.contains(spec.name), "{} twice", spec.name);
  for (const Axis& axis : spec.axes) NX_CHECK(axis.extent > 0, "{} has extent {}", spec.name, axis.extent);
  spec.offset = count_;
  count_ += spec.count();
  index_[spec.name] = size();
  specs_.push_back(std::move(spec));
  return size() - 1;
}

int ParamTable::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? -1 : found->second;
}

std::string ParamTable::digest() const {
  std::string text;
  for (const ParamSpec& spec : specs_) {
    text += spec.name;
    for (const Axis& axis : spec.axes)
      text += fmt::format(" {}:{}:{}", axis.extent, name_of(axis.width), static_cast<int>(axis.role));
    text += fmt::format(" decay {}\n", spec.decay);
  }
  return hash_text(text);
}

}  // namespace nexus
