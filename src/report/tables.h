// The tables of a report: one row per stage, per run and per growth; and all figures in full precision as CSV.
#pragma once

#include <string>

#include "report/summary.h"
#include "report/table.h"

namespace nexus {

Table stage_table(const ReportData& data);
// No rows where nothing grew.
Table growth_table(const ReportData& data);
Table comparison_table(const ReportData& data);
// Of evaluations besides the validation loss. No rows where there were none.
Table figure_table(const ReportData& data);
std::string figures_csv(const ReportData& data);

// One rectangular table: `scope` says whether a row is a stage or a whole run; columns that do not apply are empty.
std::string to_csv(const ReportData& data);

// The definitions behind the figures, one sentence each (docs/report.md says more).
std::string headline_definition(const WorkloadWords& words);
std::string flops_definition_text(const ReportData& data);
std::string saving_definition(const ReportData& data);

}  // namespace nexus
