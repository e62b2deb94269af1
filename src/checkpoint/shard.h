// One HDF5 file of a checkpoint: written by one rank, never appended to. Contiguous little-endian datasets without
// filters, one per slice, so that digests of memory and of file bytes agree.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/hdf5_handle.h"
#include "checkpoint/manifest.h"
#include "checkpoint/raw_file.h"

namespace nexus {

// What one rank has written; `file.name` is empty for a rank that holds no elements.
struct ShardRecord {
  FileRecord file;
  std::map<std::string, TensorRecord> tensors;
};

// Writes, closes, reads back (one pass proves every slice and gives the file's digest) and fsyncs FOLDER/NAME.
// Throws kIo, or kNumeric for a slice that must be finite and is not; empty slices are left out. May run on any thread;
// holds the HDF5 lock for one slice at a time. Calls `alive` whenever some more bytes are written or read.
ShardRecord write_shard(
    const std::string& folder, const std::string& name, const std::vector<TensorSlice>& slices,
    const std::function<void()>& alive = [] {});

// Version of the HDF5 library, "1.10.8".
std::string hdf5_version();

// Types and extents of a slice's dataset: those of the tensor if the slice is whole rows, a matrix otherwise.
hid_t file_type(DType dtype);
std::vector<hsize_t> dataset_extents(const TensorRecord& tensor, const Box& box);

// Whose values some bytes are: of the box of a tensor.
struct ValuesOf {
  const std::string& tensor;
  DType dtype;
  const Box& box;
};
// Throws kNumeric naming the tensor and the place of the first value that is not finite among `size_bytes` at `data`,
// which lie `offset_bytes` from the box's begin.
void require_finite_values(const char* data, int64_t size_bytes, int64_t offset_bytes, const ValuesOf& of,
                           const std::string& where);

// An existing shard. The caller has checked the file's digest; every dataset is still examined before it is read.
// Errors are kCheckpoint, or kIo if the file cannot be read.
class ShardReader {
 public:
  explicit ShardReader(const std::string& path);

  // Refuses links that are not hard, foreign layouts, filters, external storage, and other types or shapes than the
  // record's.
  void check(const std::string& tensor, const TensorRecord& record, const SliceRecord& slice) const;
  // The part `cut` of the slice, both in the tensor's coordinates, to `target`, whose rows are `pitch_bytes` apart.
  // Compares the slice's digest if all its bytes are read on the way.
  void read(const std::string& tensor, const TensorRecord& record, const SliceRecord& slice, const Box& cut,
            char* target, int64_t pitch_bytes) const;
  // Throws kNumeric if a value of the slice is not finite.
  void require_finite(const std::string& tensor, const TensorRecord& record, const SliceRecord& slice) const;
  // Where the slice's bytes begin in the file.
  int64_t offset_bytes(const std::string& tensor, const TensorRecord& record, const SliceRecord& slice) const;

 private:
  Hdf5Handle open(const std::string& dataset) const;
  Hdf5Handle open_checked(const std::string& tensor, const TensorRecord& record, const SliceRecord& slice) const;

  Hdf5Context context_;
  RawFile raw_;
  Hdf5Handle file_;
};

}  // namespace nexus
