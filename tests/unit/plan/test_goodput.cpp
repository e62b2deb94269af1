// The goodput formula against a simulation of events that knows nothing of it, and the optima against published figures
// and a search.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "core/rng.h"
#include "plan/goodput.h"

namespace nexus {
namespace {

// Plays a job of single nodes that fail each on its own, event by event.
class JobSimulation {
 public:
  JobSimulation(const FailureModel& model, double interval, int nodes, uint64_t seed)
      : model_(model), interval_(interval), stream_(seed, "failures") {
    for (int i = 0; i < nodes; ++i) failures_.push_back(draw(nodes));
    nodes_ = nodes;
  }

  struct Cycle {
    double seconds = 0, committed = 0;  // from one failure to the next; seconds of training that became durable
  };

  // Restart, then training until the next failure.
  Cycle cycle() {
    const double begin = now_;
    const auto victim = std::min_element(failures_.begin(), failures_.end());
    const double committed = trained_until(begin, *victim);
    now_ = *victim;
    *victim += draw(nodes_);
    return {now_ - begin, committed};
  }

 private:
  // A node's time to its next failure: the job's rate is the sum of the nodes' rates.
  double draw(int nodes) { return -model_.mtbf * nodes * std::log1p(-stream_.uniform(counter_++)); }

  // Seconds of training committed in [begin, failure).
  double trained_until(double begin, double failure) {
    double now = begin + model_.restart, trained = 0, committed = 0;
    std::optional<double> writing;  // when the save under way commits
    double in_flight = 0;           // what it holds
    const auto land = [&] {         // the commit, if the job lives to see it
      if (*writing > failure) return false;
      committed = in_flight;
      writing.reset();
      return true;
    };
    while (now < failure) {
      const double due = now + interval_;
      if (writing && *writing <= due && !land()) break;
      trained += interval_;
      now = due;
      if (now >= failure) break;
      if (writing) {  // the save waits for the one before
        now = *writing;
        if (!land()) break;
      }
      writing = now + model_.save_write;
      in_flight = trained;
      now += model_.save_stop;
    }
    if (writing) land();
    return committed;
  }

  FailureModel model_;
  double interval_;
  RandomStream stream_;
  std::vector<double> failures_;
  double now_ = 0;
  int nodes_ = 1;
  uint64_t counter_ = 0;
};

struct Estimate {
  double mean = 0, standard_error = 0;
};

// A ratio of means over independent cycles; its standard error by linearisation.
Estimate simulate(const FailureModel& model, double interval, int nodes, int failures) {
  JobSimulation job(model, interval, nodes, 20240607);
  std::vector<JobSimulation::Cycle> cycles;
  double seconds = 0, committed = 0;
  for (int i = 0; i < failures; ++i) {
    cycles.push_back(job.cycle());
    seconds += cycles.back().seconds;
    committed += cycles.back().committed;
  }
  const double mean = committed / seconds;
  double squares = 0;
  for (const JobSimulation::Cycle& cycle : cycles) squares += std::pow(cycle.committed - mean * cycle.seconds, 2);
  return {mean, std::sqrt(squares) / seconds};
}

struct Regime {
  const char* name;
  FailureModel model;  // mtbf, save_stop, save_write, restart
  double interval;
};

const std::vector<Regime>& regimes() {
  static const std::vector<Regime> all = {
      {"rare failures, synchronous saves", {86400, 60, 60, 600}, 3600},
      {"rare failures, asynchronous saves", {86400, 3, 120, 600}, 1200},
      {"restarts as long as the time between failures", {900, 10, 60, 900}, 150},
      {"a save as long as the time between failures", {600, 600, 600, 60}, 300},
      {"a save longer than the time between failures", {600, 900, 900, 0}, 500},
      {"saves that wait for the one before", {3600, 20, 1500, 120}, 700},
      {"a write longer than the time between failures", {600, 5, 900, 30}, 300},
      {"an interval far too long", {1000, 5, 30, 100}, 4000},
      {"an interval far too short", {50000, 100, 100, 300}, 200},
      {"saves that cost nothing", {1000, 0, 0, 50}, 20},
  };
  return all;
}

TEST(Goodput, IsWhatASimulationOfFailuresGives) {
  constexpr int kFailures = 400000;
  for (const Regime& r : regimes()) {
    const Estimate estimate = simulate(r.model, r.interval, 1, kFailures);
    const double expected = goodput(r.model, r.interval);
    std::printf("%-48s formula %.5f simulation %.5f +- %.5f\n", r.name, expected, estimate.mean,
                estimate.standard_error);
    // Four standard errors: one in 1600 regimes would fail by chance, and the seed is fixed.
    EXPECT_NEAR(estimate.mean, expected, 4 * estimate.standard_error) << r.name;
    // The simulation must be able to tell: a standard error of 2% of the value at most.
    EXPECT_LT(estimate.standard_error, 0.02 * expected) << r.name;
  }
}

TEST(Goodput, OfManyNodesIsThatOfTheirCommonRate) {
  const int nodes = 64;
  const FailureModel model{mtbf_of_job(64, nodes), 10, 60, 300};
  EXPECT_EQ(model.mtbf, 3600);
  const Estimate estimate = simulate(model, 400, nodes, 40000);
  EXPECT_NEAR(estimate.mean, goodput(model, 400), 4 * estimate.standard_error);  // as above
}

// Daly's complete cost function, eq. (20): wall time over solution time.
TEST(Goodput, OfSynchronousSavesIsTheReciprocalOfDalysCostFunction) {
  for (const double interval : {60.0, 900.0, 7200.0}) {
    const FailureModel model{7200, 120, 120, 600};
    const double cost = 7200 * std::exp(600.0 / 7200) * (std::exp((interval + 120) / 7200) - 1) / interval;
    EXPECT_NEAR(goodput(model, interval) * cost, 1, 1e-13);  // a dozen roundings of f64
  }
}

// Daly 2006, figures 3 to 5: a dump takes 5 minutes, a restart 10; printed to three digits or two.
TEST(DalysInterval, IsThatOfHisFigures) {
  EXPECT_NEAR(daly_interval({24 * 3600, 300, 300, 600}) / 60, 117, 0.5);
  EXPECT_NEAR(daly_interval({6 * 3600, 300, 300, 600}) / 60, 57, 0.5);
  EXPECT_NEAR(daly_interval({15 * 60, 300, 300, 600}) / 60, 9.1, 0.05);
  EXPECT_EQ(daly_interval({100, 200, 200, 0}), 100);  // from C = 2M on: M
}

TEST(YoungsInterval, IsTheRootOfTwiceTheSaveTimesTheTimeBetweenFailures) {
  EXPECT_DOUBLE_EQ(young_interval({5000, 10, 900, 0}), std::sqrt(2.0 * 10 * 5000));
}

TEST(BestInterval, BeatsEveryOtherOfAFineGrid) {
  for (const Regime& r : regimes()) {
    if (r.model.save_stop == 0) continue;
    const double best = best_interval(r.model), most = goodput(r.model, best);
    for (double interval = r.model.mtbf * 1e-5; interval < 10 * r.model.mtbf; interval *= 1.01)
      EXPECT_LE(goodput(r.model, interval), most * (1 + 1e-14)) << r.name << " at " << interval;  // roundings
  }
}

TEST(BestInterval, SolvesTheEquationOfTheOptimum) {
  for (const double c : {1e-9, 1e-4, 0.1, 1.0, 3.0}) {
    const double x = best_interval({1, c, c, 5});
    // Where the derivative vanishes; in logarithms, whose terms are of the size of x + c.
    EXPECT_NEAR(x + c + std::log1p(-x), 0, 1e-14 * (1 + c)) << c;
  }
}

TEST(BestInterval, IsNeverShorterThanAWrite) {
  const FailureModel quick{36000, 5, 5, 60}, slow{36000, 5, 1000, 60};
  EXPECT_LT(best_interval(quick), 700);
  EXPECT_DOUBLE_EQ(best_interval(slow), 995);
  EXPECT_DOUBLE_EQ(best_interval({600, 5, 9000, 60}), 600);
}

TEST(BestInterval, OfFreeSavesIsZero) {
  EXPECT_EQ(best_interval({1000, 0, 0, 50}), 0);
}

// Young's is the first order: at 1% of a save per failure it still gives up little; Daly's less.
TEST(Optima, OfYoungAndDalyComeCloseWhereSavesAreShort) {
  const FailureModel model{10000, 100, 100, 300};
  const double most = goodput(model, best_interval(model));
  EXPECT_NEAR(goodput(model, daly_interval(model)) / most, 1, 1e-6);
  EXPECT_NEAR(goodput(model, young_interval(model)) / most, 1, 1e-3);
  EXPECT_LT(goodput(model, young_interval(model)), goodput(model, daly_interval(model)));
}

}  // namespace
}  // namespace nexus
