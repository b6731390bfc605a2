/* l2-cat: look at, check, slice, split, sample and join streams; JSON in and out. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "cat.h"
#include "util/num.h"

static struct {
    bool json, headers, from_json, check, recover, stats, ids;
    const char *scores;
    bool skip_bad;
    const char *vocab;
    int64_t split;
    bool split_given;
    int64_t head;
    bool head_given;
    const char *range;
    int64_t sample;
    bool sample_given;
    uint64_t seed;
    bool seed_given;
} opts;

#define MOST_RECORDS 9e15 /* what a double counts exactly */

static const struct l2_opt options[] = {
    L2_OPT_TITLE("What to do (by default, join the streams to one segment)"),
    {.name = "json",
     .kind = L2_OPT_FLAG,
     .help = "write records as lines of JSON; with --stats, one line of JSON",
     .target = &opts.json},
    {.name = "headers",
     .kind = L2_OPT_FLAG,
     .help = "with --json: write headers and ENDs as lines, too",
     .target = &opts.headers},
    {.name = "ids",
     .kind = L2_OPT_FLAG,
     .help =
         "with --json: write TRL's rows of token ids: input_ids, labels and completion_mask, or "
         "chosen_ids and rejected_ids",
     .target = &opts.ids},
    {.name = "scores",
     .kind = L2_OPT_STRING,
     .arg = "FORM",
     .help = "write a table with a line for each completion: csv or tsv",
     .target = &opts.scores},
    {.name = "from-json",
     .kind = L2_OPT_FLAG,
     .help = "read such lines, or TRL's rows of token ids, and write a stream",
     .target = &opts.from_json},
    {.name = "vocab",
     .letter = 'z',
     .kind = L2_OPT_STRING,
     .arg = "FILE",
     .help = "with --from-json: the vocabulary that the token ids are of",
     .target = &opts.vocab,
     .is_path = true},
    {.name = "skip-bad",
     .kind = L2_OPT_FLAG,
     .help = "with --from-json: leave out bad lines and count them, instead of stopping at the "
             "first",
     .target = &opts.skip_bad},
    {.name = "check",
     .kind = L2_OPT_FLAG,
     .help = "write nothing: exit with status 1 and a sentence for each file that is not whole",
     .target = &opts.check},
    {.name = "recover",
     .kind = L2_OPT_FLAG,
     .help = "copy all whole records that can be found in damaged streams",
     .target = &opts.recover},
    {.name = "stats",
     .kind = L2_OPT_FLAG,
     .help = "write counts, lengths, scores and history",
     .target = &opts.stats},
    {.name = "split",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "write streams of N records each to files OUTPUT-00001.l2s and so on, where OUTPUT is "
             "what -o says",
     .default_text = "",
     .target = &opts.split,
     .min = 1,
     .max = MOST_RECORDS,
     .given = &opts.split_given},
    L2_OPT_TITLE("Which records (counted from 0, over all inputs)"),
    {.name = "head",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "the first N",
     .default_text = "",
     .target = &opts.head,
     .min = 0,
     .max = MOST_RECORDS,
     .given = &opts.head_given},
    {.name = "range",
     .kind = L2_OPT_STRING,
     .arg = "A:B",
     .help = "from number A up to, not including, number B; either may be left out",
     .target = &opts.range},
    {.name = "sample",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "N of them at random, in the order of the input",
     .default_text = "",
     .target = &opts.sample,
     .min = 0,
     .max = MOST_RECORDS,
     .given = &opts.sample_given},
    {.name = "seed",
     .letter = 's',
     .kind = L2_OPT_SEED,
     .arg = "N",
     .help = "with --sample: another seed, another sample",
     .target = &opts.seed,
     .given = &opts.seed_given},
    L2_OPT_TABLE_END,
};

/* "A:B" with either side left out. */
static bool parse_range(const char *s, uint64_t *first, uint64_t *end)
{
    char number[32];
    const char *colon = strchr(s, ':');
    size_t n = colon ? (size_t)(colon - s) : 0;
    *first = 0;
    *end = UINT64_MAX;
    if (!colon || n >= sizeof number)
        return false;
    memcpy(number, s, n);
    number[n] = '\0';
    if (n > 0 && !l2_parse_u64(number, first))
        return false;
    return (colon[1] == '\0' || l2_parse_u64(colon + 1, end)) && *first <= *end;
}

/* Two options that cannot be given together, or NULL. */
static const char *contradiction(void)
{
    int modes = opts.from_json + opts.check + opts.recover + opts.stats + opts.split_given +
                (opts.scores != NULL);
    bool chosen = opts.head_given || opts.range || opts.sample_given;
    if (modes > 1 || (opts.json && modes > 0 && !opts.stats))
        return "one of --json, --from-json, --check, --recover, --stats, --scores and --split";
    if ((opts.check || opts.recover) && chosen)
        return "--check and --recover take all records: no --head, --range or --sample";
    if (opts.head_given && opts.range)
        return "one of --head and --range";
    if (opts.headers && (!opts.json || opts.stats))
        return "--headers with --json alone";
    if (opts.ids && (!opts.json || opts.stats || opts.headers))
        return "--ids with --json alone";
    if (opts.scores && strcmp(opts.scores, "csv") != 0 && strcmp(opts.scores, "tsv") != 0)
        return "--scores csv or --scores tsv";
    if (opts.headers && opts.sample_given)
        return "one of --headers and --sample: a sample has no segments";
    if ((opts.vocab || opts.skip_bad) && !opts.from_json)
        return "--vocab and --skip-bad with --from-json";
    if (opts.seed_given && !opts.sample_given)
        return "--seed with --sample";
    return NULL;
}

/* Calls one of a sink's functions that may be missing. */
static int sink_end(struct cat_sink *s, const struct l2_stream_end *end, struct l2_err *err)
{
    return s->end ? s->end(s, end, err) : L2_OK;
}

/* The next event; what the sink holds back is flushed before waiting. */
static int next_event(struct l2_pipe *p, struct cat_sink *s, enum l2_pipe_event *event,
                      struct l2_record *rec, struct l2_err *err)
{
    bool pending = s->pending && s->pending(s);
    int r = l2_pipe_next(p, !pending, event, rec, err);
    if (r == L2_AGAIN && (r = s->flush(s, err)) == L2_OK)
        r = l2_pipe_next(p, true, event, rec, err);
    return r;
}

/* All records of p that are chosen go to s. */
static int copy(struct l2_cli *cli, struct l2_pipe *p, struct cat_sink *s, struct cat_choice *c,
                struct l2_err *err)
{
    struct l2_record rec;
    enum l2_pipe_event event;
    bool open = false, any = false;
    int r = L2_OK;
    l2_record_init(&rec);
    while (r == L2_OK && !(any && cat_choice_done(c))) {
        r = next_event(p, s, &event, &rec, err);
        if (r != L2_OK)
            break;
        switch (event) {
        case L2_PIPE_HEADER:
            open = any = true;
            r = s->header ? s->header(s, l2_pipe_header(p), err) : L2_OK;
            break;
        case L2_PIPE_RECORD:
            r = cat_choose(c, &rec, s, err);
            break;
        case L2_PIPE_SEGMENT_END:
            open = false;
            r = sink_end(s, l2_pipe_end(p), err);
            break;
        }
        l2_cli_progress_share(cli, l2_pipe_share(p), c->seen, "records");
    }
    if (r == L2_OK && open) { /* enough was read: what was taken is whole */
        struct l2_stream_end whole = {.complete = true};
        r = sink_end(s, &whole, err);
    }
    l2_record_release(&rec);
    if (r < 0)
        return r;
    return cat_choice_finish(c, s, err);
}

static int open_sink(struct cat_sink **out, struct l2_cli *cli, struct l2_pipe **p,
                     struct l2_err *err)
{
    bool stream = !opts.json && !opts.stats && !opts.split_given && !opts.scores;
    int r = stream ? l2_pipe_open(p, cli, true, NULL, err) : l2_pipe_open_input(p, cli, err);
    if (r < 0)
        return r;
    if (opts.stats)
        return cat_stats_sink(out, cli, opts.json, err);
    if (opts.json)
        return cat_json_sink(out, cli, opts.headers, opts.ids, err);
    if (opts.scores)
        return cat_scores_sink(out, cli, strcmp(opts.scores, "tsv") == 0, err);
    if (opts.split_given)
        return cat_split_sink(out, cli, (uint64_t)opts.split, err);
    return cat_stream_sink(out, *p, err);
}

static int copy_all(struct l2_cli *cli, struct cat_choice *choice)
{
    struct cat_sink *s = NULL;
    struct l2_pipe *p = NULL;
    struct l2_err err;
    int r = open_sink(&s, cli, &p, &err);
    bool begun = r == L2_OK;
    if (begun)
        r = copy(cli, p, s, choice, &err);
    if (r < 0 && begun)
        l2_pipe_fail(p, &err);
    else if (r < 0)
        (void)l2_cli_error(cli, &err);
    bool incomplete = p && l2_pipe_incomplete(p);
    if (p)
        (void)l2_pipe_close(p);
    if (begun && !cli->broken && s->finish && s->finish(s, incomplete, &err) < 0)
        (void)l2_cli_error(cli, &err);
    if (s)
        s->free(s);
    return cli->status;
}

static int run(struct l2_cli *cli)
{
    struct cat_choice choice = {.end = UINT64_MAX, .seed = opts.seed};
    const char *wrong = contradiction();
    int status;
    if (wrong)
        return l2_cli_usage(cli, "want %s", wrong);
    if (opts.range && !parse_range(opts.range, &choice.first, &choice.end))
        return l2_cli_usage(cli, "--range: want A:B with A <= B, got '%s'", opts.range);
    if (opts.split_given && (!cli->output || strcmp(cli->output, "-") == 0))
        return l2_cli_usage(cli, "--split wants -o, the beginning of the files' names");
    if (opts.head_given)
        choice.end = (uint64_t)opts.head;
    choice.sample = (uint64_t)opts.sample;
    if (opts.sample_given && opts.sample == 0)
        choice.end = 0;
    if (opts.check)
        status = cat_check(cli);
    else if (opts.recover)
        status = cat_recover(cli);
    else if (opts.from_json)
        status = cat_from_json(cli, opts.vocab, opts.skip_bad, &choice);
    else
        status = copy_all(cli, &choice);
    cat_choice_release(&choice);
    return status;
}

static const char *const usage[] = {
    "[OPTION]... [FILE]...",
    "--json|--stats|--scores FORM [OPTION]... [FILE]...",
    "--from-json [-z VOCAB] [OPTION]... [FILE]...",
    "--check|--recover [OPTION]... [FILE]...",
    "--split N -o PREFIX [OPTION]... [FILE]...",
    NULL,
};

int main(int argc, char **argv)
{
    static const struct l2_program program = {
        .name = "l2-cat",
        .usage = usage,
        .summary = "Join, show, check, slice, split and sample streams of records.",
        .options = options,
        .rows = L2_ROWS_FILTER | L2_ROWS_ID,
        .run = run,
    };
    return l2_cli_main(&program, argc, argv);
}
