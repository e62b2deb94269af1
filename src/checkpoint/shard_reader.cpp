#include <algorithm>

#include "checkpoint/shard.h"
#include "checkpoint/strict_json.h"
#include "core/hash.h"
#include "tensor/finite.h"

namespace nexus {
namespace {

// Rows this long are worth a system call of their own; shorter ones are cut out of blocks of whole rows.
constexpr int64_t kDirectBytes = 64 << 10;

// A rectangle of bytes in a file: `rows` runs of `run` bytes, `pitch` apart. Reads it, and digests what it reads.
class Cutter {
 public:
  explicit Cutter(const RawFile& file) : file_(file) {}

  void read_run(int64_t position, int64_t bytes, char* target) {
    for (int64_t done = 0; done < bytes; done += kReadBlockBytes) {
      const int64_t part = std::min(kReadBlockBytes, bytes - done);
      read_block(position + done, part, target + done);
    }
  }

  // Reads whole rows, blockwise, and keeps `run` bytes of each from `skip` on.
  void read_rows(int64_t position, int64_t rows, int64_t pitch, int64_t skip, int64_t run, char* target,
                 int64_t target_pitch) {
    const int64_t block_rows = std::min(rows, std::max<int64_t>(kReadBlockBytes / pitch, 1));
    std::vector<char> block(static_cast<size_t>(block_rows * pitch));
    for (int64_t first = 0; first < rows; first += block_rows) {
      const int64_t count = std::min(block_rows, rows - first);
      read_block(position + first * pitch, count * pitch, block.data());
      for (int64_t row = 0; row < count; ++row)
        std::copy_n(block.data() + row * pitch + skip, run, target + (first + row) * target_pitch);
    }
  }

  // Of everything read so far, in the order of reading.
  std::string digest() const { return hasher_.digest(); }

 private:
  void read_block(int64_t position, int64_t bytes, char* target) {
    if (file_.read_at(position, target, bytes) != bytes) throw_damaged("the file ends inside a tensor", file_.path());
    hasher_.add(target, static_cast<size_t>(bytes));
  }

  const RawFile& file_;
  Hasher hasher_;
};

}  // namespace

ShardReader::ShardReader(const std::string& path) : context_(ErrorKind::kCheckpoint, path), raw_(path) {
  const Hdf5Lock lock;
  const Hdf5Handle access = shard_access_properties(context_);
  const hid_t id = H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get());
  if (id < 0) static_cast<void>(require_status(path));  // HDF5 asks as well, and does not tell of an error in that
  file_ = context_.own(id, H5Fclose, "open shard");
}

// One path component at a time: a soft or external link anywhere on the way could lead into another file.
Hdf5Handle ShardReader::open(const std::string& dataset) const {
  Hdf5Handle group;
  size_t begin = 0;
  while (true) {
    const size_t end = dataset.find('/', begin);
    const std::string component = dataset.substr(begin, end - begin);
    const hid_t parent = begin == 0 ? file_.get() : group.get();
    H5L_info_t link;
    if (H5Lget_info(parent, component.c_str(), &link, H5P_DEFAULT) < 0)
      context_.refuse(fmt::format("dataset '{}' is missing", dataset));
    if (link.type != H5L_TYPE_HARD)
      throw_damaged(fmt::format("'{}' is reached by a link that is not hard", dataset), context_.where());
    const std::string operation = fmt::format("open '{}'", dataset);
    Hdf5Handle object = context_.own(H5Oopen(parent, component.c_str(), H5P_DEFAULT), H5Oclose, operation);
    const bool last = end == std::string::npos;
    if (H5Iget_type(object.get()) != (last ? H5I_DATASET : H5I_GROUP))
      context_.refuse(fmt::format("'{}' is not a dataset inside groups", dataset));
    if (last) return object;
    group = std::move(object);
    begin = end + 1;
  }
}

Hdf5Handle ShardReader::open_checked(const std::string& name, const TensorRecord& tensor,
                                     const SliceRecord& slice) const {
  const std::string dataset = dataset_name(name, tensor, slice);
  Hdf5Handle set = open(dataset);
  const std::string operation = fmt::format("examine '{}'", dataset);
  const auto refuse = [&](const char* what) { context_.refuse(fmt::format("'{}' {}", dataset, what)); };
  const Hdf5Handle create = context_.own(H5Dget_create_plist(set.get()), H5Pclose, operation);
  if (H5Pget_layout(create.get()) != H5D_CONTIGUOUS) refuse("is not stored contiguously");
  if (H5Pget_external_count(create.get()) != 0) refuse("keeps its data in another file");
  if (H5Pget_nfilters(create.get()) != 0) refuse("is filtered");
  const Hdf5Handle type = context_.own(H5Dget_type(set.get()), H5Tclose, operation);
  if (H5Tequal(type.get(), file_type(tensor.dtype)) <= 0) refuse("has another type than the manifest says");
  const Hdf5Handle space = context_.own(H5Dget_space(set.get()), H5Sclose, operation);
  const std::vector<hsize_t> extents = dataset_extents(tensor, slice.box);
  std::vector<hsize_t> actual(extents.size());
  if (H5Sget_simple_extent_ndims(space.get()) != static_cast<int>(extents.size()) ||
      H5Sget_simple_extent_dims(space.get(), actual.data(), nullptr) < 0 || actual != extents)
    refuse("has another shape than the manifest says");
  if (H5Dget_storage_size(set.get()) != static_cast<hsize_t>(tensor.size_bytes(slice.box)))
    refuse("is not stored whole");
  return set;
}

void ShardReader::check(const std::string& name, const TensorRecord& tensor, const SliceRecord& slice) const {
  const Hdf5Lock lock;
  open_checked(name, tensor, slice);
}

int64_t ShardReader::offset_bytes(const std::string& name, const TensorRecord& tensor, const SliceRecord& slice) const {
  const Hdf5Lock lock;
  const haddr_t offset = H5Dget_offset(open_checked(name, tensor, slice).get());
  context_.check(offset != HADDR_UNDEF, fmt::format("locate '{}'", name));
  const int64_t room = raw_.size_bytes() - tensor.size_bytes(slice.box);
  if (room < 0 || offset > static_cast<haddr_t>(room))
    throw_damaged(fmt::format("'{}' reaches beyond the end of the file", name), context_.where());
  return static_cast<int64_t>(offset);
}

void ShardReader::read(const std::string& name, const TensorRecord& tensor, const SliceRecord& slice, const Box& cut,
                       char* target, int64_t pitch_bytes) const {
  const Box& box = slice.box;
  const int64_t element = size_of(tensor.dtype), pitch = box.columns * element, run = cut.columns * element;
  const int64_t skip = (cut.begin_column - box.begin_column) * element;
  const int64_t begin = offset_bytes(name, tensor, slice) + (cut.begin_row - box.begin_row) * pitch;
  bool whole = cut == box;  // whether all bytes of the slice are read, in their order
  Cutter cutter(raw_);
  if (run == pitch && pitch_bytes == run) {
    cutter.read_run(begin, cut.rows * run, target);
  } else if (run >= kDirectBytes || pitch > kReadBlockBytes) {
    for (int64_t row = 0; row < cut.rows; ++row)
      cutter.read_run(begin + row * pitch + skip, run, target + row * pitch_bytes);
  } else {
    cutter.read_rows(begin, cut.rows, pitch, skip, run, target, pitch_bytes);
    whole = cut.rows == box.rows;
  }
  if (whole && cutter.digest() != slice.digest)
    throw_damaged(fmt::format("tensor '{}' does not match its digest in the manifest", name), context_.where());
}

void ShardReader::require_finite(const std::string& name, const TensorRecord& tensor, const SliceRecord& slice) const {
  const int64_t begin = offset_bytes(name, tensor, slice), bytes = tensor.size_bytes(slice.box);
  std::vector<char> block(static_cast<size_t>(std::min(kReadBlockBytes, bytes)));
  for (int64_t done = 0; done < bytes; done += kReadBlockBytes) {
    const int64_t part = std::min(kReadBlockBytes, bytes - done);
    if (raw_.read_at(begin + done, block.data(), part) != part)
      throw_damaged("the file ends inside a tensor", raw_.path());
    require_finite_values(block.data(), part, done, {name, tensor.dtype, slice.box}, raw_.path());
  }
}

void require_finite_values(const char* data, int64_t size_bytes, int64_t offset_bytes, const ValuesOf& of,
                           const std::string& where) {
  const int64_t element = size_of(of.dtype);
  const int64_t bad = first_nonfinite(data, of.dtype, size_bytes / element);
  if (bad < 0) return;
  const int64_t index = offset_bytes / element + bad;
  throw Error(ErrorKind::kNumeric,
              fmt::format("tensor '{}' holds a value that is not finite, at row {} column {}", of.tensor,
                          of.box.begin_row + index / of.box.columns, of.box.begin_column + index % of.box.columns),
              where,
              "`nexus ckpt verify RUN` says which checkpoints are sound: --resume auto takes the newest of them, "
              "--resume PATH any");
}

}  // namespace nexus
