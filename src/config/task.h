// Task files (configs/tasks/*.yaml, docs/evaluation.md): read and checked like campaign files. Every mistake is
// ErrorKind::kConfig: "WHAT; task.yaml:12 key choices.each; do THIS". The keys:
//
//   task: NAME
//   items: FILE.jsonl | [FILE, FILE]       labels: FILE       id: TEMPLATE
//   context: TEMPLATE | [TEMPLATE, ...]    continuation: TEMPLATE ("{choice}")
//   choices: [TEMPLATE, ...] | {each: FIELD, text: TEMPLATE, name: TEMPLATE}
//   gold: {field: FIELD, is: index | number | letter | name | text}
//   score: choice | greedy | perplexity    metrics: [acc, acc_norm]
//   shots: NUMBER       shots_from: FILE.jsonl | [FILE, FILE]       shots_labels: FILE
//
// and of perplexities, beside task and score:
//
//   text: FILE | [FILE, FILE] or tokens: PREFIX | [PREFIX, PREFIX], or neither: the run's validation tokens
//   documents: file | blank-line | line | jsonl       field: FIELD ("text")
//   windows: joined | document                        stride: NUMBER
//
// A TEMPLATE is a text (spec/task_spec.h), or {text: TEMPLATE, then: [TRANSFORM, ...]}.
#pragma once

#include <string>

#include "spec/task_spec.h"

namespace nexus {

TaskSpec load_task(const std::string& file);
// The same for one document in memory; `source` names it in messages.
TaskSpec load_task_text(const std::string& text, const std::string& source);

}  // namespace nexus
