/* l2-clean: normalises, filters and deduplicates text, and says what it dropped. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clean.h"
#include "clean/scrub.h"
#include "data/rowtext.h"
#include "stream/json.h"
#include "util/map.h"
#include "util/num.h"
#include "util/philox.h"
#include "util/str.h"
#include "util/utf8.h"

static const char *const form_names[] = {
    [CLEAN_STREAM] = "stream",         [CLEAN_TEXT] = "same",   [CLEAN_LINES] = "lines",
    [CLEAN_PARAGRAPHS] = "paragraphs", [CLEAN_JSONL] = "jsonl", NULL};

static struct {
    struct l2_strings rules, evaluation, reports, weights;
    const char *rules_dir, *vocab, *dropped;
    bool text, lines, paragraphs, jsonl, interleave;
    int to; /* enum clean_form; CLEAN_TEXT: as the input is */
    uint64_t memory, seed;
    int64_t examples;
} opts = {.rules_dir = L2_RULESDIR, .to = CLEAN_TEXT, .memory = (uint64_t)1 << 30, .examples = 3};

static const struct l2_opt options[] = {
    L2_OPT_TITLE("What to do"),
    {.name = "rules",
     .kind = L2_OPT_LIST,
     .arg = "NAME|FILE",
     .help = "rules in YAML: a file, or one of default, pii and terms; may be repeated",
     .target = &opts.rules},
    {.name = "rules-dir",
     .kind = L2_OPT_STRING,
     .arg = "DIR",
     .help = "where rules are looked up by name",
     .target = &opts.rules_dir,
     .is_path = true},
    {.name = "evaluation",
     .kind = L2_OPT_LIST,
     .arg = "FILE",
     .help = "drop documents that hold samples of this evaluation set: JSONL, of which all texts "
             "of a row count, or lines; may be repeated",
     .target = &opts.evaluation,
     .is_path = true},
    {.name = "vocab",
     .letter = 'z',
     .kind = L2_OPT_STRING,
     .arg = "FILE",
     .help = "compare with evaluation sets by the tokens of this vocabulary, instead of by words",
     .target = &opts.vocab,
     .is_path = true},
    L2_OPT_TITLE("Form of the input (files that end in .jsonl are JSONL; else it is a stream)"),
    {.name = "text",
     .kind = L2_OPT_FLAG,
     .help = "each file is one document",
     .target = &opts.text},
    {.name = "lines",
     .kind = L2_OPT_FLAG,
     .help = "each line is a document",
     .target = &opts.lines},
    {.name = "paragraphs",
     .kind = L2_OPT_FLAG,
     .help = "documents are parted by empty lines",
     .target = &opts.paragraphs},
    {.name = "jsonl",
     .kind = L2_OPT_FLAG,
     .help = "each line is a JSON object with a text",
     .target = &opts.jsonl},
    L2_OPT_TITLE("Output"),
    {.name = "to",
     .kind = L2_OPT_CHOICE,
     .arg = "FORM",
     .help = "stream, lines, paragraphs or jsonl; same: as the first input, jsonl for whole files",
     .target = &opts.to,
     .choices = form_names},
    {.name = "report",
     .kind = L2_OPT_LIST,
     .arg = "FILE",
     .help = "write what every rule did, with examples: as JSON where the name ends in .json, else "
             "as a table; may be repeated",
     .target = &opts.reports,
     .is_path = true,
     .no_effect = true},
    {.name = "examples",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "examples of what a rule dropped in the report",
     .target = &opts.examples,
     .min = 0,
     .max = 20,
     .no_effect = true},
    {.name = "dropped",
     .kind = L2_OPT_STRING,
     .arg = "FILE",
     .help = "write the documents that are dropped there as JSONL, with the rule",
     .target = &opts.dropped,
     .is_path = true,
     .no_effect = true},
    L2_OPT_TITLE("Mixing"),
    {.name = "weight",
     .kind = L2_OPT_LIST,
     .arg = "X",
     .help = "how often the documents of a file are written: 2.5 is twice, and half of them once "
             "more; one for each file, in order",
     .target = &opts.weights},
    {.name = "interleave",
     .kind = L2_OPT_FLAG,
     .help = "read the files in turn, so that all end together",
     .target = &opts.interleave},
    {.name = "seed",
     .letter = 's',
     .kind = L2_OPT_SEED,
     .arg = "N",
     .help = "of the choice by weight, and of signatures",
     .target = &opts.seed},
    L2_OPT_TITLE("Resources"),
    {.name = "memory",
     .kind = L2_OPT_BYTES,
     .arg = "SIZE",
     .help = "of all tables of duplicates together",
     .target = &opts.memory},
    L2_OPT_TABLE_END,
};

/* ---- set-up ---- */

/* A name without a slash or a dot is looked up among the installed rules. */
static int read_rules(struct l2_rules *rules, const char *name, struct l2_err *err)
{
    char path[4096];
    struct l2_map map;
    bool installed = !strchr(name, '/') && !strchr(name, '.');
    int n = installed ? snprintf(path, sizeof path, "%s/%s.yaml", opts.rules_dir, name)
                      : snprintf(path, sizeof path, "%s", name);
    if (n < 0 || (size_t)n >= sizeof path)
        return l2_err_set(err, L2_ARGUMENT, "--rules: name too long");
    int r = l2_map_open(&map, path, err);
    if (r != L2_OK)
        return r;
    r = l2_rules_parse(rules, (const char *)map.data, map.size, path, err);
    l2_map_release(&map);
    return r;
}

static int read_weights(struct cleaning *c, struct l2_err *err)
{
    double *weights = calloc(c->n_sources, sizeof *weights);
    if (!weights)
        return l2_err_memory(err, c->n_sources * sizeof *weights);
    int r = l2_cli_weights(&opts.weights, weights, c->n_sources, err);
    for (size_t i = 0; i < c->n_sources; i++)
        c->sources[i].weight = weights[i];
    free(weights);
    return r;
}

static enum clean_form form_of(const char *path)
{
    if (opts.text)
        return CLEAN_TEXT;
    if (opts.lines)
        return CLEAN_LINES;
    if (opts.paragraphs)
        return CLEAN_PARAGRAPHS;
    return opts.jsonl || l2_ends_in(path, ".jsonl") ? CLEAN_JSONL : CLEAN_STREAM;
}

static int open_sources(struct cleaning *c, struct l2_err *err)
{
    struct l2_cli *cli = c->cli;
    c->n_sources = cli->operands.n > 0 ? cli->operands.n : 1;
    c->sources = calloc(c->n_sources, sizeof *c->sources);
    if (!c->sources)
        return l2_err_memory(err, c->n_sources * sizeof *c->sources);
    for (size_t i = 0; i < c->n_sources; i++) {
        c->sources[i].path = cli->operands.n > 0 ? cli->operands.v[i] : "-";
        c->sources[i].form = form_of(c->sources[i].path);
        c->sources[i].fd = -1;
    }
    c->to = opts.to == CLEAN_TEXT ? c->sources[0].form : (enum clean_form)opts.to;
    if (c->to == CLEAN_TEXT)
        c->to = CLEAN_JSONL;
    return read_weights(c, err);
}

/* ---- evaluation sets ---- */

static int add_sample(struct cleaning *c, const char *line, size_t n, const char *name,
                      int64_t number, bool jsonl, struct l2_err *err)
{
    static const unsigned depth = 8;
    struct l2_buf text = {0};
    uint64_t *tokens = NULL;
    size_t cap = 0, n_tokens;
    json_t *row = NULL;
    int r = L2_OK;
    if (jsonl)
        r = l2_json_parse(line, n, name, number, &row, err);
    if (r == L2_OK)
        r = jsonl ? l2_row_text(row, depth, &text, err) : l2_buf_append(&text, line, n, err);
    if (r == L2_OK)
        r = l2_contam_tokens(c->encoder, (char *)text.data, text.len, &tokens, &cap, &n_tokens,
                             err);
    if (r == L2_OK)
        r = l2_contam_add_sample(c->contam, tokens, n_tokens, err);
    json_decref(row);
    l2_buf_release(&text);
    free(tokens);
    return r;
}

static int add_evaluation(struct cleaning *c, const char *path, struct l2_err *err)
{
    struct l2_input in;
    const char *name, *line;
    size_t n;
    bool terminated;
    int fd, r = l2_cli_open_input(c->cli, path, &fd, &name, err);
    if (r != L2_OK)
        return r;
    l2_input_init(&in, fd, name);
    r = l2_contam_add_set(c->contam, path, err);
    for (int64_t number = 1; r == L2_OK; number++) {
        r = l2_input_line(&in, true, L2_MAX_RECORD, &line, &n, &terminated, err);
        if (r == L2_OK && n > 0)
            r = add_sample(c, line, n, name, number, l2_ends_in(path, ".jsonl"), err);
    }
    l2_input_release(&in);
    l2_cli_close_input(fd);
    return r == L2_END ? L2_OK : l2_err_in_file(err, name);
}

static int open_evaluation(struct cleaning *c, struct l2_err *err)
{
    struct l2_contam_settings s = {.span = c->rules.span, .skip = c->rules.skip};
    int r = L2_OK;
    if (opts.vocab) {
        r = l2_vocab_open(&c->vocab, opts.vocab, err);
        if (r == L2_OK)
            r = l2_encoder_new(&c->encoder, c->vocab, err);
    }
    if (r == L2_OK)
        r = l2_contam_new(&c->contam, &s, err);
    for (size_t i = 0; i < opts.evaluation.n && r == L2_OK; i++)
        r = add_evaluation(c, opts.evaluation.v[i], err);
    return r == L2_OK ? l2_contam_index(c->contam, err) : r;
}

static int open_cleaner(struct cleaning *c, struct l2_err *err)
{
    struct l2_buf text = {0};
    int r = L2_OK;
    for (size_t i = 0; i < opts.rules.n && r == L2_OK; i++)
        r = read_rules(&c->rules, opts.rules.v[i], err);
    if (r == L2_OK && opts.evaluation.n > 0)
        r = open_evaluation(c, err);
    struct l2_cleaner_settings s = {.rules = &c->rules,
                                    .memory = opts.memory,
                                    .seed = opts.seed,
                                    .examples = (uint32_t)opts.examples,
                                    .contam = c->contam,
                                    .encoder = c->encoder};
    if (r == L2_OK)
        r = l2_cleaner_new(&c->cleaner, &s, err);
    if (r == L2_OK)
        r = l2_cleaner_describe(c->cleaner, &text, err);
    if (r == L2_OK && text.len > 0)
        l2_cli_note(c->cli, "memory: %.*s", (int)text.len, (char *)text.data);
    l2_buf_release(&text);
    return r;
}

/* ---- the work ---- */

/* The weight's whole part, and one more for the share of documents that is left. */
static uint32_t copies_of(const struct clean_source *s, const struct clean_doc *doc)
{
    double whole = floor(s->weight), rest = s->weight - whole;
    uint8_t hash[32];
    if (rest <= 0)
        return (uint32_t)whole;
    l2_id_hash(&doc->id, hash);
    struct l2_philox_key key = l2_philox_key_for(opts.seed, hash);
    return (uint32_t)whole + (l2_philox_uniform(key, 0, 0) < rest);
}

struct dropped {
    int fd;
    const char *name;
    struct l2_buf out;
};

static int put_dropped(struct dropped *d, const struct clean_doc *doc,
                       const struct l2_cleaned *text, struct l2_err *err)
{
    int r = l2_buf_append_str(&d->out, "{\"id\":", err);
    if (d->fd < 0 || !l2_utf8_valid(text->text, text->n, NULL)) {
        d->out.len = 0;
        return r;
    }
    if (r == L2_OK)
        r = l2_json_put_id(&d->out, &doc->id, err);
    if (r == L2_OK)
        r = l2_buf_append_str(&d->out, ",\"rule\":", err);
    if (r == L2_OK)
        r = l2_json_put_str(&d->out, text->why, strlen(text->why), err);
    if (r == L2_OK)
        r = l2_buf_append_str(&d->out, ",\"text\":", err);
    if (r == L2_OK)
        r = l2_json_put_str(&d->out, text->text, text->n, err);
    if (r == L2_OK)
        r = l2_buf_append_str(&d->out, "}\n", err);
    if (r == L2_OK)
        r = l2_cli_write(d->fd, d->name, d->out.data, d->out.len, err);
    d->out.len = 0;
    return r;
}

static int clean_one(struct cleaning *c, struct clean_source *s, struct clean_doc *doc,
                     struct dropped *dropped, struct l2_err *err)
{
    struct l2_cleaned text;
    int r = l2_cleaner_clean(c->cleaner, doc->place, doc->text, doc->n, &text, err);
    if (r != L2_OK)
        return r;
    s->n_read++;
    if (text.gave_up) {
        l2_cli_note(c->cli,
                    "%s: rule '%s' (line %lld of its file): its pattern met its match limits; the "
                    "text stays as it is",
                    doc->place, text.gave_up, (long long)text.gave_up_line);
        c->cli->status = 1;
    }
    if (!text.keep)
        return put_dropped(dropped, doc, &text, err);
    s->n_kept++;
    return clean_output_put(c, s, doc, &text, copies_of(s, doc), err);
}

static void show_progress(const struct cleaning *c)
{
    double done = 0;
    if (!c->cli->progress)
        return;
    for (size_t i = 0; i < c->n_sources; i++) {
        double share = clean_source_share(&c->sources[i]);
        done = share < 0 || done < 0 ? -1 : done + (share > 1 ? 1 : share);
    }
    l2_cli_progress_share(c->cli, done / (double)c->n_sources, c->counter, "documents");
}

/* An input that cannot be read, or not to its end; a stream that is written says so in its END. */
static void pass_over(struct cleaning *c, const struct l2_err *err)
{
    if (c->pipe)
        l2_pipe_fail(c->pipe, err);
    else
        (void)l2_cli_error(c->cli, err);
}

/* With --partial an input that cannot be read to its end is reported and passed over. */
static int clean_all(struct cleaning *c, struct dropped *dropped, struct l2_err *err)
{
    struct clean_doc doc;
    size_t i;
    while ((i = clean_pick(c, opts.interleave, clean_source_share)) < c->n_sources) {
        struct clean_source *s = &c->sources[i];
        int r = clean_source_next(c, s, &doc, err);
        if (r == L2_OK)
            r = clean_one(c, s, &doc, dropped, err);
        else if (r < 0 && c->cli->partial)
            pass_over(c, err);
        if (r < 0 && !(c->cli->partial && s->at_end))
            return r;
        show_progress(c);
    }
    return clean_output_copies(c, opts.interleave, err);
}

/* ---- the report ---- */

static json_t *sources_report(const struct cleaning *c)
{
    json_t *list = json_array();
    for (size_t i = 0; i < c->n_sources; i++) {
        const struct clean_source *s = &c->sources[i];
        (void)json_array_append_new(
            list,
            json_pack("{s:s,s:f,s:I,s:I,s:I,s:I}", "source", s->name, "weight", s->weight, "read",
                      (json_int_t)s->n_read, "kept", (json_int_t)s->n_kept, "written",
                      (json_int_t)s->n_written, "bytes_written", (json_int_t)s->bytes_written));
    }
    return list;
}

static int write_report(struct l2_cli *cli, const char *path, const json_t *report,
                        struct l2_err *err)
{
    struct l2_buf out = {0};
    int fd = -1, r = L2_OK;
    if (l2_ends_in(path, ".json")) {
        char *text = json_dumps(report, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
        r = text ? l2_buf_append_str(&out, text, err) : l2_err_memory(err, 1);
        if (r == L2_OK)
            r = l2_buf_append_byte(&out, '\n', err);
        free(text);
    } else {
        r = l2_clean_table(report, &out, err);
    }
    if (r == L2_OK)
        r = l2_cli_create(cli, path, false, &fd, err);
    if (r == L2_OK) {
        r = l2_cli_write(fd, path, out.data, out.len, err);
        struct l2_err close_err;
        int closed = l2_cli_close_output(cli, fd, path, r == L2_OK ? err : &close_err);
        r = r == L2_OK ? closed : r;
    }
    l2_buf_release(&out);
    return r;
}

static void report(struct cleaning *c)
{
    struct l2_err err;
    json_t *all = l2_cleaner_report(c->cleaner);
    if (!all || json_object_set_new(all, "sources", sources_report(c)) != 0) {
        (void)l2_err_memory(&err, 1);
        (void)l2_cli_error(c->cli, &err);
        json_decref(all);
        return;
    }
    json_object_update(c->cli->report, json_object_get(all, "documents"));
    if (l2_cleaner_n_gave_up(c->cleaner) > 0)
        json_object_set_new(c->cli->report, "gave_up",
                            json_integer((json_int_t)l2_cleaner_n_gave_up(c->cleaner)));
    for (size_t i = 0; i < opts.reports.n; i++)
        if (write_report(c->cli, opts.reports.v[i], all, &err) != L2_OK)
            (void)l2_cli_error(c->cli, &err);
    json_decref(all);
    if (l2_cleaner_was_full(c->cleaner))
        l2_cli_note(c->cli, "a table was full: duplicates of what came later were not found; the "
                            "report says of how many (--memory gives more)");
}

static void close_cleaning(struct cleaning *c)
{
    for (size_t i = 0; c->sources && i < c->n_sources; i++)
        clean_source_close(&c->sources[i]);
    free(c->sources);
    l2_cleaner_free(c->cleaner);
    l2_contam_free(c->contam);
    l2_encoder_free(c->encoder);
    l2_vocab_free(c->vocab);
    l2_rules_release(&c->rules);
    l2_record_release(&c->rec);
    l2_buf_release(&c->out);
    l2_buf_release(&c->id);
}

static int open_all(struct cleaning *c, struct dropped *dropped, struct l2_err *err)
{
    int r = open_sources(c, err);
    if (r == L2_OK)
        r = open_cleaner(c, err);
    for (size_t i = 0; r == L2_OK && i < c->n_sources; i++) {
        r = clean_source_open(c, &c->sources[i], err);
        if (r < 0 && c->cli->partial && c->sources[i].fd < 0) {
            c->sources[i].open_error = *err;
            c->sources[i].at_end = true;
            c->sources[i].name = c->sources[i].path;
            r = L2_OK;
        }
    }
    if (r == L2_OK && opts.dropped) {
        r = l2_cli_create(c->cli, opts.dropped, false, &dropped->fd, err);
        dropped->name = opts.dropped;
    }
    if (r == L2_OK)
        r = clean_output_open(c, err);
    for (size_t i = 0; r == L2_OK && i < c->n_sources; i++)
        if (c->sources[i].open_error.code != L2_OK)
            pass_over(c, &c->sources[i].open_error);
    return r;
}

static int run(struct l2_cli *cli)
{
    struct cleaning c = {.cli = cli, .fd = -1};
    struct dropped dropped = {.fd = -1};
    struct l2_err err, close_err;
    if (opts.text + opts.lines + opts.paragraphs + opts.jsonl > 1)
        return l2_cli_usage(cli, "want one of --text, --lines, --paragraphs and --jsonl");
    if (opts.vocab && opts.evaluation.n == 0)
        return l2_cli_usage(cli, "--vocab wants --evaluation");
    if (cli->operands.n == 0 && l2_cli_refuse_terminal(STDIN_FILENO, &err) != L2_OK)
        return l2_cli_error(cli, &err);
    c.max_text = cli->max_record ? (size_t)cli->max_record : L2_MAX_RECORD;
    l2_rules_init(&c.rules);
    l2_record_init(&c.rec);
    int r = open_all(&c, &dropped, &err);
    bool opened = r == L2_OK;
    if (opened)
        r = clean_all(&c, &dropped, &err);
    l2_cli_progress_done(cli);
    if (opened)
        clean_output_close(&c, r < 0 ? &err : NULL);
    else
        (void)l2_cli_error(cli, &err);
    if (dropped.fd >= 0 &&
        l2_cli_close_output(cli, dropped.fd, dropped.name, &close_err) != L2_OK && r == L2_OK)
        (void)l2_cli_error(cli, &close_err);
    if (opened && !cli->broken)
        report(&c);
    l2_buf_release(&dropped.out);
    close_cleaning(&c);
    return cli->status;
}

static const char *const usage[] = {"[OPTION]... [FILE]...", NULL};

int main(int argc, char **argv)
{
    static const struct l2_program program = {
        .name = "l2-clean",
        .usage = usage,
        .summary = "Normalise, filter and deduplicate text by rules, and say what was dropped.",
        .options = options,
        .rows = L2_ROWS_FILTER | L2_ROWS_PARTIAL | L2_ROWS_ID,
        .run = run,
    };
    return l2_cli_main(&program, argc, argv);
}
