#include "config/study.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "support/expect_error.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Studies : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(folder_.path() + "/base.yaml")
        << "name: base\nout: x\nmodel: {D: 32, L: 2, H: 2, M: 48, A: 64, F: 72, V: 300}\ndata: {context: 32}\n"
           "batch: {global_tokens: 256, micro: 2}\nstages: [{name: s0, tokens: 2560, lr: {peak: 1e-3}}]\n";
  }
  std::string text(const std::string& rest, const std::string& seeds = "[1, 2]") const {
    return "study: s\nbase: " + folder_.path() + "/base.yaml\nout: runs/s\nseeds: " + seeds + "\n" + rest;
  }
  StudySpec load(const std::string& rest) const { return load_study_text(text(rest), "study.yaml"); }
  void refused(const std::string& rest, const std::string& what) const {
    EXPECT_NEXUS_ERROR(load(rest), ErrorKind::kConfig, HasSubstr(what));
  }
  TempFolder folder_;
};

TEST_F(Studies, AreArmsUnderTheSameSeedsEachWithACampaignOfItsOwn) {
  const StudySpec study = load("arms: {a: {}, b: {set: {model.init: fan_in, stages.0.lr.peak: 2e-3}}}\n");
  const std::vector<StudyRun> runs = runs_of(study);
  ASSERT_EQ(runs.size(), 4u);
  EXPECT_EQ(study.baseline, "a");
  EXPECT_EQ(runs[3].folder, "runs/s/b/seed-2");
  const CampaignSpec a = campaign_of(study, runs[1]).spec, b = campaign_of(study, runs[3]).spec;
  EXPECT_EQ(a.seed, 2u);
  EXPECT_EQ(b.seed, 2u);
  EXPECT_EQ(a.model.word("init"), "published");
  EXPECT_EQ(b.model.word("init"), "fan_in");
  EXPECT_EQ(b.stages[0].lr.peak, 2e-3);
  EXPECT_EQ(b.out, "runs/s/b/seed-2");
  EXPECT_EQ(b.name, "s-b");
}

TEST_F(Studies, StartArmsFromTheirParentAtItsWidths) {
  const StudySpec study = load(
      "parents:\n  trunk: {set: {model.init: fan_in, stages.0.tokens: 512}}\n"
      "  grown: {from: trunk, set: {stages: [{name: s1, tokens: 512, grow: {M: 64}, lr: {peak: 1e-3}}]}}\n"
      "arms:\n  end: {from: grown, set: {stages: [{name: s2, tokens: 512, lr: {peak: 1e-3}}]}}\n");
  const std::vector<StudyRun> runs = runs_of(study);
  ASSERT_EQ(runs.size(), 6u);
  EXPECT_EQ(*runs[5].parent, 3u);  // grown, of the same seed
  const CampaignSpec started = campaign_of(study, runs[4]).spec;
  EXPECT_EQ(started.init_from, "runs/s/grown/seed-1");
  EXPECT_EQ(started.model.count("M"), 64);  // what the parent has grown to
  EXPECT_EQ(started.model.word("init"), "fan_in");
  EXPECT_EQ(started.stages.size(), 1u);  // its own
  EXPECT_EQ(campaign_of(study, runs[2]).spec.model.count("M"), 48);
  EXPECT_EQ(campaign_of(study, runs[0]).spec.stages[0].tokens, 512);
}

TEST_F(Studies, TrainArmsOfAnotherArchitectureFromABaseOfTheirOwn) {
  std::ofstream(folder_.path() + "/other.yaml")
      << "name: other\nout: x\nmodel: {arch: transformer, D: 32, L: 2, H: 2, F: 72, V: 300}\ndata: {context: 32}\n"
         "batch: {global_tokens: 256, micro: 2}\nstages: [{name: s0, tokens: 2560, lr: {peak: 1e-3}}]\n";
  const StudySpec study =
      load("parents: {p: {base: " + folder_.path() + "/other.yaml}}\narms: {a: {}, b: {from: p}}\n");
  const std::vector<StudyRun> runs = runs_of(study);
  EXPECT_EQ(campaign_of(study, runs[0]).spec.model.arch, "transformer");
  EXPECT_EQ(campaign_of(study, runs[2]).spec.model.arch, "nexusformer");
  EXPECT_EQ(campaign_of(study, runs[4]).spec.model.arch, "transformer");  // its parent's
  refused("arms: {a: {}, b: {from: a, base: x.yaml}}\n", "remove one of base and from");
}

TEST_F(Studies, ThatWeShipAllLoad) {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(NEXUS_SOURCE_DIR);  // their paths are those of the repository's root
  int files = 0;
  for (const char* where : {"configs/studies", "experiments"})
    for (const auto& entry : std::filesystem::recursive_directory_iterator(where)) {
      const std::string path = entry.path().string();
      if (!path.ends_with(".yaml") || (where == std::string("experiments") && !path.ends_with("study.yaml"))) continue;
      EXPECT_NO_THROW(load_study(path)) << path;
      ++files;
    }
  std::filesystem::current_path(before);
  EXPECT_GE(files, 2);
}

TEST_F(Studies, SweepAKeyAsArmsOfOneGroup) {
  const StudySpec study =
      load("arms: {a: {sweep: {stages.0.lr.peak: [5e-4, 1e-3]}}, b: {}}\npick: lowest_mean_loss\nbaseline: b\n");
  std::vector<std::string> names, groups;
  for (const StudyArm& arm : study.arms) names.push_back(arm.name), groups.push_back(arm.group());
  EXPECT_THAT(names, ElementsAre("a.5e-4", "a.1e-3", "b"));
  EXPECT_THAT(groups, ElementsAre("a", "a", "b"));
  EXPECT_EQ(study.baseline, "b");
  EXPECT_EQ(campaign_of(study, runs_of(study)[0]).spec.stages[0].lr.peak, 5e-4);
}

TEST_F(Studies, ThatCannotBeMeantAreRefusedBeforeAnythingRuns) {
  refused("", "there are no arms");
  refused("arms: {}\n", "there are no arms");
  refused("arm: {a: {}}\n", "unknown key 'arm'; study.yaml:5 key arm; did you mean arms?");
  refused("arms: {a: {sett: {}}}\n", "key arms.a.sett; did you mean set?");
  refused("arms: {a: {set: {model.inti: fan_in}}}\n", "arm a: unknown key 'inti'");
  refused("arms: {a: {set: {seed: 4}}}\n", "the study sets seed of every run itself");
  refused("arms: {a: {from: b}, b: {}}\n", "there is no 'b' before this arm");
  refused("arms: {a: {}}\nparents: {a: {}}\n", "there are two arms 'a'");
  refused("arms: {../a: {}}\n", "cannot be a folder name");
  refused("arms: {a: {}}\nbaseline: c\n", "key baseline");
  refused("arms: {a: {}}\npick: lowest_mean_loss\n", "nothing is swept");
  refused("arms: {a: {sweep: {stages.0.lr.peak: [1e-3]}}}\n", "does not say how its value is chosen");
  refused("arms: {a: {set: {stages.0.grow.M: 64}}}\n", "arm a: the first stage has nothing to grow from");
  refused("arms: {a: {}}\nranks: 0\n", "key ranks");
  EXPECT_NEXUS_ERROR(load_study_text(text("arms: {a: {}}\n", "[1, 1]"), "study.yaml"), ErrorKind::kConfig,
                     HasSubstr("seed 1 stands twice"));
  EXPECT_NEXUS_ERROR(load_study_text(text("arms: {a: {}}\n", "[]"), "study.yaml"), ErrorKind::kConfig,
                     HasSubstr("there are no seeds"));
}

}  // namespace
}  // namespace nexus
