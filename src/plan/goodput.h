// How much of its wall time a job that fails now and then turns into committed steps, and how often it should save for
// that (docs/scaling-out.md). All times are in seconds.
//
// The model: failures are exponential with mean `mtbf` and strike at any time, restarts and saves included; each stops
// the whole job. After `restart` seconds without a failure the job trains on from the newest commit. After `interval`
// seconds of training it saves: training stops for `save_stop` (the copy; all of the write where saves are not
// asynchronous), and the commit comes `save_write` after the save began, while training goes on. A save that is due
// while the one before is still being written waits for it, as train/trainer.cpp does.
//
// A failure ends a cycle of restart and training, and cycles are independent, so that the goodput is exactly
//   interval * E[commits of a cycle] / E[seconds of a cycle]
//     = interval * (exp(-A / M) / (1 - exp(-B / M))) / (M * exp(R / M))
// with A = interval + save_write to the first commit, B = max(interval + save_stop, save_write) between commits.
// For save_write = save_stop this is the reciprocal of Daly's complete cost function: J. T. Daly, A higher order
// estimate of the optimum checkpoint interval for restart dumps, FGCS 22 (2006) 303-312, eq. (20).
#pragma once

namespace nexus {

struct FailureModel {
  double mtbf = 0;        // M, of the job: that of a node divided by the nodes; above 0
  double save_stop = 0;   // training stands still
  double save_write = 0;  // from the beginning of a save to its commit; at least save_stop
  double restart = 0;     // R, from a failure to the next step
};

// Share of wall time in the long run, 0 to 1. `interval` is the training time between saves, above 0.
double goodput(const FailureModel& model, double interval);

// The interval of the largest goodput: no formula, but the root of the derivative, to f64's precision. 0 where saves
// cost nothing.
double best_interval(const FailureModel& model);

// sqrt(2 C M): J. W. Young, A first order approximation to the optimum checkpoint interval, CACM 17 (1974) 530-531.
double young_interval(const FailureModel& model);

// Daly 2006, eq. (37): sqrt(2 C M) (1 + sqrt(C / 2M) / 3 + (C / 2M) / 9) - C for C < 2M, else M.
double daly_interval(const FailureModel& model);

// A job on `nodes` nodes of which each fails every `node_mtbf_hours`.
double mtbf_of_job(double node_mtbf_hours, double nodes);

}  // namespace nexus
