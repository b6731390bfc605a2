/* What the subcommands of l2-gatt share: constraints, model, and the worker that asks. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CMD_GATT_H
#define L2_CMD_GATT_H

#include "common/run.h"
#include "rlhf/gatt.h"
#include "sampling.h"

/* Targets of GATT_OPTIONS. */
struct gatt_args {
    const char *constraints;
    struct l2_strings names;
    int64_t combine;
    double brief;
    int64_t turns;
    bool system;
    const char *template_name;
    struct sampling sampling;
};

#define GATT_OPTIONS(a)                                                                            \
    {.name = "constraints",                                                                        \
     .kind = L2_OPT_STRING,                                                                        \
     .arg = "FILE",                                                                                \
     .is_path = true,                                                                              \
     .no_effect = true,                                                                            \
     .help = "the constraints, as YAML",                                                           \
     .target = &(a)->constraints},                                                                 \
        {.name = "only",                                                                           \
         .kind = L2_OPT_LIST,                                                                      \
         .arg = "NAME",                                                                            \
         .help = "take this constraint of the file; may be repeated; by default all",              \
         .target = &(a)->names},                                                                   \
        {.name = "combine",                                                                        \
         .kind = L2_OPT_INT,                                                                       \
         .arg = "N",                                                                               \
         .help = "constraints in one instruction at most; 0: all",                                 \
         .target = &(a)->combine,                                                                  \
         .min = 0,                                                                                 \
         .max = L2_CONSTRAINTS_MAX},                                                               \
        {.name = "brief",                                                                          \
         .kind = L2_OPT_REAL,                                                                      \
         .arg = "P",                                                                               \
         .help = "share of the instructions that are brief where they stand but once",             \
         .target = &(a)->brief,                                                                    \
         .min = 0,                                                                                 \
         .max = 1},                                                                                \
        {.name = "turns",                                                                          \
         .kind = L2_OPT_INT,                                                                       \
         .arg = "N",                                                                               \
         .help = "turns of the user in each dialogue, cut off or continued with the file's "       \
                 "questions; 0: as many as it has",                                                \
         .target = &(a)->turns,                                                                    \
         .min = 0,                                                                                 \
         .max = 10000},                                                                            \
        {.name = "system",                                                                         \
         .kind = L2_OPT_FLAG,                                                                      \
         .help = "where the instruction stands but once, it is the system message's, not the "     \
                 "first user message's",                                                           \
         .target = &(a)->system},                                                                  \
        {.name = "template",                                                                       \
         .kind = L2_OPT_STRING,                                                                    \
         .arg = "NAME",                                                                            \
         .help = "chat template: chatml, llama2, llama3, mistral, zephyr; auto for the one that "  \
                 "the model says",                                                                 \
         .target = &(a)->template_name},                                                           \
        SAMPLING_OPTIONS(&(a)->sampling)

struct gatt {
    struct l2_cli *cli;
    const struct gatt_args *args;
    struct l2_loaded loaded;
    struct sampling_rules rules;
    struct l2_constraints constraints;
    struct l2_worker *worker;
};

/* Reads the constraints and loads the model; then makes the worker. Close also after a failure. */
int gatt_open(struct gatt *g, struct l2_cli *cli, const struct gatt_args *args,
              struct l2_err *err) L2_MUST_CHECK;
int gatt_start(struct gatt *g, bool every_turn, struct l2_err *err) L2_MUST_CHECK;
void gatt_close(struct gatt *g);

/* Adds what was asked and answered to the summary. */
void gatt_report(const struct gatt *g);

extern const struct l2_opt gatt_make_options[], gatt_measure_options[];
int gatt_run_make(struct l2_cli *cli);
int gatt_run_measure(struct l2_cli *cli);

#endif
