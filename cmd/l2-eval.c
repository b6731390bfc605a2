/* l2-eval: measures models by choices, answers and likelihood, and what their samples are worth. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "eval.h"
#include "judge.h"

static const char *const usage[] = {"task -m MODEL -t TASK [OPTION]... [FILE]...",
                                    "choices -m MODEL [OPTION]... [FILE.jsonl]...",
                                    "perplexity -m MODEL [OPTION]... [FILE]...",
                                    "prefs [OPTION]... [FILE]...",
                                    "wins [OPTION]... [FILE]...",
                                    "safety [OPTION]... [FILE]...",
                                    "turns [OPTION]... [FILE]...",
                                    "diversity [OPTION]... [FILE]...",
                                    "contam --test FILE [OPTION]... [FILE]...",
                                    NULL};

static const struct l2_subcommand subcommands[] = {
    {.name = "task",
     .usage = "-m MODEL -t TASK [OPTION]... [FILE]...",
     .summary = "Run a task, defined in YAML, over its test set.",
     .options = eval_task_options,
     .rows = L2_ROWS_OUTPUT | L2_ROWS_THREADS | L2_ROWS_MODEL,
     .run = eval_run_task},
    {.name = "choices",
     .usage = "-m MODEL [OPTION]... [FILE.jsonl]...",
     .summary = "Choose among continuations of a context by their log-probability.",
     .options = eval_choices_options,
     .rows = L2_ROWS_OUTPUT | L2_ROWS_THREADS | L2_ROWS_MODEL,
     .run = eval_run_choices},
    {.name = "perplexity",
     .usage = "-m MODEL [OPTION]... [FILE]...",
     .summary = "Say how well a model predicts texts.",
     .options = eval_perplexity_options,
     .rows = L2_ROWS_OUTPUT | L2_ROWS_THREADS | L2_ROWS_MODEL,
     .run = eval_run_perplexity},
    {.name = "prefs",
     .usage = "[OPTION]... [FILE]...",
     .summary =
         "Say how often a reward model prefers what people prefer, and how sure it should be.",
     .options = eval_prefs_options,
     .rows = L2_ROWS_OUTPUT | L2_ROWS_RECORDS | L2_ROWS_PARTIAL,
     .run = eval_run_prefs},
    {.name = "wins",
     .usage = "[OPTION]... [FILE]...",
     .summary = "Compute win rates from judgements or scores, and how judges agree.",
     .options = eval_wins_options,
     .rows = L2_ROWS_OUTPUT | L2_ROWS_RECORDS | L2_ROWS_PARTIAL,
     .run = eval_run_wins},
    {.name = "safety",
     .usage = "[OPTION]... [FILE]...",
     .summary = "Count violations and false refusals, and what a red team finds.",
     .options = eval_safety_options,
     .rows = L2_ROWS_OUTPUT | L2_ROWS_RECORDS | L2_ROWS_PARTIAL,
     .run = eval_run_safety},
    {.name = "turns",
     .usage = "[OPTION]... [FILE]...",
     .summary = "Say how answers obey an instruction from turn to turn.",
     .options = eval_turns_options,
     .rows = L2_ROWS_OUTPUT | L2_ROWS_RECORDS | L2_ROWS_PARTIAL,
     .run = eval_run_turns},
    {.name = "diversity",
     .usage = "[OPTION]... [FILE]...",
     .summary = "Measure how much the answers to a prompt repeat one another, by temperature.",
     .options = eval_diversity_options,
     .rows = L2_ROWS_OUTPUT | L2_ROWS_RECORDS | L2_ROWS_PARTIAL,
     .run = eval_run_diversity},
    {.name = "contam",
     .usage = "--test FILE [OPTION]... [FILE]...",
     .summary = "Find a test set in training text, and what that does to its scores.",
     .options = eval_contam_options,
     .rows = L2_ROWS_OUTPUT | L2_ROWS_RECORDS | L2_ROWS_PARTIAL,
     .run = eval_run_contam},
    {.name = NULL},
};

int main(int argc, char **argv)
{
    static const struct l2_program program = {
        .name = "l2-eval",
        .usage = usage,
        .summary = "Measure models on tasks.",
        .subcommands = subcommands,
        .backends = l2_model_backends,
    };
    return l2_cli_main(&program, argc, argv);
}
