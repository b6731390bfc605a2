/* What the subcommands of l2-eval share that measure judgements: rows in, tables out. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_CMD_JUDGE_H
#define L2_CMD_JUDGE_H

#include "common/cli.h"
#include "eval/stats.h"
#include "stream/stream.h"
#include "text/vocab.h"

/* ---- rows in ---- */

/* How the inputs are read; rows and bad are counted. */
struct judge_in {
    struct l2_cli *cli;
    bool jsonl;    /* all inputs are JSONL, not only those whose names end in .jsonl */
    bool skip_bad; /* bad rows are left out and counted */
    const struct l2_vocab *vocab; /* streams of tokens have this one; NULL: any */
    uint64_t rows, bad;
    uint64_t bytes; /* of the inputs that were read before the present one */
    uint64_t total; /* of all operands, asked once where progress is shown; 0: not known */
    bool has_total;
};
/* The rows --jsonl, --skip-bad and --json. */
#define JUDGE_IN_OPTIONS(target_jsonl, target_skip, target_json)                                   \
    {.name = "jsonl",                                                                              \
     .kind = L2_OPT_FLAG,                                                                          \
     .help = "the inputs are JSONL, whatever their names",                                         \
     .target = target_jsonl},                                                                      \
        {.name = "skip-bad",                                                                       \
         .kind = L2_OPT_FLAG,                                                                      \
         .help = "leave out bad rows and count them, instead of stopping at the first",            \
         .target = target_skip},                                                                   \
    {                                                                                              \
        .name = "json", .kind = L2_OPT_FLAG, .help = "write rows of JSON, not tables",             \
        .target = target_json, .no_effect = true                                                   \
    }

/* Sees a row, an object: a line of JSONL, or a record in the JSON form of l2-stream(5). */
typedef int judge_take(void *arg, const json_t *row, struct l2_err *err);
/* Every row of a file, or of all operands (standard input where there are none). Errors of take
 * that are the data's are told with their place, and left out with skip_bad. A stream that is not
 * complete is an error unless --partial. */
int judge_read(struct judge_in *in, const char *path, judge_take *take, void *arg,
               struct l2_err *err) L2_MUST_CHECK;
int judge_read_operands(struct judge_in *in, judge_take *take, void *arg,
                        struct l2_err *err) L2_MUST_CHECK;
/* The same for the records of a stream as they are. */
typedef int judge_take_record(void *arg, const struct l2_record *rec, struct l2_err *err);
int judge_read_records(struct judge_in *in, int fd, const char *name, judge_take_record *take,
                       void *arg, struct l2_err *err) L2_MUST_CHECK;
bool judge_is_jsonl(const struct judge_in *in, const char *path);

/* The value of name in the answer's labels, the answer (NULL: none), the row, or its meta; a null
 * is none. */
const json_t *judge_field(const json_t *row, const json_t *answer, const char *name);
/* An answer's score: in its "scores", or as judge_field. *has is false where there is none. */
int judge_score(const json_t *row, const json_t *answer, const char *name, bool *has, double *out,
                struct l2_err *err) L2_MUST_CHECK;
/* The same of each of a row's completions, all of which have one, to take. */
int judge_each_score(const json_t *row, const json_t *completions, const char *name,
                     int (*take)(void *arg, double score, struct l2_err *err), void *arg,
                     struct l2_err *err) L2_MUST_CHECK;
int judge_number(const json_t *v, const char *name, double *out, struct l2_err *err) L2_MUST_CHECK;
int judge_bool(const json_t *v, const char *name, bool *out, struct l2_err *err) L2_MUST_CHECK;
/* v as the name of a group, "-" where it is NULL; lists and objects are refused. */
int judge_label(const json_t *v, const char *name, char out[256], struct l2_err *err) L2_MUST_CHECK;

/* ---- groups ---- */

/* Names in the order of their first appearance, each with the number of its group. */
struct judge_groups {
    json_t *index; /* owned */
};
int judge_groups_init(struct judge_groups *g, struct l2_err *err) L2_MUST_CHECK;
void judge_groups_release(struct judge_groups *g);
size_t judge_groups_n(const struct judge_groups *g);
/* The group's number; a name that is new gets the next one. */
int judge_group(struct judge_groups *g, const char *name, size_t *out,
                struct l2_err *err) L2_MUST_CHECK;
/* The group's number in *out, or false. */
bool judge_group_find(const struct judge_groups *g, const char *name, size_t *out);
/* The names in order, numbers before texts; n of them, owned (the array alone). NULL: no memory. */
const char **judge_groups_sorted(const struct judge_groups *g);

/* ---- tables out ---- */

/* A number for a row; null where it is not finite. */
json_t *judge_real(double v);
/* Appends a row, which is taken over (NULL: no memory). */
int judge_add(json_t *rows, json_t *row, struct l2_err *err) L2_MUST_CHECK;
/* Writes the rows, flat objects, as lines of JSON or as tables: rows of equal keys make one. */
int judge_write(struct l2_cli *cli, const json_t *rows, bool as_json,
                struct l2_err *err) L2_MUST_CHECK;
/* The end of the input: progress, and the counts of rows for the summary; L2_CORRUPT where there
 * were none. */
int judge_done(struct judge_in *in, struct l2_err *err) L2_MUST_CHECK;
/* What follows when all is read: judge_done, report, which appends to rows, and judge_write. */
typedef int judge_report(void *arg, struct l2_err *err);
int judge_finish(struct judge_in *in, judge_report *report, void *arg, const json_t *rows,
                 bool as_json, struct l2_err *err) L2_MUST_CHECK;

/* ---- the subcommands ---- */

extern const struct l2_opt eval_prefs_options[], eval_wins_options[];
int eval_run_prefs(struct l2_cli *cli);
int eval_run_wins(struct l2_cli *cli);
extern const struct l2_opt eval_safety_options[], eval_turns_options[], eval_diversity_options[],
    eval_contam_options[];
int eval_run_safety(struct l2_cli *cli);
int eval_run_turns(struct l2_cli *cli);
int eval_run_diversity(struct l2_cli *cli);
int eval_run_contam(struct l2_cli *cli);

#endif
