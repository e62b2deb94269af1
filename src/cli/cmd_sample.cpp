// nexus sample: text from a checkpoint (docs/sampling.md).
#include <fmt/ranges.h>

#include <cstdio>
#include <memory>
#include <optional>

#include "cli/commands.h"
#include "cli/launch.h"
#include "cli/option_checks.h"
#include "cli/text_checkpoint.h"
#include "core/files.h"
#include "core/rng.h"
#include "params/replication.h"
#include "sampling/generator.h"
#include "sampling/text_stream.h"
#include "sampling/token_sampler.h"
#include "system/clock.h"

namespace nexus {
namespace {

struct SampleArguments {
  std::string checkpoint, tokenizer, prompt_file, device = "cpu";
  std::vector<std::string> prompts, stops;
  std::vector<int32_t> prompt_ids;
  int64_t tokens = 256, context = 0;
  SamplingRule rule;
  uint64_t seed = 0;
  int tp = 1;
  bool greedy = false, no_bos = false;
};

struct Prompt {
  std::string text;  // as given; empty of ids
  std::vector<int32_t> ids;
};

struct SamplePlan : TextCheckpoint {
  std::optional<Tokenizer> tokenizer;  // none where ids are asked for
  std::vector<Prompt> prompts;
  int64_t context = 0;
};

// A prompt as documents begin that models are trained on: with BOS, where the tokenizer has one.
Prompt encode_prompt(const Tokenizer& tokenizer, const std::string& text, bool bos) {
  Prompt prompt{text, tokenizer.encode(text)};
  if (bos && tokenizer.bos_id() >= 0) prompt.ids.insert(prompt.ids.begin(), tokenizer.bos_id());
  if (prompt.ids.empty())
    throw Error(ErrorKind::kConfig, "the prompt has no tokens, and the text no BOS before it", "--prompt",
                "give a longer prompt, or use a tokenizer with BOS, without --no-bos");
  return prompt;
}

// An editor's line break at the end is none of the text.
std::string read_prompt(const std::string& path) {
  std::string text = read_text_file(path);
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

void check_prompt(const Prompt& prompt, const SamplePlan& plan) {
  const int64_t vocab = plan.state.model.count("V");
  for (const int32_t id : prompt.ids)
    if (id < 0 || id >= vocab)
      throw Error(ErrorKind::kConfig, fmt::format("there is no token {}, the model has {}", id, vocab), "--prompt-ids",
                  fmt::format("name ids from 0 to {}", vocab - 1));
  if (std::ssize(prompt.ids) > plan.context)
    throw Error(ErrorKind::kConfig,
                fmt::format("the prompt has {} tokens, the model reads {}", prompt.ids.size(), plan.context),
                prompt.text.empty() ? "--prompt-ids" : "--prompt", "shorten it, or raise --context");
}

SamplePlan make_plan(const SampleArguments& arguments) {
  SamplePlan plan{open_text_checkpoint(arguments.checkpoint), {}, {}, 0};
  if (arguments.prompt_ids.empty()) {
    plan.tokenizer = open_tokenizer(plan, arguments.tokenizer);
    std::vector<std::string> texts = arguments.prompts;
    if (!arguments.prompt_file.empty()) texts.push_back(read_prompt(arguments.prompt_file));
    for (const std::string& text : texts)
      plan.prompts.push_back(encode_prompt(*plan.tokenizer, text, !arguments.no_bos));
  } else {
    plan.prompts.push_back({"", arguments.prompt_ids});
  }
  plan.context = context_length(plan, arguments.context);
  for (const Prompt& prompt : plan.prompts) check_prompt(prompt, plan);
  return plan;
}

void write_out(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

// What one prompt has become, on its way to the terminal.
class Continuation {
 public:
  Continuation(const SamplePlan& plan, const SampleArguments& arguments, size_t number)
      : plan_(plan),
        arguments_(arguments),
        prompt_(plan.prompts[number]),
        random_(arguments.seed, fmt::format("sample {}", number)) {
    if (plan.tokenizer) stream_.emplace(*plan.tokenizer, prompt_.ids, arguments.stops);
  }

  // The line that says what was done. `speaks`: this rank prints.
  std::string run(Generator& generator, bool speaks) {
    const double begin = steady_seconds();
    std::vector<double> logits = generator.read(prompt_.ids);
    const double read = steady_seconds();
    if (speaks) write_out(prompt_.text);
    int64_t count = 0;
    while (end_ == nullptr) {
      const int32_t token = next(logits, count);
      if (is_end(token)) break;
      ++count;
      const std::string text = told(token, count);
      if (speaks) write_out(text);
      if (stream_ && stream_->stopped())
        end_ = "stop";
      else if (count == arguments_.tokens)
        end_ = "tokens";
      else if (generator.length() == plan_.context)
        end_ = "context";
      else
        logits = generator.read({&token, 1});
    }
    if (speaks) write_out((stream_ ? stream_->finish() : "") + "\n");
    const auto rate = [](int64_t tokens, double seconds) {
      return fmt::format("{} seconds {:.3f} tok_per_s {:.1f}", tokens, seconds,
                         static_cast<double>(tokens) / std::max(seconds, 1e-9));
    };
    return fmt::format("read {} | wrote {} | end {}\n", rate(std::ssize(prompt_.ids), read - begin),
                       rate(count, steady_seconds() - read), end_);
  }

 private:
  // Ids that the tokenizer does not have are none.
  int32_t next(std::span<const double> logits, int64_t index) const {
    if (plan_.tokenizer) logits = logits.first(static_cast<size_t>(plan_.tokenizer->vocab_size()));
    return pick_token(token_distribution(logits, arguments_.rule), random_.uniform(static_cast<uint64_t>(index)));
  }
  // BOS begins the next document.
  bool is_end(int32_t token) {
    if (!plan_.tokenizer || (token != plan_.tokenizer->bos_id() && token != plan_.tokenizer->eos_id())) return false;
    end_ = "document";
    return true;
  }
  std::string told(int32_t token, int64_t count) {
    return stream_ ? stream_->add(token) : fmt::format("{}{}", count == 1 ? "" : " ", token);
  }

  const SamplePlan& plan_;
  const SampleArguments& arguments_;
  const Prompt& prompt_;
  RandomStream random_;
  std::optional<TextStream> stream_;
  const char* end_ = nullptr;  // why the text ends
};

int sample(SampleArguments arguments, std::unique_ptr<Communicator> world) {
  if (arguments.greedy) arguments.rule.temperature = 0;
  const SamplePlan plan = make_plan(arguments);
  if (world->size() != arguments.tp)
    throw Error(ErrorKind::kConfig, fmt::format("{} ranks were started for --tp {}", world->size(), arguments.tp),
                "command line", fmt::format("start {} ranks, or say --tp {}", arguments.tp, world->size()));
  Device device = open_device(arguments.device, plan.deterministic, std::move(world));
  ProcessGrid grid(std::move(device.world), 1, arguments.tp);
  Model model(plan.state.model, sharding_of(grid, /*zero=*/false, /*sequence=*/false));
  ParamStore params(*device.backend, model.table(), plan.compute, ParamStore::Use::kInference);
  load_weights(plan, params);
  int64_t longest = 0;
  for (const Prompt& prompt : plan.prompts) longest = std::max(longest, std::ssize(prompt.ids));
  Generator generator(*device.backend, grid.tp(), model, params, std::min(plan.context, longest + arguments.tokens));
  for (size_t number = 0; number < plan.prompts.size(); ++number) {
    generator.clear();
    const std::string line = Continuation(plan, arguments, number).run(generator, grid.rank() == 0);
    if (grid.rank() == 0) fmt::print(stderr, "sample {} of {} | {}", number + 1, plan.prompts.size(), line);
  }
  return 0;
}

}  // namespace

void add_sample_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<SampleArguments>();
  CLI::App* command = app.add_subcommand("sample", "text from a checkpoint");
  command->add_option("CKPT", arguments->checkpoint, "checkpoint folder")->required()->transform(path_to_read());
  CLI::Option_group* prompts = command->add_option_group("prompt");
  prompts->add_option("--prompt", arguments->prompts, "what the text begins with; may be given several times")
      ->allow_extra_args(false);
  prompts->add_option("--prompt-file", arguments->prompt_file, "the same from a file")->transform(path_to_read());
  prompts->add_option("--prompt-ids", arguments->prompt_ids, "token ids with commas; ids are printed, as they come")
      ->delimiter(',');
  prompts->require_option(1);
  command->add_option("--tokens", arguments->tokens, "at most so many are added")->check(whole_number(1));
  command->add_option("--temperature", arguments->rule.temperature, "logits are divided by it; 0: the likeliest token")
      ->check(number_from(0, 1e6));
  command->add_flag("--greedy", arguments->greedy, "the likeliest token, as --temperature 0");
  command->add_option("--top-k", arguments->rule.top_k, "only of the K likeliest tokens")->check(whole_number(1));
  command->add_option("--top-p", arguments->rule.top_p, "only of the likeliest tokens that have this share")
      ->check(number_above(0, 1));
  command->add_option("--seed", arguments->seed, "of the random choice")->check(whole_number(0));
  command->add_option("--stop", arguments->stops, "text that the text ends before; may be given several times")
      ->allow_extra_args(false)
      ->check([](const std::string& text) { return text.empty() ? std::string("a stop text is empty") : ""; });
  command->add_option("--tokenizer", arguments->tokenizer, "the model's tokenizer; preset: the run's")
      ->transform(path_to_read());
  command->add_option("--context", arguments->context, "tokens that the model reads; preset: as trained")
      ->check(whole_number(1, 1 << 20));
  command->add_flag("--no-bos", arguments->no_bos, "texts do not begin with BOS");
  command->add_option("--device", arguments->device, "cpu or cuda");
  command->add_option("--tp", arguments->tp, "ranks that share the model")->check(whole_number(1, 1 << 10));
  command->callback([arguments, &action] {
    action = [arguments] {
      return run_under_mpi([&](std::unique_ptr<Communicator> world) { return sample(*arguments, std::move(world)); });
    };
  });
}

}  // namespace nexus
