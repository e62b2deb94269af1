// `nexus ckpt ls | info | verify | diff | prune | export | import`: a look at checkpoints, their removal, and their way
// to other programs and back. Needs no MPI.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "campaign/launch_liveness.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/misnamed.h"
#include "cli/commands.h"
#include "cli/option_checks.h"
#include "core/error.h"
#include "core/files.h"
#include "core/json_text.h"
#include "core/units.h"
#include "interchange/hf_export.h"
#include "interchange/hf_import.h"
#include "records/run_description.h"
#include "system/clock.h"

namespace nexus {
namespace {

using nlohmann::ordered_json;

void print_json(const ordered_json& json) {
  fmt::print("{}\n", json_text(json, 2));
}

RunFolder run_at(const std::string& path) {
  const RunFolder run{path};
  if (!path_exists(path)) throw Error(ErrorKind::kConfig, "there is no such folder", path, "name a run folder");
  if (!path_exists(run.checkpoints()))
    throw Error(ErrorKind::kConfig, "no checkpoints/ in this folder", path, "name a run folder");
  return run;
}

ordered_json entry_to_json(const CheckpointEntry& entry) {
  return {{"path", entry.path},     {"run_id", entry.id.run_id},      {"stage", entry.id.stage},
          {"step", entry.id.step},  {"sequence", entry.sequence},     {"tokens", entry.tokens},
          {"pinned", entry.pinned}, {"size_bytes", entry.size_bytes}, {"problem", entry.problem}};
}

// What progress is counted in. A run.json that cannot be read is no reason to show no checkpoints.
std::string unit_of(const RunFolder& run) {
  try {
    if (const std::optional<RunDescription> description = RunDescription::read(run)) return description->words().unit;
  } catch (const Error&) {
  }
  return WorkloadWords{}.unit;
}

int list(const std::string& path, bool json) {
  const std::vector<CheckpointEntry> entries = list_checkpoints(run_at(path), /*unreadable_too=*/true);
  if (json) {
    ordered_json all = ordered_json::array();
    for (const CheckpointEntry& entry : entries) all.push_back(entry_to_json(entry));
    print_json(all);
    return 0;
  }
  const std::string unit = unit_of(run_at(path));
  for (const CheckpointEntry& entry : entries) {
    fmt::print("stage {} step {} | {} {} | gb {:.2f} | ", entry.id.stage, entry.id.step, unit,
               format_count(entry.tokens), static_cast<double>(entry.size_bytes) * 1e-9);
    if (entry.pinned) fmt::print("pinned | ");
    fmt::print("path {}{}{}\n", entry.path, entry.problem.empty() ? "" : " | problem ", entry.problem);
  }
  if (entries.empty()) fmt::print("no checkpoints yet\n");
  return 0;
}

// Tensors by the first component of their name: master, moment1 and so on.
ordered_json groups_of(const Checkpoint& checkpoint) {
  std::map<std::string, std::pair<int64_t, int64_t>> groups;
  for (const std::string& name : checkpoint.tensor_names()) {
    auto& [tensors, elements] = groups[name.substr(0, name.find('/'))];
    ++tensors;
    elements += checkpoint.info(name).shape.count();
  }
  ordered_json json;
  for (const auto& [group, counts] : groups) json[group] = {{"tensors", counts.first}, {"elements", counts.second}};
  return json;
}

ordered_json tensors_of(const Checkpoint& checkpoint) {
  ordered_json list = ordered_json::array();
  for (const std::string& name : checkpoint.tensor_names()) {
    const auto& [dtype, shape] = checkpoint.info(name);
    ordered_json extents = ordered_json::array();
    for (int axis = 0; axis < shape.rank(); ++axis) extents.push_back(shape[axis]);
    list.push_back({{"name", name}, {"dtype", name_of(dtype)}, {"shape", extents}});
  }
  return list;
}

int info(const std::string& path, bool tensors, bool json) {
  const Checkpoint checkpoint(path, /*verify_data=*/false);
  const CheckpointId& id = checkpoint.id();
  if (json) {
    print_json({{"path", checkpoint.path()},
                {"run_id", id.run_id},
                {"stage", id.stage},
                {"step", id.step},
                {"sequence", checkpoint.sequence()},
                {"size_bytes", checkpoint.size_bytes()},
                {"hdf5", checkpoint.manifest().at("hdf5")},
                {"files", checkpoint.manifest().at("files")},
                {"extra_files", checkpoint.extra_files()},
                {"groups", groups_of(checkpoint)},
                {"tensors", tensors_of(checkpoint)},
                {"state", checkpoint.state()}});
    return 0;
  }
  fmt::print("path {}\nrun {} | stage {} step {} | commit {} | gb {:.2f} | files {}\n", checkpoint.path(), id.run_id,
             id.stage, id.step, checkpoint.sequence(), static_cast<double>(checkpoint.size_bytes()) * 1e-9,
             checkpoint.manifest().at("files").size());
  const ordered_json groups = groups_of(checkpoint);
  for (const auto& [group, counts] : groups.items())
    fmt::print("{} | tensors {} | elements {}\n", group, counts["tensors"].get<int64_t>(),
               format_count(counts["elements"].get<int64_t>()));
  if (tensors)
    for (const std::string& name : checkpoint.tensor_names())
      fmt::print("{} {} {}\n", name, name_of(checkpoint.info(name).dtype), checkpoint.info(name).shape.str());
  fmt::print("state {}\n", json_text(checkpoint.state(), 1));
  return 0;
}

enum class Verdict { kGood, kBad, kUnreadable };

// One line. Good: every byte is as it was written, every value is finite and nothing was added.
Verdict verify_one(const std::string& path) {
  const double start = steady_seconds();
  try {
    const Checkpoint checkpoint(path);
    checkpoint.require_finite();
    const std::vector<std::string> extra = checkpoint.extra_files();
    if (!extra.empty()) {
      fmt::print("bad {} | file {} is in the folder, but not in the manifest: remove it\n", path,
                 json_text(ordered_json(extra.front())));
      return Verdict::kBad;
    }
    const double seconds = steady_seconds() - start;
    fmt::print("ok {} | tensors {} | gb {:.2f} | seconds {:.1f}\n", path, checkpoint.tensor_names().size(),
               static_cast<double>(checkpoint.size_bytes()) * 1e-9, seconds);
    return Verdict::kGood;
  } catch (const Error& error) {
    const bool bad = error.kind() == ErrorKind::kCheckpoint || error.kind() == ErrorKind::kNumeric;
    if (!bad && error.kind() != ErrorKind::kIo) throw;
    fmt::print("{} {} | {}\n", bad ? "bad" : "unreadable", path, error.what());
    return bad ? Verdict::kBad : Verdict::kUnreadable;
  }
}

int verify(const std::string& path) {
  if (!path_exists(path)) throw_no_checkpoint(path);
  std::vector<std::string> paths{path};
  if (path_exists(RunFolder{path}.checkpoints())) {
    paths.clear();
    for (const CheckpointEntry& entry : list_checkpoints(RunFolder{path}, /*unreadable_too=*/true))
      paths.push_back(entry.path);
    if (paths.empty())
      throw Error(ErrorKind::kCheckpoint, "there is no checkpoint to verify", RunFolder{path}.checkpoints(),
                  "*.bad folders are what training has set aside as damaged; name one to hear what is wrong with it");
  }
  std::vector<std::string> bad, unreadable;
  for (const std::string& one : paths) {
    const Verdict verdict = verify_one(one);
    if (verdict != Verdict::kGood) (verdict == Verdict::kBad ? bad : unreadable).push_back(one);
  }
  if (!bad.empty())
    throw Error(ErrorKind::kCheckpoint, fmt::format("{} of {} checkpoints do not verify", bad.size(), paths.size()),
                bad.back(), "its line above says what is wrong; training falls back to the newest one that verifies");
  if (!unreadable.empty())
    throw Error(ErrorKind::kIo, fmt::format("{} of {} checkpoints could not be read", unreadable.size(), paths.size()),
                unreadable.back(), "nothing is known of them: check the disk or network file system, then try again");
  return 0;
}

ordered_json diff_to_json(const std::vector<TensorDiff>& diffs, const ordered_json& state) {
  ordered_json tensors = ordered_json::array();
  for (const TensorDiff& diff : diffs) {
    if (diff.note.empty() && diff.differing == 0) continue;
    ordered_json entry = {
        {"name", diff.name}, {"note", diff.note}, {"differing", diff.differing}, {"count", diff.count}};
    entry["max_abs"] = std::isfinite(diff.max_abs) ? ordered_json(diff.max_abs) : ordered_json("inf");
    tensors.push_back(std::move(entry));
  }
  return {{"compared", diffs.size()}, {"differing", tensors.size()}, {"tensors", tensors}, {"state", state}};
}

// The state's differences as a JSON patch from A to B.
int diff(const std::string& path_a, const std::string& path_b, bool json) {
  const Checkpoint a(path_a), b(path_b);
  const std::vector<TensorDiff> diffs = diff_checkpoints(a, b);
  const ordered_json state = nlohmann::json::diff(a.state(), b.state());
  const ordered_json report = diff_to_json(diffs, state);
  if (json) {
    print_json(report);
    return 0;
  }
  for (const TensorDiff& tensor : diffs) {
    if (!tensor.note.empty())
      fmt::print("{} | {}\n", tensor.name, tensor.note);
    else if (tensor.differing > 0)
      fmt::print("{} | max_abs {:.3e} | differing {} of {}\n", tensor.name, tensor.max_abs, tensor.differing,
                 tensor.count);
  }
  for (const ordered_json& change : state)
    fmt::print("state {} {} | {}\n", change["op"].get<std::string>(), change["path"].get<std::string>(),
               change.contains("value") ? json_text(change["value"]) : "");
  fmt::print("tensors {} | differing {} | state_changes {}\n", diffs.size(), json_text(report["differing"]),
             state.size());
  return 0;
}

// Of an unfinished save without a launch that would answer for it (`nexus grow`): such a save touches its folder more
// often than this.
constexpr double kTemporaryAgeSeconds = 3600;

// The newest launch of the run, or the one before it while that one lives and may be saving. By leases: the age of
// files is told by clocks that may be hours off.
std::optional<int64_t> newest_dead_launch(const RunFolder& run) {
  const std::vector<LeaseRecord> leases = read_leases(run);
  if (leases.empty()) return std::nullopt;
  return launches_gone({run})[0] ? leases.back().generation : leases.back().generation - 1;
}

// Besides the newest ones, the last checkpoint of every stage stays, and those that the trainer pinned.
int prune(const std::string& path, int keep_last, bool dry_run) {
  const RunFolder run = run_at(path);
  KeepPolicy policy;
  policy.keep_last = keep_last;
  if (const auto dead = newest_dead_launch(run))
    policy.generation = *dead;
  else
    policy.min_temporary_age_seconds = kTemporaryAgeSeconds;
  const std::vector<std::string> removed = prune_checkpoints(run, policy, dry_run);
  for (const std::string& gone : removed) fmt::print("{} {}\n", dry_run ? "would remove" : "removed", gone);
  fmt::print("{} {} checkpoints\n", dry_run ? "would remove" : "removed", removed.size());
  return 0;
}

int export_folder(const std::string& path, const HfExport& options) {
  const HfExported made = export_hf(Checkpoint(path), options);
  fmt::print("exported {} | params {} | {} | gb {:.2f} | tokenizer {} | path {}\n", made.model_class,
             format_count(made.parameters), name_of(options.dtype), static_cast<double>(made.size_bytes) * 1e-9,
             made.tokenizer.empty() ? "no" : made.tokenizer, options.folder);
  return 0;
}

int import_folder(const std::string& path, const std::string& out) {
  const HfImported made = import_hf(path, out);
  fmt::print("imported | params {} | {} | tokenizer {} | path {}\n", format_count(made.parameters),
             describe(made.model), made.tokenizer.empty() ? "no" : made.tokenizer, made.saved.path);
  return 0;
}

struct CkptArguments {
  std::string path, other, out, tokenizer, format = "hf", dtype = "f32";
  bool json = false, tensors = false, dry_run = false;
  int keep_last = KeepPolicy{}.keep_last;
};

}  // namespace

void add_ckpt_command(CLI::App& app, Action& action) {
  CLI::App* group = app.add_subcommand("ckpt", "List, examine, verify, compare, prune, export and import checkpoints");
  group->require_subcommand(1);
  const auto arguments = std::make_shared<CkptArguments>();
  const auto add = [&](const char* name, const char* what, const char* path,
                       std::function<int(const CkptArguments&)> run) {
    CLI::App* command = group->add_subcommand(name, what);
    command->add_option(path, arguments->path, "Folder")->required()->transform(path_to_read());
    command->callback([arguments, run, &action] { action = [arguments, run] { return run(*arguments); }; });
    return command;
  };
  const auto add_json = [&](CLI::App* command) { command->add_flag("--json", arguments->json, "JSON on stdout"); };

  add_json(add("ls", "Checkpoints of a run, oldest commit first", "RUN",
               [](const CkptArguments& a) { return list(a.path, a.json); }));
  CLI::App* info_command = add("info", "Contents of one checkpoint, from its manifest and state", "CKPT",
                               [](const CkptArguments& a) { return info(a.path, a.tensors, a.json); });
  info_command->add_flag("--tensors", arguments->tensors, "Also list every tensor");
  add_json(info_command);
  add("verify",
      "Read every byte of a checkpoint, or of all of a run, and compare digests, and look for values that are not "
      "finite; exit 3 if one is bad, 74 if one cannot be read",
      "PATH", [](const CkptArguments& a) { return verify(a.path); });
  CLI::App* diff_command = add("diff", "Tensors and state values in which two checkpoints differ", "A",
                               [](const CkptArguments& a) { return diff(a.path, a.other, a.json); });
  diff_command->add_option("B", arguments->other, "Folder")->required()->transform(path_to_read());
  add_json(diff_command);
  CLI::App* prune_command = add("prune", "Remove older checkpoints; the last of each stage and pinned ones stay", "RUN",
                                [](const CkptArguments& a) { return prune(a.path, a.keep_last, a.dry_run); });
  prune_command->add_option("--keep-last", arguments->keep_last, "Newest checkpoints to keep")
      ->check(whole_number(1, 1000000))
      ->capture_default_str();
  prune_command->add_flag("--dry-run", arguments->dry_run, "Only say what would be removed");

  CLI::App* export_command = add("export", "Write a checkpoint's weights as a folder that transformers loads", "CKPT",
                                 [](const CkptArguments& a) {
                                   const DType dtype = a.dtype == "bf16" ? DType::kBF16 : DType::kF32;
                                   return export_folder(a.path, {a.out, dtype, a.tokenizer});
                                 });
  export_command->add_option("--format", arguments->format, "hf: config.json and model.safetensors")
      ->check(CLI::IsMember({"hf"}))
      ->capture_default_str();
  export_command->add_option("--out", arguments->out, "Folder to make")->required()->transform(path_of_shell());
  export_command->add_option("--dtype", arguments->dtype, "Of the weights: f32 or bf16")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->capture_default_str();
  export_command
      ->add_option("--tokenizer", arguments->tokenizer,
                   "SentencePiece model or tokenizer.json; unless told, the one that the run names")
      ->transform(path_to_read());
  CLI::App* import_command =
      add("import", "Make a checkpoint for init_from of a folder of transformers (our own exports, or a Llama)",
          "FOLDER", [](const CkptArguments& a) { return import_folder(a.path, a.out); });
  import_command->add_option("--out", arguments->out, "Folder to hold checkpoints/imported/0000000")
      ->required()
      ->transform(path_for_campaigns());
}

}  // namespace nexus
