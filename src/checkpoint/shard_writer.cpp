#include <fcntl.h>

#include <algorithm>
#include <bit>
#include <set>

#include "checkpoint/fault_points.h"
#include "checkpoint/retry_io.h"
#include "checkpoint/shard.h"
#include "core/files.h"
#include "core/hash.h"

namespace nexus {
namespace {

static_assert(std::endian::native == std::endian::little, "digests of memory and of little-endian files must agree");

hid_t memory_type(DType dtype) {
  return dtype == DType::kF64 ? H5T_NATIVE_DOUBLE : H5T_NATIVE_FLOAT;
}

// Properties of a file, group or dataset that keeps no times: equal states are equal files.
Hdf5Handle timeless_properties(const Hdf5Context& context, hid_t kind) {
  const char* operation = "set HDF5 properties";
  Hdf5Handle create = context.own(H5Pcreate(kind), H5Pclose, operation);
  context.check(H5Pset_obj_track_times(create.get(), false) >= 0, operation);
  return create;
}

Hdf5Handle dataset_properties(const Hdf5Context& context) {
  const char* operation = "set HDF5 dataset properties";
  Hdf5Handle create = timeless_properties(context, H5P_DATASET_CREATE);
  context.check(H5Pset_layout(create.get(), H5D_CONTIGUOUS) >= 0, operation);
  context.check(H5Pset_fill_time(create.get(), H5D_FILL_TIME_NEVER) >= 0, operation);
  return create;
}

// The groups above a dataset that are not there yet. (Those that HDF5 makes by itself on the way keep times.)
void make_groups(const Hdf5Context& context, hid_t file, const std::string& dataset, std::set<std::string>& groups) {
  for (size_t end = dataset.find('/'); end != std::string::npos; end = dataset.find('/', end + 1)) {
    const std::string group = dataset.substr(0, end);
    if (!groups.insert(group).second) continue;
    const Hdf5Handle create = timeless_properties(context, H5P_GROUP_CREATE);
    context.own(H5Gcreate2(file, group.c_str(), H5P_DEFAULT, create.get(), H5P_DEFAULT), H5Gclose,
                fmt::format("create group '{}'", group));
  }
}

void write_slice(const Hdf5Context& context, hid_t file, const TensorSlice& slice, const TensorRecord& tensor,
                 const std::string& dataset) {
  const std::string operation = fmt::format("write tensor '{}'", slice.name);
  const Hdf5Handle create = dataset_properties(context);
  const std::vector<hsize_t> extents = dataset_extents(tensor, slice.box);
  const Hdf5Handle space =
      context.own(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), H5Sclose, operation);
  Hdf5Handle set = context.own(
      H5Dcreate2(file, dataset.c_str(), file_type(slice.dtype), space.get(), H5P_DEFAULT, create.get(), H5P_DEFAULT),
      H5Dclose, operation);
  context.check(H5Dwrite(set.get(), memory_type(slice.dtype), H5S_ALL, H5S_ALL, H5P_DEFAULT, slice.host) >= 0,
                operation);
  context.check(set.reset(), operation);
}

// Enough to keep a disk busy, and seldom enough that many small slices do not wait for it.
constexpr int64_t kWritebackBytes = 16 << 20;

// Sets the disk to work on what has been written while the next slice is digested. A hint: the fsync at the end
// decides.
void start_writeback(hid_t file) {
  void* handle = nullptr;  // the default file driver gives a pointer to its file descriptor
  if (H5Fget_vfd_handle(file, H5P_DEFAULT, &handle) >= 0 && handle != nullptr)
    ::sync_file_range(*static_cast<int*>(handle), 0, 0, SYNC_FILE_RANGE_WRITE);
}

Hdf5Handle create_file(const Hdf5Context& context) {
  const Hdf5Lock lock;
  const Hdf5Handle access = shard_access_properties(context);
  const Hdf5Handle create = timeless_properties(context, H5P_FILE_CREATE);  // of the root group
  const hid_t id = H5Fcreate(context.where().c_str(), H5F_ACC_EXCL, create.get(), access.get());
  return context.own(id, H5Fclose, "create shard");
}

// Bytes [begin, end) of a file, which must have `digest`.
struct Extent {
  int64_t begin = 0, end = 0;
  std::string digest, tensor;
};

// One pass over the file: its size and digest, and the proof that every extent holds what was meant to be written.
FileRecord read_back(const std::string& path, std::vector<Extent> extents, const std::function<void()>& alive) {
  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  const RawFile file(path);
  std::vector<char> block(kReadBlockBytes);  // stays in the cache between the two digests
  Hasher whole, part;
  size_t current = 0;
  int64_t position = 0;
  while (const int64_t got = file.read_at(position, block.data(), kReadBlockBytes)) {
    alive();
    const int64_t end = position + got;
    whole.add(block.data(), static_cast<size_t>(got));
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
  if (current != extents.size())
    throw Error(ErrorKind::kIo, "the file just written cannot be read back whole", path,
                "check free space and the disk, then run the same command again");
  return {"", position, whole.digest()};
}

FileRecord read_back(const std::string& path, const ShardRecord& shard, const std::function<void()>& alive) {
  std::vector<Extent> extents;
  {
    const ShardReader reader(path);
    for (const auto& [name, tensor] : shard.tensors) {
      for (const SliceRecord& slice : tensor.slices) {
        const int64_t begin = reader.offset_bytes(name, tensor, slice);
        extents.push_back({begin, begin + tensor.size_bytes(slice.box), slice.digest, name});
      }
    }
  }
  return read_back(path, std::move(extents), alive);
}

// Nothing that is wrong with a file that was written just now is damage to a checkpoint: it is trouble of the disk, and
// the same command may go on elsewhere.
FileRecord prove(const std::string& path, const ShardRecord& shard, const std::function<void()>& alive) {
  try {
    return retry_io([&] { return read_back(path, shard, alive); });
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kCheckpoint) throw;
    throw Error(ErrorKind::kIo, "the file just written does not read back: " + error.fact(), path,
                "suspect this node's memory or disk: run the same command on another one");
  }
}

void check_slice(const TensorSlice& slice) {
  NX_CHECK(is_tensor_name(slice.name), "tensor name '{}'", slice.name);
  NX_CHECK(slice.dtype == DType::kF32 || slice.dtype == DType::kF64, "'{}' holds {}", slice.name, name_of(slice.dtype));
  NX_CHECK(slice.shape.rank() >= 1 && slice.shape.count() > 0, "'{}' has shape {}", slice.name, slice.shape.str());
  const Box& box = slice.box;
  NX_CHECK(!box.empty() && intersection(box, whole_box(slice.shape)) == box, "rows {}+{}, columns {}+{} of '{}' {}",
           box.begin_row, box.rows, box.begin_column, box.columns, slice.name, slice.shape.str());
  NX_CHECK(slice.host != nullptr, "'{}' has no memory", slice.name);
}

// Digest of what is in memory, which is looked at on the way while it is in the processor's cache.
std::string examine(const std::string& path, const TensorSlice& slice, int64_t size_bytes) {
  Hasher hasher;
  const auto* data = static_cast<const char*>(slice.host);
  for (int64_t done = 0; done < size_bytes; done += kReadBlockBytes) {
    const int64_t part = std::min(kReadBlockBytes, size_bytes - done);
    if (slice.must_be_finite)
      require_finite_values(data + done, part, done, {slice.name, slice.dtype, slice.box}, path);
    hasher.add(data + done, static_cast<size_t>(part));
  }
  return hasher.digest();
}

// A new slice of the tensor in the record of this shard; its digest comes from memory.
SliceRecord& add_slice(const std::string& path, ShardRecord& shard, const TensorSlice& slice) {
  TensorRecord& tensor = shard.tensors[slice.name];
  NX_CHECK(tensor.slices.empty() || (tensor.dtype == slice.dtype && tensor.shape == slice.shape),
           "slices of '{}' disagree", slice.name);
  tensor.dtype = slice.dtype;
  tensor.shape = slice.shape;
  tensor.slices.push_back({shard.file.name, slice.box, ""});
  tensor.slices.back().digest = examine(path, slice, tensor.size_bytes(slice.box));
  return tensor.slices.back();
}

void write_slices(const std::string& path, const std::vector<TensorSlice>& slices, ShardRecord& shard,
                  const std::function<void()>& alive) {
  const Hdf5Context context(ErrorKind::kIo, path);
  fault_point("shard-open");
  Hdf5Handle file = create_file(context);
  std::set<std::string> datasets, groups;
  int64_t unflushed = 0;
  for (const TensorSlice& slice : slices) {
    if (slice.box.empty()) continue;
    check_slice(slice);
    fault_point("shard-write");
    alive();
    const SliceRecord& record = add_slice(path, shard, slice);
    const TensorRecord& tensor = shard.tensors.at(slice.name);
    const std::string dataset = dataset_name(slice.name, tensor, record);
    NX_CHECK(datasets.insert(dataset).second, "'{}' is held twice", dataset);
    const Hdf5Lock lock;
    make_groups(context, file.get(), dataset, groups);
    write_slice(context, file.get(), slice, tensor, dataset);
    unflushed += tensor.size_bytes(slice.box);
    if (unflushed < kWritebackBytes) continue;
    start_writeback(file.get());
    unflushed = 0;
  }
  fault_point("shard-close");
  const Hdf5Lock lock;
  context.check(file.reset(), "close shard");
}

}  // namespace

hid_t file_type(DType dtype) {
  return dtype == DType::kF64 ? H5T_IEEE_F64LE : H5T_IEEE_F32LE;
}

std::vector<hsize_t> dataset_extents(const TensorRecord& tensor, const Box& box) {
  std::vector<hsize_t> extents = {static_cast<hsize_t>(box.rows)};
  if (!tensor.whole_rows(box)) extents.push_back(static_cast<hsize_t>(box.columns));
  if (tensor.whole_rows(box))
    for (int axis = 1; axis < tensor.shape.rank(); ++axis) extents.push_back(static_cast<hsize_t>(tensor.shape[axis]));
  return extents;
}

std::string hdf5_version() {
  const Hdf5Lock lock;
  initialize_hdf5();
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return fmt::format("{}.{}.{}", major, minor, release);
}

ShardRecord write_shard(const std::string& folder, const std::string& name, const std::vector<TensorSlice>& slices,
                        const std::function<void()>& alive) {
  ShardRecord shard;
  if (std::none_of(slices.begin(), slices.end(), [](const TensorSlice& slice) { return !slice.box.empty(); }))
    return shard;
  shard.file.name = name;
  const std::string path = folder + "/" + name;
  write_slices(path, slices, shard, alive);
  fault_point("read-back");
  shard.file = prove(path, shard, alive);
  shard.file.name = name;
  fault_point("shard-sync");
  fsync_path(path);
  return shard;
}

}  // namespace nexus
