#include "checkpoint/shard.h"

#include <fcntl.h>

#include <algorithm>
#include <bit>
#include <fstream>

#include "checkpoint/fault_points.h"
#include "checkpoint/strict_json.h"
#include "core/files.h"
#include "core/hash.h"

namespace nexus {
namespace {

static_assert(std::endian::native == std::endian::little, "digests of memory and of little-endian files must agree");

hid_t file_type(DType dtype) {
  return dtype == DType::kF64 ? H5T_IEEE_F64LE : H5T_IEEE_F32LE;
}
hid_t memory_type(DType dtype) {
  return dtype == DType::kF64 ? H5T_NATIVE_DOUBLE : H5T_NATIVE_FLOAT;
}

std::vector<hsize_t> dims_of(const Shape& shape, int64_t rows) {
  std::vector<hsize_t> dims;
  for (int axis = 0; axis < shape.rank(); ++axis) dims.push_back(static_cast<hsize_t>(shape[axis]));
  dims[0] = static_cast<hsize_t>(rows);
  return dims;
}

Hdf5Handle dataset_properties(const Hdf5Context& context) {
  const char* operation = "set HDF5 dataset properties";
  Hdf5Handle create = context.own(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, operation);
  context.check(H5Pset_layout(create.get(), H5D_CONTIGUOUS) >= 0, operation);
  context.check(H5Pset_fill_time(create.get(), H5D_FILL_TIME_NEVER) >= 0, operation);
  return create;
}

void write_slice(const Hdf5Context& context, hid_t file, const TensorSlice& slice, const std::string& dataset) {
  const std::string operation = fmt::format("write tensor '{}'", slice.name);
  const Hdf5Handle create = dataset_properties(context);
  const Hdf5Handle link = context.own(H5Pcreate(H5P_LINK_CREATE), H5Pclose, operation);
  context.check(H5Pset_create_intermediate_group(link.get(), 1) >= 0, operation);
  const std::vector<hsize_t> dims = dims_of(slice.shape, slice.rows);
  const Hdf5Handle space = context.own(H5Screate_simple(slice.shape.rank(), dims.data(), nullptr), H5Sclose, operation);
  Hdf5Handle set = context.own(
      H5Dcreate2(file, dataset.c_str(), file_type(slice.dtype), space.get(), link.get(), create.get(), H5P_DEFAULT),
      H5Dclose, operation);
  context.check(H5Dwrite(set.get(), memory_type(slice.dtype), H5S_ALL, H5S_ALL, H5P_DEFAULT, slice.host) >= 0,
                operation);
  context.check(set.reset(), operation);
}

// Sets the disk to work on what has been written while the next slice is digested. A hint: the fsync at the end
// decides.
void start_writeback(hid_t file) {
  void* handle = nullptr;  // the default file driver gives a pointer to its file descriptor
  if (H5Fget_vfd_handle(file, H5P_DEFAULT, &handle) >= 0 && handle != nullptr)
    ::sync_file_range(*static_cast<int*>(handle), 0, 0, SYNC_FILE_RANGE_WRITE);
}

// Bytes [begin, end) of a file, which must have `digest`.
struct Extent {
  int64_t begin = 0, end = 0;
  std::string digest, tensor;
};

// One pass over the file: its size and digest, and the proof that every extent holds what was meant to be written.
FileRecord read_back(const std::string& path, std::vector<Extent> extents) {
  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  std::ifstream in(path, std::ios::binary);
  std::vector<char> block(1 << 20);  // stays in the cache between the two digests
  Hasher whole, part;
  size_t current = 0;
  int64_t position = 0;
  while (in.read(block.data(), static_cast<std::streamsize>(block.size())), in.gcount() > 0) {
    const int64_t end = position + in.gcount();
    whole.add(block.data(), static_cast<size_t>(in.gcount()));
    while (current < extents.size() && extents[current].begin < end) {
      const Extent& extent = extents[current];
      const int64_t from = std::max(position, extent.begin), to = std::min(end, extent.end);
      part.add(block.data() + (from - position), static_cast<size_t>(to - from));
      if (extent.end > end) break;  // goes on in the next block
      if (part.digest() != extent.digest)
        throw Error(ErrorKind::kIo,
                    fmt::format("tensor '{}' reads back differently from what was written", extent.tensor), path,
                    "suspect this node's memory or disk: run the same command on another one");
      part = Hasher();
      ++current;
    }
    position = end;
  }
  if (in.bad() || current != extents.size())
    throw Error(ErrorKind::kIo, "the file just written cannot be read back whole", path,
                "check free space and the disk, then run the same command again");
  return {"", position, whole.digest()};
}

FileRecord read_back(const std::string& path, const ShardRecord& shard) {
  std::vector<Extent> extents;
  {
    const ShardReader reader(path);
    for (const auto& [name, tensor] : shard.tensors) {
      for (const SliceRecord& slice : tensor.slices) {
        const int64_t begin = reader.offset_bytes(name, tensor, slice);
        extents.push_back({begin, begin + slice.rows * tensor.row_bytes(), slice.digest, name});
      }
    }
  }
  return read_back(path, std::move(extents));
}

void check_slice(const TensorSlice& slice) {
  NX_CHECK(is_tensor_name(slice.name), "tensor name '{}'", slice.name);
  NX_CHECK(slice.dtype == DType::kF32 || slice.dtype == DType::kF64, "'{}' holds {}", slice.name, name_of(slice.dtype));
  NX_CHECK(slice.shape.rank() >= 1 && slice.shape.count() > 0, "'{}' has shape {}", slice.name, slice.shape.str());
  NX_CHECK(slice.begin_row >= 0 && slice.rows > 0 && slice.rows <= slice.shape[0] - slice.begin_row,
           "rows {}+{} of '{}' {}", slice.begin_row, slice.rows, slice.name, slice.shape.str());
  NX_CHECK(slice.host != nullptr, "'{}' has no memory", slice.name);
}

void write_slices(const std::string& path, const std::vector<TensorSlice>& slices, ShardRecord& shard) {
  const Hdf5Context context(ErrorKind::kIo, path);
  const Hdf5Handle access = shard_access_properties(context);
  fault_point("shard-open");
  Hdf5Handle file =
      context.own(H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, access.get()), H5Fclose, "create shard");
  for (const TensorSlice& slice : slices) {
    if (slice.rows == 0) continue;
    check_slice(slice);
    fault_point("shard-write");
    TensorRecord& tensor = shard.tensors[slice.name];
    NX_CHECK(tensor.slices.empty() || (tensor.dtype == slice.dtype && tensor.shape == slice.shape),
             "slices of '{}' disagree", slice.name);
    tensor.dtype = slice.dtype;
    tensor.shape = slice.shape;
    SliceRecord record{shard.file.name, slice.begin_row, slice.rows, ""};
    record.digest = hash_bytes(slice.host, static_cast<size_t>(slice.rows * tensor.row_bytes()));
    write_slice(context, file.get(), slice, dataset_name(slice.name, tensor, record));
    tensor.slices.push_back(std::move(record));
    start_writeback(file.get());
  }
  fault_point("shard-close");
  context.check(file.reset(), "close shard");
}

}  // namespace

std::string hdf5_version() {
  initialize_hdf5();
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return fmt::format("{}.{}.{}", major, minor, release);
}

ShardRecord write_shard(const std::string& folder, const std::string& name, const std::vector<TensorSlice>& slices) {
  ShardRecord shard;
  if (std::none_of(slices.begin(), slices.end(), [](const TensorSlice& slice) { return slice.rows != 0; }))
    return shard;
  shard.file.name = name;
  const std::string path = folder + "/" + name;
  write_slices(path, slices, shard);
  fault_point("read-back");
  shard.file = read_back(path, shard);
  shard.file.name = name;
  fault_point("shard-sync");
  fsync_path(path);
  return shard;
}

ShardReader::ShardReader(const std::string& path) : context_(ErrorKind::kCheckpoint, path) {
  const Hdf5Handle access = shard_access_properties(context_);
  file_ = context_.own(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose, "open shard");
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
      throw_damaged(fmt::format("dataset '{}' is missing", dataset), context_.where());
    if (link.type != H5L_TYPE_HARD)
      throw_damaged(fmt::format("'{}' is reached by a link that is not hard", dataset), context_.where());
    const std::string operation = fmt::format("open '{}'", dataset);
    Hdf5Handle object = context_.own(H5Oopen(parent, component.c_str(), H5P_DEFAULT), H5Oclose, operation);
    const bool last = end == std::string::npos;
    if (H5Iget_type(object.get()) != (last ? H5I_DATASET : H5I_GROUP))
      throw_damaged(fmt::format("'{}' is not a dataset inside groups", dataset), context_.where());
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
  const auto refuse = [&](const char* what) { throw_damaged(fmt::format("'{}' {}", dataset, what), context_.where()); };
  const Hdf5Handle create = context_.own(H5Dget_create_plist(set.get()), H5Pclose, operation);
  if (H5Pget_layout(create.get()) != H5D_CONTIGUOUS) refuse("is not stored contiguously");
  if (H5Pget_external_count(create.get()) != 0) refuse("keeps its data in another file");
  if (H5Pget_nfilters(create.get()) != 0) refuse("is filtered");
  const Hdf5Handle type = context_.own(H5Dget_type(set.get()), H5Tclose, operation);
  if (H5Tequal(type.get(), file_type(tensor.dtype)) <= 0) refuse("has another type than the manifest says");
  const Hdf5Handle space = context_.own(H5Dget_space(set.get()), H5Sclose, operation);
  const std::vector<hsize_t> dims = dims_of(tensor.shape, slice.rows);
  std::vector<hsize_t> actual(dims.size());
  if (H5Sget_simple_extent_ndims(space.get()) != tensor.shape.rank() ||
      H5Sget_simple_extent_dims(space.get(), actual.data(), nullptr) < 0 || actual != dims)
    refuse("has another shape than the manifest says");
  const auto bytes = static_cast<hsize_t>(slice.rows * tensor.row_bytes());
  if (H5Dget_storage_size(set.get()) != bytes) refuse("is not stored whole");
  return set;
}

void ShardReader::check(const std::string& name, const TensorRecord& tensor, const SliceRecord& slice) const {
  open_checked(name, tensor, slice);
}

int64_t ShardReader::offset_bytes(const std::string& name, const TensorRecord& tensor, const SliceRecord& slice) const {
  const haddr_t offset = H5Dget_offset(open_checked(name, tensor, slice).get());
  context_.check(offset != HADDR_UNDEF, fmt::format("locate '{}'", name));
  return static_cast<int64_t>(offset);
}

void ShardReader::read(const std::string& name, const TensorRecord& tensor, const SliceRecord& slice, int64_t first,
                       int64_t rows, void* host) const {
  const std::string operation = fmt::format("read '{}'", name);
  const Hdf5Handle set = open_checked(name, tensor, slice);
  const Hdf5Handle space = context_.own(H5Dget_space(set.get()), H5Sclose, operation);
  std::vector<hsize_t> start(static_cast<size_t>(tensor.shape.rank()), 0);
  start[0] = static_cast<hsize_t>(first);
  const std::vector<hsize_t> count = dims_of(tensor.shape, rows);
  context_.check(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr) >= 0,
                 operation);
  const Hdf5Handle memory =
      context_.own(H5Screate_simple(tensor.shape.rank(), count.data(), nullptr), H5Sclose, operation);
  context_.check(H5Dread(set.get(), memory_type(tensor.dtype), memory.get(), space.get(), H5P_DEFAULT, host) >= 0,
                 operation);
}

}  // namespace nexus
