// `nexus report`: reads run folders and writes tables.md, tables.csv, curves.json, the pictures and report.html.
//
// Every file is replaced atomically. Pictures need Python with matplotlib; without it the report says so and is
// complete in its tables (docs/report.md defines every figure).
#pragma once

#include <string>
#include <vector>

#include "report/summary.h"

namespace nexus {

struct ReportOptions {
  SummaryOptions summary;
  std::string out;                   // folder; empty: the first run's report/
  std::vector<std::string> command;  // the words that repeat this report, shown on the page
  std::string version;               // of this program, shown on the page
  bool pictures = true;
};

struct ReportResult {
  ReportData data;
  std::string folder;
  std::vector<std::string> pictures;
  std::vector<std::string> warnings;  // of the data and of the pictures
};

ReportResult write_report(const ReportOptions& options);

}  // namespace nexus
