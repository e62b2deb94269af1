// Speed of saving and loading checkpoints of a grid of ranks, beside the disk's own:
//
//   mpirun -n 4 checkpoint_speed FOLDER [--grid DPxTP] [--load DPxTP] [--layers L] [--rounds N] [--pause S]
//
// The tensors are those of nexus-440m (weights and two moments in f32; --layers makes it smaller). Ranks of one column
// of the grid split a tensor-parallel shard (rows or columns of the matrices), and each holds a contiguous run of its
// elements, as a sharded optimizer does. Every round writes and fsyncs one plain file of the same bytes from one rank,
// saves, and writes another plain file; then, all cold, it reads a plain file, verifies the checkpoint on all ranks and
// reads the boxes of the other grid, and reads the other plain file. Shares are against the mean of before and after.
// Caches are emptied with posix_fadvise, file by file. GB/s of the tensors' bytes; every element read is compared.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "comm/communicator.h"
#include "core/files.h"
#include "model/model.h"

namespace nexus {
namespace {

namespace fs = std::filesystem;

struct Grid {
  int dp = 1, tp = 1;
  std::string str() const { return fmt::format("{}x{}", dp, tp); }
};

struct Options {
  std::string folder;
  Grid save, load;
  int64_t layers = 12;
  int rounds = 1, pause_seconds = 0;
};

// The box of a tensor that a tensor-parallel rank computes with; replicated tensors are saved by the first.
Box shard_of(const ParamSpec& spec, const Grid& grid, int tp_rank) {
  Box box = whole_box(spec.shape());
  if (spec.shard_axis < 0) return tp_rank == 0 ? box : Box{};
  int64_t& begin = spec.shard_axis == 0 ? box.begin_row : box.begin_column;
  int64_t& extent = spec.shard_axis == 0 ? box.rows : box.columns;
  begin = extent * tp_rank / grid.tp;
  extent = extent * (tp_rank + 1) / grid.tp - begin;
  return box;
}

// What a rank holds: for weights and moments alike, its run of the shard's elements. `host` is filled in later.
std::vector<TensorSlice> held_by(int rank, const Grid& grid, const ParamTable& table) {
  const int tp_rank = rank % grid.tp, dp_rank = rank / grid.tp;
  int64_t count = 0;
  for (const ParamSpec& spec : table) count += shard_of(spec, grid, tp_rank).count();
  const int64_t begin = count * dp_rank / grid.dp, end = count * (dp_rank + 1) / grid.dp;
  std::vector<TensorSlice> slices;
  for (const char* part : {"master/", "moment1/", "moment2/"}) {
    int64_t offset = 0;
    for (const ParamSpec& spec : table) {
      const Box shard = shard_of(spec, grid, tp_rank);
      const int64_t from = std::clamp(begin - offset, int64_t{0}, shard.count());
      const int64_t to = std::clamp(end - offset, int64_t{0}, shard.count());
      if (from < to)
        for (const Box& box : run_boxes(shard, from, to - from))
          slices.push_back({part + spec.name, DType::kF32, spec.shape(), box, nullptr});
      offset += shard.count();
    }
  }
  return slices;
}

int64_t bytes_of(const std::vector<TensorSlice>& slices) {
  int64_t bytes = 0;
  for (const TensorSlice& slice : slices) bytes += slice.box.count() * size_of(slice.dtype);
  return bytes;
}

void lay_out(std::vector<TensorSlice>& slices, const Buffer& host) {
  const char* at = static_cast<const char*>(host.data());
  for (TensorSlice& slice : slices) {
    slice.host = at;
    at += slice.box.count() * size_of(slice.dtype);
  }
}

// Random bits, so that a disk that compresses does not look fast, and a function of the place, so that any rank can
// check them.
uint32_t bits_at(uint64_t seed, int64_t index) {
  uint64_t x = (seed + static_cast<uint64_t>(index)) * 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 31)) * 0xBF58476D1CE4E5B9u;
  return static_cast<uint32_t>(x >> 32);
}

// Calls visit(element of the slice in memory, bits that belong there).
template <typename Visit>
void for_each_element(const TensorSlice& slice, const Visit& visit) {
  const uint64_t seed = std::hash<std::string>{}(slice.name);
  const int64_t columns = columns_of(slice.shape);
  int64_t at = 0;
  for (int64_t row = slice.box.begin_row; row < slice.box.end_row(); ++row)
    for (int64_t column = slice.box.begin_column; column < slice.box.end_column(); ++column)
      visit(at++, bits_at(seed, row * columns + column));
}

void fill(const std::vector<TensorSlice>& slices) {
  for (const TensorSlice& slice : slices) {
    auto* words = static_cast<uint32_t*>(const_cast<void*>(slice.host));
    for_each_element(slice, [&](int64_t at, uint32_t bits) { words[at] = bits; });
  }
}

void compare(const std::vector<TensorSlice>& slices) {
  for (const TensorSlice& slice : slices) {
    const auto* words = static_cast<const uint32_t*>(slice.host);
    int64_t wrong = 0;
    for_each_element(slice, [&](int64_t at, uint32_t bits) { wrong += words[at] != bits; });
    NX_CHECK(wrong == 0, "{} elements of '{}' came back wrong", wrong, slice.name);
  }
}

class Timer {
 public:
  Timer(Communicator& comm, int64_t bytes) : comm_(comm), bytes_(bytes) {}
  // Wall clock from the moment all ranks are ready to the last rank's end. Returns GB/s.
  double measure(const std::string& phase, const std::function<void()>& work) {
    comm_.barrier();
    const auto start = std::chrono::steady_clock::now();
    comm_.try_together(phase, work);
    const double seconds = comm_.max(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    return report(phase, seconds);
  }
  double report(const std::string& phase, double seconds) {
    last_seconds_ = seconds;
    const double speed = 1e-9 * static_cast<double>(bytes_) / seconds;
    if (comm_.rank() == 0) std::printf("%-34s seconds %6.2f gb_per_s %5.2f\n", phase.c_str(), seconds, speed);
    std::fflush(stdout);
    return speed;
  }
  double last_seconds() const { return last_seconds_; }

 private:
  Communicator& comm_;
  int64_t bytes_;
  double last_seconds_ = 0;
};

void drop_caches(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY);
  if (fd < 0) throw_errno("open", path);
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);  // the pages are clean: every writer here has fsynced
  ::close(fd);
}

constexpr int64_t kPlainBlockBytes = 4 << 20;

// What `dd bs=4M conv=fsync` does.
void write_plain(const std::string& path, int64_t bytes, const char* source, int64_t source_bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644);
  if (fd < 0) throw_errno("create", path);
  for (int64_t done = 0; done < bytes;) {
    const int64_t from = done % (source_bytes / 2);
    const ssize_t n = ::write(fd, source + from,
                              static_cast<size_t>(std::min({kPlainBlockBytes, bytes - done, source_bytes - from})));
    if (n <= 0) throw_errno("write", path);
    done += n;
  }
  if (::fsync(fd) != 0) throw_errno("fsync", path);
  ::close(fd);
}

void read_plain(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY);
  if (fd < 0) throw_errno("open", path);
  std::vector<char> block(kPlainBlockBytes);
  while (::read(fd, block.data(), block.size()) > 0) {
  }
  ::close(fd);
}

class Bench {
 public:
  Bench(Communicator& comm, const Options& options)
      : comm_(comm), options_(options), run_{options.folder}, model_(config(options)) {}

  void run() {
    std::vector<TensorSlice> saved = held_by(comm_.rank(), options_.save, model_.table());
    std::vector<TensorSlice> loaded = held_by(comm_.rank(), options_.load, model_.table());
    const auto total = static_cast<int64_t>(comm_.sum(static_cast<double>(bytes_of(saved))));
    const Buffer host = host_buffer(std::max(bytes_of(saved), bytes_of(loaded)));
    if (comm_.rank() == 0) {
      make_folders(run_.root);
      std::printf("parameters %lld bytes %lld slices_of_rank_0 %zu save %s load %s\n",
                  static_cast<long long>(model_.table().count()), static_cast<long long>(total), saved.size(),
                  options_.save.str().c_str(), options_.load.str().c_str());
    }
    for (int round = 1; round <= options_.rounds; ++round) {
      lay_out(saved, host);
      fill(saved);
      measure_round(round, saved, loaded, host, total);
    }
  }

 private:
  static ModelConfig config(const Options& options) {
    ModelConfig config;  // configs/models/nexus-440m.yaml
    config.counts["M"] = 1664;
    config.counts["A"] = 2176;
    config.layers = options.layers;
    return config;
  }

  void measure_round(int64_t round, const std::vector<TensorSlice>& saved, std::vector<TensorSlice>& loaded,
                     const Buffer& host, int64_t total) {
    Timer timer(comm_, total);
    const bool leader = comm_.rank() == 0;
    const std::string before = run_.root + "/plain-before", after = run_.root + "/plain-after";
    const auto plain_write = [&](const std::string& path) {
      rest_disks();
      return timer.measure("plain file, write and fsync", [&] {
        if (leader) write_plain(path, total, static_cast<const char*>(host.data()), host.size_bytes());
      });
    };
    const auto plain_read = [&](const std::string& path) {
      rest_disks();
      return timer.measure("plain file, read cold", [&] {
        if (leader) read_plain(path);
        if (leader) fs::remove(path);
      });
    };
    const double first_write = plain_write(before);
    SaveResult result;
    rest_disks();
    const double save = timer.measure("save", [&] {
      result = save_checkpoint(comm_, run_, {"speed", "s", round}, saved, {{"tokens", 0}});
    });
    const double save_share = save / mean(first_write, plain_write(after));
    const double first_read = plain_read(before);
    const double load = measure_load(timer, result.path, loaded, host);
    const double load_share = load / mean(first_read, plain_read(after));
    if (leader)
      std::printf("round %lld save_share %.2f load_share %.2f\n", static_cast<long long>(round), save_share,
                  load_share);
    comm_.barrier();
    if (leader) fs::remove_all(result.path);
  }

  // Empties the caches. With --pause it also gives a virtual machine's host time to take the free memory back: every
  // phase then starts from the same state, while otherwise whoever gets pages that the host still backs looks faster.
  void rest_disks() {
    comm_.barrier();
    if (comm_.rank() == 0) {
      for (const auto& entry : fs::recursive_directory_iterator(run_.root))
        if (entry.is_regular_file()) drop_caches(entry.path());
      std::this_thread::sleep_for(std::chrono::seconds(options_.pause_seconds));
    }
    comm_.barrier();
  }

  // Of two speeds over the same distance.
  static double mean(double a, double b) { return 2 / (1 / a + 1 / b); }

  double measure_load(Timer& timer, const std::string& path, std::vector<TensorSlice>& loaded, const Buffer& host) {
    lay_out(loaded, host);
    std::memset(host.data(), 0, static_cast<size_t>(host.size_bytes()));
    rest_disks();
    timer.measure("load: verify cold, all ranks",
                  [&] { NX_CHECK(newest_good_checkpoint(comm_, run_, "speed") == path); });
    const double verify_seconds = timer.last_seconds();
    timer.measure("load: read boxes", [&] {
      const Checkpoint checkpoint(path, /*verify_data=*/false);
      for (const TensorSlice& slice : loaded) checkpoint.read(slice.name, slice.box, const_cast<void*>(slice.host));
    });
    const double load = timer.report("load", verify_seconds + timer.last_seconds());
    compare(loaded);
    return load;
  }

  Communicator& comm_;
  Options options_;
  RunFolder run_;
  Model model_;
};

Options parse(int argc, char** argv, int ranks) {
  Options options;
  options.save = {ranks, 1};
  bool load_given = false;
  bool good = argc >= 2 && argc % 2 == 0;
  if (good) options.folder = argv[1];
  for (int i = 2; good && i + 1 < argc; i += 2) {
    const std::string key = argv[i];
    if (key == "--grid") {
      good = std::sscanf(argv[i + 1], "%dx%d", &options.save.dp, &options.save.tp) == 2;
    } else if (key == "--load") {
      good = std::sscanf(argv[i + 1], "%dx%d", &options.load.dp, &options.load.tp) == 2;
      load_given = true;
    } else if (key == "--layers") {
      options.layers = std::atoll(argv[i + 1]);
    } else if (key == "--pause") {
      options.pause_seconds = std::atoi(argv[i + 1]);
    } else if (key == "--rounds") {
      options.rounds = std::atoi(argv[i + 1]);
    } else {
      good = false;
    }
  }
  if (!load_given) options.load = options.save;
  for (const Grid& grid : {options.save, options.load}) good = good && grid.dp * grid.tp == ranks;
  if (!good)
    throw Error(ErrorKind::kConfig, "bad arguments", "checkpoint_speed",
                "use checkpoint_speed FOLDER [--grid DPxTP] [--load DPxTP] [--layers L] [--rounds N] [--pause S], "
                "with DP * TP ranks");
  return options;
}

}  // namespace
}  // namespace nexus

int main(int argc, char** argv) {
  nexus::MpiSession session(&argc, &argv);
  const auto comm = session.world();
  try {
    nexus::Bench(*comm, nexus::parse(argc, argv, comm->size())).run();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "rank %d: %s\n", comm->rank(), e.what());
    nexus::MpiSession::abort(1);  // the others may be waiting for this rank
  }
  return 0;
}
