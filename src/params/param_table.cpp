#include "params/param_table.h"

#include "core/hash.h"

namespace nexus {

Shape ParamSpec::shape() const {
  std::vector<int64_t> extents;
  for (const Axis& axis : axes) extents.push_back(axis.extent);
  return Shape(std::span<const int64_t>(extents));
}

Shape ParamSpec::local_shape() const {
  return axes.size() == 2 ? Shape{local.rows, local.columns} : Shape{local.rows};
}

std::string role_of(const ParamSpec& spec) {
  if (spec.part == ModelPart::kInput) return "input";
  if (spec.part == ModelPart::kOutput) return "output";
  return spec.axes.size() == 1 ? "norm" : spec.name.substr(spec.name.rfind('.') + 1);
}

Box local_box(const ParamSpec& spec, int tp_rank, int tp_size) {
  Box box = spec.whole();
  if (!spec.sharded()) return box;
  const bool by_rows = spec.shard_axis == 0;
  const int64_t extent = by_rows ? box.rows : box.columns;
  const int64_t begin = extent * tp_rank / tp_size, end = extent * (tp_rank + 1) / tp_size;
  NX_CHECK(end > begin, "{} of {} over {} ranks", spec.name, extent, tp_size);
  (by_rows ? box.begin_row : box.begin_column) = begin;
  (by_rows ? box.rows : box.columns) = end - begin;
  return box;
}

int ParamTable::add(ParamSpec spec) {
  NX_CHECK(!index_.contains(spec.name), "{} twice", spec.name);
  NX_CHECK(spec.axes.size() == 1 || spec.axes.size() == 2, "{} has {} axes", spec.name, spec.axes.size());
  NX_CHECK(spec.shard_axis < static_cast<int>(spec.axes.size()), "{} has no axis {}", spec.name, spec.shard_axis);
  for (const Axis& axis : spec.axes) NX_CHECK(axis.extent > 0, "{} has extent {}", spec.name, axis.extent);
  spec.local = local_box(spec, sharding_.tp_rank, sharding_.tp_size);
  spec.offset = flat_end_;
  flat_end_ += spec.local.count();
  count_ += spec.count();
  index_[spec.name] = size();
  specs_.push_back(std::move(spec));
  return size() - 1;
}

int64_t ParamTable::padded(int64_t count) const {
  const int64_t unit = kAlignment * sharding_.dp_size;
  return (count + unit - 1) / unit * unit;
}

void ParamTable::add_product(int index) {
  ++specs_.at(static_cast<size_t>(index)).products;
}

void ParamTable::close_bucket() {
  closed_ = buckets();
  bucket_begin_ = flat_end_ = flat_count();
}

std::vector<Bucket> ParamTable::buckets() const {
  std::vector<Bucket> all = closed_;
  const int first = all.empty() ? 0 : all.back().end;
  if (first < size()) all.push_back({first, size(), bucket_begin_, padded(flat_end_ - bucket_begin_)});
  return all;
}

int64_t ParamTable::flat_count() const {
  return bucket_begin_ + padded(flat_end_ - bucket_begin_);
}

int64_t ParamTable::local(int64_t extent) const {
  NX_CHECK(extent % sharding_.tp_size == 0, "{} does not divide by {} ranks", extent, sharding_.tp_size);
  return extent / sharding_.tp_size;
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
      text +=
          fmt::format(" {}:{}:{}", axis.extent, axis.width.empty() ? "fixed" : axis.width, static_cast<int>(axis.role));
    text += fmt::format(" shard {} decay {}\n", spec.shard_axis, spec.decay);
  }
  return hash_text(text);
}

}  // namespace nexus
