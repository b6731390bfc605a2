/* l2-prefs: checks, filters, splits and measures preference pairs in JSONL. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clean/seen.h"
#include "common/cli.h"
#include "common/report.h"
#include "data/row.h"
#include "stream/json.h"
#include "text/encode.h"
#include "train/example.h"
#include "util/input.h"
#include "util/sha256.h"

enum { STATS_NONE, STATS_TEXT, STATS_JSON };
enum { PART_FIRST, PART_REST };

static const char *const margin_names[] = {"none", "small", "large", NULL};
static const char *const stats_names[] = {"none", "text", "json", NULL};
static const char *const part_names[] = {"first", "rest", NULL};

static struct {
    int margins, stats, part;
    bool skip_bad, unique, has_split, has_part;
    double split;
    uint64_t seed, memory;
    const char *vocab;
} opts = {.memory = (uint64_t)64 << 20};

static const struct l2_opt options[] = {
    {.name = "margins",
     .kind = L2_OPT_CHOICE,
     .arg = "TABLE",
     .choices = margin_names,
     .help = "give rated pairs without a margin one: none, or the Llama 2 paper's small (1, 2/3, "
             "1/3, 0) or large (3, 2, 1, 0)",
     .target = &opts.margins},
    {.name = "unique",
     .kind = L2_OPT_FLAG,
     .help = "leave out pairs that were met before, in either order",
     .target = &opts.unique},
    {.name = "split",
     .kind = L2_OPT_REAL,
     .arg = "SHARE",
     .help = "write one part only: this share of the prompts, chosen by a hash",
     .default_text = "",
     .target = &opts.split,
     .given = &opts.has_split,
     .min = 0,
     .max = 1},
    {.name = "part",
     .kind = L2_OPT_CHOICE,
     .arg = "PART",
     .choices = part_names,
     .help = "with --split: the first part, or the rest",
     .target = &opts.part,
     .given = &opts.has_part},
    {.name = "seed",
     .letter = 's',
     .kind = L2_OPT_SEED,
     .arg = "N",
     .help = "another seed, another split",
     .target = &opts.seed},
    {.name = "stats",
     .kind = L2_OPT_CHOICE,
     .arg = "FORM",
     .choices = stats_names,
     .help = "write the statistics of the pairs that are kept, as text or json, and no pairs",
     .target = &opts.stats},
    {.name = "vocab",
     .letter = 'z',
     .kind = L2_OPT_STRING,
     .arg = "FILE",
     .help = "count tokens of this vocabulary in the statistics",
     .target = &opts.vocab,
     .is_path = true},
    {.name = "memory",
     .kind = L2_OPT_BYTES,
     .arg = "SIZE",
     .help = "memory for the hashes of pairs",
     .target = &opts.memory},
    {.name = "skip-bad",
     .kind = L2_OPT_FLAG,
     .help = "leave out bad rows and count them, instead of stopping at the first",
     .target = &opts.skip_bad},
    L2_OPT_TABLE_END,
};

enum bin { BIN_CHOSEN_SAFE, BIN_BOTH_SAFE, BIN_BOTH_UNSAFE, N_BINS };

/* The three bins of the paper's safety data. */
static const char *const bin_names[N_BINS] = {"chosen_safe_other_unsafe", "both_safe",
                                              "both_unsafe"};

struct prefs {
    struct l2_cli *cli;
    int fd;
    const char *out_name;
    struct l2_vocab *vocab;     /* or NULL */
    struct l2_encoder *encoder; /* or NULL */
    struct l2_seen pairs, sides;
    struct l2_ids ids;
    struct l2_buf out;
    uint64_t bytes_done, bytes_total; /* of the operands; total 0: not known */
    uint64_t rows, bad, duplicates, contradictions, unsafe, other_part, kept;
    uint64_t ratings[L2_N_RATINGS + 1], bins[N_BINS];
    uint64_t turns, prompts, prompt_tokens, responses, response_tokens;
    double example_tokens; /* of dialogues with one of their two answers, in the mean */
};

/* What a row says beside its texts. */
struct facts {
    enum l2_rating rating;
    int safe[2]; /* 1, 0, or -1 where it is not said */
};

static int read_safe(const struct l2_row *row, int side, int *safe, struct l2_err *err)
{
    static const char *const names[2] = {"chosen_safe", "rejected_safe"};
    const json_t *labels = json_object_get(row->completions[side].notes, "labels");
    const json_t *v = json_object_get(labels, "safe");
    if (!v)
        v = json_object_get(row->meta, names[side]);
    *safe = -1;
    if (!v || json_is_null(v))
        return L2_OK;
    if (!json_is_boolean(v))
        return l2_err_set(err, L2_FORMAT, "want true or false as %s", names[side]);
    *safe = json_is_true(v);
    return L2_OK;
}

static int read_facts(const struct l2_row *row, struct facts *f, struct l2_err *err)
{
    const json_t *rating = json_object_get(row->meta, "rating");
    f->rating = L2_RATING_NONE;
    if (rating && !json_is_null(rating)) {
        if (!json_is_string(rating))
            return l2_err_set(err, L2_FORMAT, "want text as rating");
        if (!l2_rating_parse(json_string_value(rating), json_string_length(rating), &f->rating))
            return l2_err_set(err, L2_FORMAT,
                              "unknown rating '%.64s': want significantly better, better, slightly "
                              "better, negligibly better or unsure",
                              json_string_value(rating));
    }
    int r = read_safe(row, 0, &f->safe[0], err);
    return r == L2_OK ? read_safe(row, 1, &f->safe[1], err) : r;
}

static void hash_text(struct l2_sha256 *h, const char *s, size_t n)
{
    uint64_t len = n;
    uint8_t head[8];
    for (int i = 0; i < 8; i++)
        head[i] = (uint8_t)(len >> (8 * i));
    l2_sha256_update(h, head, sizeof head);
    l2_sha256_update(h, s, n);
}

/* A side's turns with their roles, or its text; lengths go in, so no two sides look alike. */
static void hash_side(struct l2_sha256 *h, const struct l2_side *side)
{
    size_t i;
    json_t *turn;
    if (!side->turns) {
        hash_text(h, side->s ? side->s : "", side->n);
        return;
    }
    json_array_foreach(side->turns, i, turn)
    {
        const json_t *role = json_object_get(turn, "role"),
                     *content = json_object_get(turn, "content");
        hash_text(h, json_string_value(role), json_string_length(role));
        hash_text(h, json_string_value(content), json_string_length(content));
    }
}

static void digest_side(const struct l2_side *side, uint8_t out[L2_SHA256_SIZE])
{
    struct l2_sha256 h;
    l2_sha256_init(&h);
    hash_side(&h, side);
    l2_sha256_final(&h, out);
}

static uint64_t digest_number(struct l2_sha256 *h)
{
    uint8_t d[L2_SHA256_SIZE];
    uint64_t x = 0;
    l2_sha256_final(h, d);
    for (int i = 0; i < 8; i++)
        x = x << 8 | d[i];
    return x;
}

static uint64_t join_digests(const uint8_t *prompt, const uint8_t *a, const uint8_t *b)
{
    struct l2_sha256 h;
    l2_sha256_init(&h);
    l2_sha256_update(&h, prompt, L2_SHA256_SIZE);
    l2_sha256_update(&h, a, L2_SHA256_SIZE);
    l2_sha256_update(&h, b, L2_SHA256_SIZE);
    return digest_number(&h);
}

/* True where the prompt's hash puts it into the part that is wanted. */
static bool in_part(const uint8_t *prompt)
{
    struct l2_sha256 h;
    uint8_t seed[8];
    if (!opts.has_split)
        return true;
    for (int i = 0; i < 8; i++)
        seed[i] = (uint8_t)(opts.seed >> (8 * i));
    l2_sha256_init(&h);
    l2_sha256_update(&h, seed, sizeof seed);
    l2_sha256_update(&h, prompt, L2_SHA256_SIZE);
    double at = (double)(digest_number(&h) >> 11) * 0x1p-53;
    return (at < opts.split) == (opts.part == PART_FIRST);
}

static int count_text(struct prefs *p, const char *s, size_t n, uint64_t *tokens,
                      struct l2_err *err)
{
    p->ids.n = 0;
    int r = p->encoder ? l2_encode(p->encoder, s, n, 0, &p->ids, err) : L2_OK;
    *tokens += p->ids.n;
    return r;
}

/* Adds the side's messages to the statistics: user turns are prompts, others responses. */
static int count_side(struct prefs *p, const struct l2_side *side, bool prompt, bool turns,
                      struct l2_err *err)
{
    size_t i;
    json_t *turn;
    int r = L2_OK;
    if (!side->turns) {
        *(prompt ? &p->prompts : &p->responses) += 1;
        p->turns += prompt && turns;
        return count_text(p, side->s ? side->s : "", side->n,
                          prompt ? &p->prompt_tokens : &p->response_tokens, err);
    }
    json_array_foreach(side->turns, i, turn)
    {
        const json_t *content = json_object_get(turn, "content");
        const char *role = json_string_value(json_object_get(turn, "role"));
        bool answer = role && strcmp(role, "assistant") == 0;
        bool user = role && strcmp(role, "user") == 0;
        *(answer ? &p->responses : &p->prompts) += answer || user;
        p->turns += user && turns;
        r = count_text(p, json_string_value(content), json_string_length(content),
                       answer ? &p->response_tokens : &p->prompt_tokens, err);
        if (r != L2_OK)
            return r;
    }
    return r;
}

static int put_row(struct prefs *p, const char *line, size_t n, const json_t *json,
                   const struct facts *f, struct l2_err *err)
{
    const float *table = opts.margins == 1 ? l2_margins_small : l2_margins_large;
    bool adds = opts.margins > 0 && f->rating != L2_RATING_NONE && !json_object_get(json, "margin");
    int r;
    p->out.len = 0;
    while (n > 0 && strchr(" \t\r", line[n - 1]))
        n--;
    r = l2_buf_append(&p->out, line, adds ? n - 1 : n, err);
    if (r == L2_OK && adds && (r = l2_buf_append_str(&p->out, ",\"margin\":", err)) == L2_OK &&
        (r = l2_json_put_f32(&p->out, table[f->rating], err)) == L2_OK)
        r = l2_buf_append_byte(&p->out, '}', err);
    if (r == L2_OK)
        r = l2_buf_append_byte(&p->out, '\n', err);
    return r == L2_OK ? l2_cli_write(p->fd, p->out_name, p->out.data, p->out.len, err) : r;
}

/* Counts a pair that is kept. */
static int count_pair(struct prefs *p, const struct l2_row *row, const struct facts *f,
                      struct l2_err *err)
{
    int r = L2_OK;
    p->kept++;
    p->ratings[f->rating]++;
    if (f->safe[0] >= 0 && f->safe[1] >= 0)
        p->bins[!f->safe[0] ? BIN_BOTH_UNSAFE : f->safe[1] ? BIN_BOTH_SAFE : BIN_CHOSEN_SAFE]++;
    if (opts.stats == STATS_NONE)
        return L2_OK;
    uint64_t before = p->prompt_tokens + p->response_tokens;
    r = count_side(p, &row->prompt, true, true, err);
    uint64_t prompt = p->prompt_tokens + p->response_tokens;
    for (size_t i = 0; i < 2 && r == L2_OK; i++)
        r = count_side(p, &row->completions[i], false, i == 0, err);
    uint64_t all = p->prompt_tokens + p->response_tokens;
    p->example_tokens += (double)(prompt - before) + (double)(all - prompt) / 2;
    return r;
}

static int take_pair(struct prefs *p, const char *line, size_t n, const json_t *json,
                     const struct l2_row *row, const char *name, int64_t number, struct l2_err *err)
{
    uint8_t prompt[L2_SHA256_SIZE], a[L2_SHA256_SIZE], b[L2_SHA256_SIZE];
    struct facts f;
    if (row->n_completions != 2)
        return l2_err_set(err, L2_FORMAT, "want two answers, got %zu", row->n_completions);
    digest_side(&row->prompt, prompt);
    digest_side(&row->completions[0], a);
    digest_side(&row->completions[1], b);
    int order = memcmp(a, b, sizeof a);
    if (order == 0)
        return l2_err_set(err, L2_FORMAT, "chosen and rejected are equal");
    int r = read_facts(row, &f, err);
    if (r != L2_OK)
        return r;
    bool met = l2_seen_add(&p->sides, join_digests(prompt, order < 0 ? a : b, order < 0 ? b : a));
    bool same = l2_seen_add(&p->pairs, join_digests(prompt, a, b));
    p->duplicates += same;
    p->contradictions += met && !same;
    if (met && !same)
        l2_cli_verbose(p->cli, "%s:%lld: an earlier row chose the other answer", name,
                       (long long)number);
    if (f.safe[0] == 0 && f.safe[1] == 1) {
        p->unsafe++;
        return L2_OK;
    }
    if (met && opts.unique)
        return L2_OK;
    if (!in_part(prompt)) {
        p->other_part++;
        return L2_OK;
    }
    r = count_pair(p, row, &f, err);
    return r == L2_OK && opts.stats == STATS_NONE ? put_row(p, line, n, json, &f, err) : r;
}

static int take_line(struct prefs *p, const char *line, size_t n, const char *name, int64_t number,
                     struct l2_err *err)
{
    struct l2_row row = {.n_completions = 0};
    json_t *json;
    int r = l2_json_parse(line, n, name, number, &json, err);
    if (r != L2_OK)
        return r;
    r = l2_row_parse(&row, json, true, err);
    if (r == L2_OK)
        r = take_pair(p, line, n, json, &row, name, number, err);
    l2_row_release(&row);
    json_decref(json);
    return r;
}

static void show_progress(const struct prefs *p, const struct l2_input *in)
{
    double done = (double)(p->bytes_done + (uint64_t)in->offset);
    l2_cli_progress_share(p->cli, p->bytes_total > 0 ? done / (double)p->bytes_total : -1, p->rows,
                          "rows");
}

static int read_operand(struct prefs *p, const char *path, struct l2_err *err)
{
    struct l2_input in;
    const char *name, *line;
    size_t n;
    bool terminated;
    int fd, r = l2_cli_open_input(p->cli, path, &fd, &name, err);
    if (r != L2_OK)
        return r;
    l2_input_init(&in, fd, name);
    for (int64_t number = 1;
         (r = l2_input_line(&in, true, L2_MAX_RECORD, &line, &n, &terminated, err)) == L2_OK;
         number++) {
        if (l2_line_is_blank(line, n))
            continue;
        p->rows++;
        r = take_line(p, line, n, name, number, err);
        if (r != L2_OK)
            r = l2_cli_bad_data(p->cli, opts.skip_bad, &p->bad, r, name, number, err);
        if (r != L2_OK)
            break;
        show_progress(p, &in);
    }
    p->bytes_done += (uint64_t)in.offset;
    l2_input_release(&in);
    l2_cli_close_input(fd);
    return r == L2_END ? L2_OK : r;
}

static double mean(uint64_t sum, uint64_t n)
{
    return n > 0 ? (double)sum / (double)n : 0;
}

static int set(json_t *o, const char *name, json_t *value, struct l2_err *err)
{
    return json_object_set_new(o, name, value) == 0 ? L2_OK : l2_err_memory(err, 64);
}

/* Columns of the paper's table 6; a prompt and a response are one turn's. */
static int make_table(const struct prefs *p, json_t *o, struct l2_err *err)
{
    int r = set(o, "comparisons", json_integer((json_int_t)p->kept), err);
    if (r == L2_OK)
        r = set(o, "turns_per_dialogue", json_real(mean(p->turns, p->kept)), err);
    if (r == L2_OK && p->encoder)
        r = set(o, "tokens_per_example",
                json_real(p->kept > 0 ? p->example_tokens / (double)p->kept : 0), err);
    if (r == L2_OK && p->encoder)
        r = set(o, "tokens_per_prompt", json_real(mean(p->prompt_tokens, p->prompts)), err);
    if (r == L2_OK && p->encoder)
        r = set(o, "tokens_per_response", json_real(mean(p->response_tokens, p->responses)), err);
    return r;
}

static int write_stats(struct prefs *p, struct l2_err *err)
{
    json_t *o = json_object(), *value;
    const char *key;
    char *text = NULL;
    int r = o ? make_table(p, o, err) : l2_err_memory(err, 64);
    p->out.len = 0;
    if (r == L2_OK && opts.stats == STATS_JSON) {
        text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9));
        r = text ? l2_buf_printf(&p->out, err, "%s\n", text) : l2_err_memory(err, 64);
    } else if (r == L2_OK) {
        json_object_foreach(o, key, value)
        {
            if (r == L2_OK)
                r = l2_buf_printf(&p->out, err, "%-20s %.*f\n", key, json_is_integer(value) ? 0 : 1,
                                  json_number_value(value));
        }
    }
    if (r == L2_OK)
        r = l2_cli_write(p->fd, p->out_name, p->out.data, p->out.len, err);
    free(text);
    json_decref(o);
    return r;
}

static void report(const struct prefs *p)
{
    json_t *o = p->cli->report, *ratings = json_object(), *bins = json_object();
    l2_report_count(o, "rows", p->rows);
    l2_report_count(o, "kept", p->kept);
    l2_report_count(o, "skipped", p->bad);
    l2_report_count(o, "duplicates", p->duplicates);
    l2_report_count(o, "contradictions", p->contradictions);
    l2_report_count(o, "unsafe_chosen", p->unsafe);
    if (opts.has_split)
        l2_report_count(o, "other_part", p->other_part);
    for (int i = 0; i < L2_N_RATINGS; i++)
        l2_report_count(ratings, l2_rating_names[i], p->ratings[i]);
    l2_report_count(ratings, "none", p->ratings[L2_RATING_NONE]);
    for (int i = 0; i < N_BINS; i++)
        l2_report_count(bins, bin_names[i], p->bins[i]);
    json_object_set_new(o, "ratings", ratings);
    json_object_set_new(o, "safety", bins);
    if (p->pairs.missed > 0)
        l2_cli_note(p->cli, "%llu pairs found no room in --memory: their repetitions go unnoticed",
                    (unsigned long long)p->pairs.missed);
}

static int open_all(struct prefs *p, struct l2_err *err)
{
    int r = l2_seen_init(&p->pairs, opts.memory / 2, err);
    if (r == L2_OK)
        r = l2_seen_init(&p->sides, opts.memory / 2, err);
    if (r == L2_OK && opts.vocab)
        r = l2_vocab_open(&p->vocab, opts.vocab, err);
    if (r == L2_OK && opts.vocab)
        r = l2_encoder_new(&p->encoder, p->vocab, err);
    if (r == L2_OK && p->cli->operands.n == 0)
        r = l2_cli_refuse_terminal(STDIN_FILENO, err);
    return r == L2_OK ? l2_cli_open_output(p->cli, false, &p->fd, &p->out_name, err) : r;
}

static int run(struct l2_cli *cli)
{
    struct prefs p = {.cli = cli, .fd = -1};
    struct l2_err err;
    if (opts.has_part && !opts.has_split)
        return l2_cli_usage(cli, "--part wants --split");
    if (opts.vocab && opts.stats == STATS_NONE)
        return l2_cli_usage(cli, "--vocab wants --stats");
    p.bytes_total = cli->progress ? l2_cli_operand_bytes(cli) : 0;
    int r = open_all(&p, &err);
    if (r == L2_OK && cli->operands.n == 0)
        r = read_operand(&p, "-", &err);
    for (size_t i = 0; i < cli->operands.n && r == L2_OK; i++)
        r = read_operand(&p, cli->operands.v[i], &err);
    l2_cli_progress_done(cli);
    if (r == L2_OK && opts.stats != STATS_NONE)
        r = write_stats(&p, &err);
    if (r != L2_OK)
        (void)l2_cli_error(cli, &err);
    if (p.fd >= 0 && l2_cli_close_output(cli, p.fd, p.out_name, &err) != L2_OK)
        (void)l2_cli_error(cli, &err);
    report(&p);
    l2_seen_release(&p.pairs);
    l2_seen_release(&p.sides);
    l2_ids_release(&p.ids);
    l2_buf_release(&p.out);
    l2_encoder_free(p.encoder);
    l2_vocab_free(p.vocab);
    return cli->status;
}

int main(int argc, char **argv)
{
    static const char *const usage[] = {"[OPTION]... [FILE]...", NULL};
    static const struct l2_program program = {
        .name = "l2-prefs",
        .usage = usage,
        .summary = "Check, filter, split and measure preference pairs in JSONL.",
        .options = options,
        .rows = L2_ROWS_OUTPUT,
        .run = run,
    };
    return l2_cli_main(&program, argc, argv);
}
