#include "config/study.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "config/config_file.h"
#include "config/values.h"
#include "core/error.h"
#include "core/run_folder.h"
#include "core/units.h"
#include "system/expand_path.h"

namespace nexus {
namespace {

constexpr char kReference[] = "configs/studies/quickstart.yaml";
constexpr char kPick[] = "lowest_mean_loss";
constexpr int64_t kMaxSeed = int64_t{1} << 53, kMostRuns = 10000;

// A value as YAML on one line, which reads back as the same tree.
std::string flow_text(const Node& node) {
  std::string text;
  switch (node.kind) {
    case Node::Kind::kNull: return "null";
    case Node::Kind::kScalar: return quoted_text(node.scalar);
    case Node::Kind::kList:
      for (const Node& child : node.children) text += (text.empty() ? "" : ", ") + flow_text(child);
      return "[" + text + "]";
    case Node::Kind::kMap:
      for (size_t i = 0; i < node.keys.size(); ++i)
        text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", node.keys[i], flow_text(node.children[i]));
      return "{" + text + "}";
  }
  return text;
}

void require_kind(const Node& node, Node::Kind kind, const std::string& key, const std::string& example) {
  if (node.kind != kind) refuse(node.location, key, fmt::format("{} is {}", key, describe(node)), "write " + example);
}

void require_known(const Node& map, const std::string& section, const std::vector<std::string>& known) {
  for (size_t i = 0; i < map.keys.size(); ++i) {
    if (std::ranges::find(known, map.keys[i]) != known.end()) continue;
    const std::string near = nearest(map.keys[i], known);
    refuse(map.children[i].location, section + map.keys[i], fmt::format("unknown key '{}'", map.keys[i]),
           near.empty() ? fmt::format("use {}", fmt::join(known, ", ")) : "did you mean " + near + "?");
  }
}

// What decides who is compared with whom is the study's own.
void require_free(const Node& node, const std::string& path, const std::string& key) {
  for (const char* own : {"seed", "out", "init_from", "name"})
    if (key == own)
      refuse(node.location, path, fmt::format("the study sets {} of every run itself", key), "leave it out");
}

class StudyReader {
 public:
  explicit StudyReader(const Node& root) : root_(root) {}

  StudySpec read() {
    require_known(root_, "",
                  {"study", "question", "base", "out", "seeds", "baseline", "parents", "arms", "pick", "ranks",
                   "at_once", "device", "noise"});
    study_.name = TextType{}.parse(required("study", "a name"), "study");
    require_safe_name("study", study_.name);
    if (const Node* node = root_.find("question")) study_.question = TextType{true}.parse(*node, "question");
    base_ = PathType{}.parse(required("base", "a campaign file"), "base");
    study_.out = PathType{}.parse(required("out", "a folder"), "out");
    read_seeds();
    read_numbers();
    read_arms("parents", false);
    read_arms("arms", true);
    if (std::ranges::none_of(study_.arms, [](const StudyArm& arm) { return arm.compared; }))
      refuse(root_.location, "arms", "there are no arms", "add arms: {NAME: {set: {KEY: VALUE}}}");
    read_baseline();
    require_pick();
    if (study_.arms.size() * study_.seeds.size() > kMostRuns)
      refuse(root_.location, "arms",
             fmt::format("{} arms and {} seeds make more than {} runs", study_.arms.size(), study_.seeds.size(),
                         kMostRuns),
             "split the study");
    return std::move(study_);
  }

 private:
  const Node& required(const std::string& key, const std::string& what) const {
    const Node* node = root_.find(key);
    if (node == nullptr) refuse(root_.location, key, key + " is missing", fmt::format("add {}: {}", key, what));
    return *node;
  }

  void read_seeds() {
    const Node& list = required("seeds", "[1, 2, 3]");
    require_kind(list, Node::Kind::kList, "seeds", "[1, 2, 3]");
    std::set<int64_t> seen;
    for (const Node& node : list.children) {
      const int64_t seed = CountType{0, kMaxSeed}.parse(node, "seeds");
      if (!seen.insert(seed).second)
        refuse(node.location, "seeds", fmt::format("seed {} stands twice: it would count as two", seed), "remove one");
      study_.seeds.push_back(static_cast<uint64_t>(seed));
    }
    if (study_.seeds.empty()) refuse(list.location, "seeds", "there are no seeds", "write [1, 2, 3]");
  }

  void read_numbers() {
    if (const Node* node = root_.find("ranks")) study_.ranks = CountType{1, 4096}.parse(*node, "ranks");
    if (const Node* node = root_.find("at_once")) study_.at_once = CountType{1, 4096}.parse(*node, "at_once");
    if (const Node* node = root_.find("noise"))
      study_.noise = OptionalRealType{RealType{0, 1e6, true}}.parse(*node, "noise");
    if (const Node* node = root_.find("device")) {
      const std::vector<std::string> names = {"cpu", "cuda"};
      study_.device = names[parse_choice(*node, "device", names)];
    }
  }

  // --- arms
  void read_arms(const std::string& section, bool compared) {
    const Node* map = root_.find(section);
    if (map == nullptr || map->kind == Node::Kind::kNull) return;
    require_kind(*map, Node::Kind::kMap, section, "{NAME: {set: {KEY: VALUE}}}");
    for (size_t i = 0; i < map->keys.size(); ++i) read_arm(section, map->keys[i], map->children[i], compared);
  }

  void read_arm(const std::string& section, const std::string& name, const Node& node, bool compared) {
    const std::string path = section + "." + name;
    if (!is_safe_name(name))
      refuse(node.location, path, fmt::format("'{}' cannot be a folder name", name),
             "use letters, digits, dots, dashes and underscores");
    StudyArm arm{name, base_, std::nullopt, compared, {}};
    const Node* sweep = nullptr;
    if (node.kind != Node::Kind::kNull) {
      require_kind(node, Node::Kind::kMap, path, "{from: NAME, set: {KEY: VALUE}}");
      require_known(node, path + ".", {"base", "from", "set", "sweep"});
      if (const Node* from = node.find("from")) set_parent(arm, *from, path + ".from");
      if (const Node* base = node.find("base")) set_base(arm, *base, path + ".base");
      if (const Node* set = node.find("set")) add_assignments(arm, *set, path + ".set");
      sweep = node.find("sweep");
    }
    if (sweep == nullptr) return add(std::move(arm), node.location, path);
    if (!compared)
      refuse(sweep->location, path + ".sweep", "nothing can start from several parents at once", "sweep an arm");
    add_sweep(arm, *sweep, path + ".sweep");
  }

  void add(StudyArm arm, const Location& location, const std::string& path) {
    for (const StudyArm& other : study_.arms)
      if (other.name == arm.name)
        refuse(location, path, fmt::format("there are two arms '{}'", arm.name), "rename one of them");
    study_.arms.push_back(std::move(arm));
  }

  // What a parent was trained with holds for those who start from it; their stages are their own.
  void set_parent(StudyArm& arm, const Node& from, const std::string& path) {
    const std::string name = scalar_of(from, path, "the name of a parent or of an arm");
    std::vector<std::string> names;
    for (size_t i = 0; i < study_.arms.size(); ++i) {
      names.push_back(study_.arms[i].name);
      if (study_.arms[i].name == name) arm.parent = i;
    }
    if (!arm.parent) {
      const std::string near = nearest(name, names);
      refuse(from.location, path, fmt::format("there is no '{}' before this arm", name),
             near.empty() ? "name one of parents, or an arm that stands above" : "did you mean " + near + "?");
    }
    arm.base = study_.arms[*arm.parent].base;
    for (const std::string& assignment : study_.arms[*arm.parent].assignments)
      if (!assignment.starts_with("stages")) arm.assignments.push_back(assignment);
  }

  static void set_base(StudyArm& arm, const Node& base, const std::string& path) {
    if (arm.parent)
      refuse(base.location, path, "an arm that starts from another has its base", "remove one of base and from");
    arm.base = PathType{}.parse(base, path);
  }

  void add_assignments(StudyArm& arm, const Node& set, const std::string& path) {
    if (set.kind == Node::Kind::kNull) return;
    require_kind(set, Node::Kind::kMap, path, "{model.init: fan_in, stages.0.lr.peak: 1e-3}");
    for (size_t i = 0; i < set.keys.size(); ++i) {
      require_free(set.children[i], path + "." + set.keys[i], set.keys[i]);
      arm.assignments.push_back(set.keys[i] + "=" + flow_text(set.children[i]));
    }
  }

  void add_sweep(const StudyArm& arm, const Node& sweep, const std::string& path) {
    require_kind(sweep, Node::Kind::kMap, path, "{stages.0.lr.peak: [5e-4, 1e-3]}");
    if (sweep.keys.size() != 1)
      refuse(sweep.location, path, fmt::format("{} keys are swept", sweep.keys.size()), "sweep one key of an arm");
    const std::string& key = sweep.keys[0];
    require_free(sweep.children[0], path + "." + key, key);
    const Node& values = sweep.children[0];
    require_kind(values, Node::Kind::kList, path + "." + key, "a list of values");
    for (const Node& value : values.children) {
      StudyArm one = arm;
      one.swept = arm.name;
      one.value = scalar_of(value, path + "." + key, "one value");
      one.name = arm.name + "." + one.value;
      if (!is_safe_name(one.name))
        refuse(value.location, path, fmt::format("'{}' cannot be a folder name", one.name),
               "write the value otherwise");
      one.assignments.push_back(key + "=" + flow_text(value));
      add(std::move(one), value.location, path);
    }
    sweep_ = &sweep;
  }

  void read_baseline() {
    std::vector<std::string> groups;
    for (const StudyArm& arm : study_.arms)
      if (arm.compared && std::ranges::find(groups, arm.group()) == groups.end()) groups.push_back(arm.group());
    study_.baseline = groups.front();
    const Node* node = root_.find("baseline");
    if (node == nullptr || node->kind == Node::Kind::kNull) return;
    study_.baseline = groups[parse_choice(*node, "baseline", groups)];
  }

  // A rule that is written down before anything has been seen.
  void require_pick() const {
    const Node* node = root_.find("pick");
    if (sweep_ == nullptr) {
      if (node != nullptr) refuse(node->location, "pick", "nothing is swept", "remove the key");
      return;
    }
    if (node == nullptr)
      refuse(sweep_->location, "pick", "the study sweeps a key and does not say how its value is chosen",
             fmt::format("add pick: {}", kPick));
    parse_choice(*node, "pick", {kPick});
  }

  const Node& root_;
  StudySpec study_;
  std::string base_;
  const Node* sweep_ = nullptr;  // one of them
};

}  // namespace

LoadedCampaign campaign_of(const StudySpec& study, const StudyRun& run, const std::string& init_from) {
  const StudyArm& arm = study.arms[run.arm];
  std::vector<std::string> assignments = arm.assignments;
  assignments.push_back(fmt::format("seed={}", run.seed));
  assignments.push_back("name=" + quoted_text(study.name + "-" + arm.name));
  if (run.parent) {
    const StudyRun parent = runs_of(study)[*run.parent];
    assignments.push_back("init_from=" + quoted_text(init_from.empty() ? parent.folder : init_from));
    // The model is what the parent has grown to.
    const CampaignSpec trained = campaign_of(study, parent).spec;
    const ModelConfig model = trained.model_of_stage(trained.stages.size() - 1);
    for (const auto& [key, count] : model.counts) assignments.push_back(fmt::format("model.{}={}", key, count));
  }
  return load_campaign(arm.base, {}, assignments, run.folder);
}

StudySpec load_study_text(const std::string& text, const std::string& source) {
  const Node root = parse_config_file(text, source, kReference);
  StudySpec study = StudyReader(root).read();
  for (const StudyRun& run : runs_of(study)) {
    if (run.seed != study.seeds.front()) continue;  // seeds differ in nothing that could be wrong
    try {
      campaign_of(study, run);
    } catch (const Error& error) {
      const StudyArm& arm = study.arms[run.arm];
      throw Error(error.kind(), fmt::format("arm {}: {}", arm.name, error.fact()), error.where(), error.todo());
    }
  }
  return study;
}

bool is_study(const std::string& file) {
  return parse_config_file(read_config_file(file), file, "configs/reference.yaml").find("study") != nullptr;
}

StudySpec load_study(const std::string& file) {
  return load_study_text(read_config_file(file), file);
}

}  // namespace nexus
