/* l2-tokenize: text, lines or JSONL to records of token ids, and back. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>
#include <unistd.h>

#include "common/chat.h"
#include "common/pipe.h"
#include "data/benchrow.h"
#include "data/shape.h"
#include "stream/json.h"
#include "util/input.h"
#include "util/str.h"
#include "util/utf8.h"

static struct {
    bool text, lines, jsonl;
    bool decode;
    const char *vocab;
    const char *template_name;
    const char *system;
    bool no_bos, no_eos;
    bool skip_bad;
    const char *rewardbench;
} opts = {.template_name = "none"};

static const struct l2_opt options[] = {
    L2_OPT_TITLE("Vocabulary and direction"),
    {.name = "vocab",
     .letter = 'z',
     .no_effect = true,
     .kind = L2_OPT_STRING,
     .arg = "FILE",
     .help =
         "vocabulary: a tokenizer.json, a SentencePiece tokenizer.model, a llama2.c tokenizer.bin, "
         "the one inside a GGUF file, or a directory that holds one of the first three",
     .target = &opts.vocab,
     .is_path = true},
    {.name = "decode",
     .letter = 'd',
     .kind = L2_OPT_FLAG,
     .help = "turn streams of records into JSONL, or with --text or --lines into bare text",
     .target = &opts.decode},
    {.name = "rewardbench",
     .kind = L2_OPT_STRING,
     .arg = "SCORE",
     .help = "with --decode: write pairs as RewardBench's output rows, with this score",
     .target = &opts.rewardbench},
    L2_OPT_TITLE("Form of the input (files that end in .jsonl are JSONL)"),
    {.name = "text", .kind = L2_OPT_FLAG, .help = "each file is one text", .target = &opts.text},
    {.name = "lines", .kind = L2_OPT_FLAG, .help = "each line is a text", .target = &opts.lines},
    {.name = "jsonl",
     .kind = L2_OPT_FLAG,
     .help = "each line is a JSON object: text; prompt; prompt and completion; messages; "
             "conversations; chosen and rejected, with or without prompt; prompt and completions",
     .target = &opts.jsonl},
    L2_OPT_TITLE("Records"),
    {.name = "template",
     .kind = L2_OPT_STRING,
     .arg = "NAME",
     .help = "chat template for dialogues: chatml, llama2, llama3, mistral, zephyr; auto for the "
             "one that the vocabulary's model says; or none",
     .target = &opts.template_name},
    {.name = "system",
     .kind = L2_OPT_STRING,
     .arg = "TEXT",
     .help = "system prompt for dialogues that have none",
     .target = &opts.system},
    {.name = "no-bos",
     .kind = L2_OPT_FLAG,
     .help = "leave out the BOS before each prompt",
     .target = &opts.no_bos},
    {.name = "no-eos",
     .kind = L2_OPT_FLAG,
     .help = "leave out the EOS after each completion",
     .target = &opts.no_eos},
    {.name = "skip-bad",
     .kind = L2_OPT_FLAG,
     .help = "leave out bad lines and count them, instead of stopping at the first",
     .target = &opts.skip_bad},
    L2_OPT_TABLE_END,
};

/* ---- to records ---- */

enum form { FORM_TEXT, FORM_LINES, FORM_JSONL };

struct encoding {
    struct l2_cli *cli;
    struct l2_vocab *vocab;
    struct l2_encoder *encoder;
    struct l2_shaper *shaper;
    struct l2_pipe *pipe;
    struct l2_record rec;
    struct l2_buf id; /* of the next record, where it is text */
    uint64_t counter; /* texts and lines met so far, in all inputs */
    uint64_t n_bad;
    size_t max_text;
    uint64_t bytes_done, bytes_total; /* of all inputs; total 0: not known */
};

/* The form of one operand. False: it has to be said. */
static bool form_of(const char *path, enum form *out)
{
    if (!opts.text && !opts.lines && !opts.jsonl && !l2_ends_in(path, ".jsonl"))
        return false;
    *out = opts.text ? FORM_TEXT : opts.lines ? FORM_LINES : FORM_JSONL;
    return true;
}

/* The id of what is read next where it has none of its own. */
static int next_id(struct encoding *e, struct l2_id *id, struct l2_err *err)
{
    uint64_t n = e->counter++;
    *id = (struct l2_id){.number = (int64_t)n};
    if (!e->cli->id_prefix)
        return L2_OK;
    e->id.len = 0;
    int r = l2_buf_printf(&e->id, err, "%s%llu", e->cli->id_prefix, (unsigned long long)n);
    if (r == L2_OK)
        r = l2_buf_append_byte(&e->id, '\0', err);
    *id = (struct l2_id){.is_text = true, .text = {(char *)e->id.data, e->id.len - 1}};
    return r;
}

/* Whether the record of this id is to be made; with json, its own id counts. */
static bool is_wanted(struct encoding *e, const struct l2_id *id, const json_t *row)
{
    const json_t *own = json_object_get(row, "id");
    l2_record_reset(&e->rec);
    e->rec.id = *id;
    if (json_is_string(own))
        e->rec.id = (struct l2_id){.is_text = true,
                                   .text = {json_string_value(own), json_string_length(own)}};
    else if (json_is_integer(own))
        e->rec.id = (struct l2_id){.number = json_integer_value(own)};
    return l2_pipe_wants(e->pipe, &e->rec);
}

/* Makes the text a record and puts it out. */
static int shape_text(struct encoding *e, const char *text, size_t n, const char *shape,
                      const struct l2_id *id, struct l2_err *err)
{
    size_t at;
    if (!is_wanted(e, id, NULL))
        return L2_OK;
    if (!l2_utf8_valid(text, n, &at))
        return l2_err_set(err, L2_FORMAT, "not UTF-8 at byte %zu of %zu", at + 1, n);
    int r = l2_shape_from_text(e->shaper, text, n, shape, id, &e->rec, err);
    return r == L2_OK ? l2_pipe_put(e->pipe, &e->rec, err) : r;
}

static int shape_json(struct encoding *e, const char *text, size_t n, const char *name,
                      int64_t line, const struct l2_id *id, struct l2_err *err)
{
    json_t *row;
    int r = l2_json_parse(text, n, name, line, &row, err);
    if (r != L2_OK)
        return r;
    if (is_wanted(e, id, row)) {
        r = l2_shape_from_json(e->shaper, row, id, &e->rec, err);
        if (r == L2_OK)
            r = l2_pipe_put(e->pipe, &e->rec, err);
    }
    json_decref(row);
    return r;
}

static void show_progress(struct encoding *e, const struct l2_input *in)
{
    if (e->cli->progress)
        l2_cli_progress_share(e->cli,
                              e->bytes_total > 0 ? (double)(e->bytes_done + (uint64_t)in->offset) /
                                                       (double)e->bytes_total
                                                 : -1,
                              e->counter, "records");
}

static int encode_lines(struct encoding *e, struct l2_input *in, enum form form, struct l2_err *err)
{
    const char *line;
    size_t n;
    bool terminated;
    int r;
    for (int64_t number = 1;
         (r = l2_input_line(in, true, e->max_text, &line, &n, &terminated, err)) == L2_OK;
         number++) {
        struct l2_id id;
        if (form == FORM_JSONL && l2_line_is_blank(line, n))
            continue;
        r = next_id(e, &id, err);
        if (r == L2_OK)
            r = form == FORM_JSONL ? shape_json(e, line, n, in->name, number, &id, err)
                                   : shape_text(e, line, n, "lines", &id, err);
        if (r != L2_OK && (r = l2_cli_bad_data(e->cli, opts.skip_bad, &e->n_bad, r, in->name,
                                               number, err)) != L2_OK)
            return r;
        show_progress(e, in);
    }
    return r == L2_END ? L2_OK : r;
}

static int encode_file(struct encoding *e, struct l2_input *in, struct l2_err *err)
{
    struct l2_id id;
    size_t n;
    int r = L2_OK;
    while (r == L2_OK) {
        (void)l2_input_bytes(in, &n);
        if (n > e->max_text)
            return l2_err_at(err, L2_LIMIT, in->name, -1, "text of more than %zu bytes",
                             e->max_text);
        r = l2_input_fill(in, true, err);
    }
    if (r != L2_END)
        return r;
    r = next_id(e, &id, err);
    const char *text = (const char *)l2_input_bytes(in, &n);
    if (r == L2_OK)
        r = shape_text(e, text, n, "text", &id, err);
    l2_input_consume(in, n);
    show_progress(e, in);
    return r == L2_OK ? r : l2_cli_bad_data(e->cli, opts.skip_bad, &e->n_bad, r, in->name, 0, err);
}

static int encode_operand(struct encoding *e, const char *path, struct l2_err *err)
{
    struct l2_input in;
    enum form form;
    const char *name;
    int fd, r = l2_cli_open_input(e->cli, path, &fd, &name, err);
    if (r != L2_OK)
        return r;
    r = e->cli->output ? L2_OK : l2_cli_refuse_same_file(fd, name, STDOUT_FILENO, err);
    if (r != L2_OK) {
        l2_cli_close_input(fd);
        return r;
    }
    l2_input_init(&in, fd, name);
    in.idle = l2_pipe_idle(e->pipe);
    if (!form_of(path, &form)) /* checked before anything was opened */
        form = FORM_JSONL;
    r = form == FORM_TEXT ? encode_file(e, &in, err) : encode_lines(e, &in, form, err);
    e->bytes_done += (uint64_t)in.offset;
    l2_input_release(&in);
    l2_cli_close_input(fd);
    return r;
}

static int open_encoding(struct encoding *e, struct l2_err *err)
{
    struct l2_shape_opts so = {.bos = !opts.no_bos, .eos = !opts.no_eos, .system = opts.system};
    struct l2_header h;
    int r = l2_vocab_open(&e->vocab, opts.vocab, err);
    if (r == L2_OK)
        r = l2_chat_template(&so.dialogues, opts.template_name, opts.vocab, err);
    if (r == L2_OK)
        r = l2_encoder_new(&e->encoder, e->vocab, err);
    so.encoder = e->encoder;
    if (r == L2_OK)
        r = l2_shaper_new(&e->shaper, &so, err);
    if (r != L2_OK)
        return r;
    l2_header_init(&h);
    h.has_vocab = true;
    h.vocab_size = l2_vocab_size(e->vocab);
    memcpy(h.vocab_hash, l2_vocab_hash(e->vocab), sizeof h.vocab_hash);
    r = l2_pipe_open_output(&e->pipe, e->cli, &h, NULL, err);
    l2_header_release(&h);
    return r;
}

static void close_encoding(struct encoding *e)
{
    l2_cli_progress_done(e->cli);
    (void)l2_pipe_close(e->pipe);
    if (opts.skip_bad)
        json_object_set_new(e->cli->report, "skipped", json_integer((json_int_t)e->n_bad));
    l2_record_release(&e->rec);
    l2_buf_release(&e->id);
    l2_shaper_free(e->shaper);
    l2_encoder_free(e->encoder);
    l2_vocab_free(e->vocab);
}

static int encode(struct l2_cli *cli)
{
    struct encoding e = {.cli = cli};
    struct l2_err err;
    e.max_text = cli->max_record ? (size_t)cli->max_record : L2_MAX_RECORD;
    e.bytes_total = cli->progress ? l2_cli_operand_bytes(cli) : 0;
    l2_record_init(&e.rec);
    int r = open_encoding(&e, &err);
    if (r != L2_OK) {
        (void)l2_cli_error(cli, &err);
    } else if (cli->operands.n == 0) {
        r = encode_operand(&e, "-", &err);
    }
    for (size_t i = 0; i < cli->operands.n && r == L2_OK; i++)
        r = encode_operand(&e, cli->operands.v[i], &err);
    if (r != L2_OK && e.pipe)
        l2_pipe_fail(e.pipe, &err);
    close_encoding(&e);
    return cli->status;
}

/* ---- and back ---- */

struct decoding {
    struct l2_cli *cli;
    struct l2_vocab *vocab;           /* the one of -z, or NULL */
    const struct l2_vocab *of_stream; /* the same where the present segment has one */
    struct l2_pipe *pipe;
    int fd;
    const char *name;
    struct l2_buf out; /* not yet written */
    uint64_t n;
};

/* Written when this much is there, or when the input makes us wait. */
#define ENOUGH ((size_t)64 << 10)

static int flush(struct decoding *d, struct l2_err *err)
{
    if (d->out.len == 0)
        return L2_OK;
    int r = l2_cli_write(d->fd, d->name, d->out.data, d->out.len, err);
    d->out.len = 0;
    return r;
}

static int check_header(struct decoding *d, struct l2_err *err)
{
    const struct l2_header *h = l2_pipe_header(d->pipe);
    const char *name = l2_pipe_input_name(d->pipe);
    d->of_stream = NULL;
    if (!h->has_vocab)
        return L2_OK;
    if (!d->vocab)
        return l2_err_at(err, L2_FORMAT, name, -1,
                         "the stream holds token ids: say with -z of which vocabulary");
    int r = l2_chat_check_vocab(h, name, d->vocab, opts.vocab, err);
    if (r != L2_OK)
        return r;
    d->of_stream = d->vocab;
    return L2_OK;
}

static int write_record(struct decoding *d, const struct l2_record *rec, struct l2_err *err)
{
    int r = L2_OK;
    size_t n = rec->n_completions > 0 ? rec->n_completions : 1;
    d->n++;
    if (opts.rewardbench)
        return l2_benchrow_write(d->of_stream, rec, opts.rewardbench, &d->out, err);
    if (!opts.text && !opts.lines) {
        r = l2_shape_to_json(d->of_stream, rec, &d->out, err);
        return r == L2_OK ? l2_buf_append_byte(&d->out, '\n', err) : r;
    }
    for (size_t i = 0; i < n && r == L2_OK; i++) {
        r = l2_shape_to_text(d->of_stream, rec, i, &d->out, err);
        if (r == L2_OK && opts.lines)
            r = l2_buf_append_byte(&d->out, '\n', err);
    }
    return r;
}

static int decode_streams(struct decoding *d, struct l2_record *rec, struct l2_err *err)
{
    enum l2_pipe_event event;
    for (;;) {
        int r = l2_pipe_next(d->pipe, false, &event, rec, err);
        if (r == L2_AGAIN) {
            r = flush(d, err);
            if (r == L2_OK)
                r = l2_pipe_next(d->pipe, true, &event, rec, err);
        }
        if (r == L2_END)
            return flush(d, err);
        if (r == L2_OK && event == L2_PIPE_HEADER)
            r = check_header(d, err);
        if (r == L2_OK && event == L2_PIPE_RECORD)
            r = write_record(d, rec, err);
        if (r == L2_OK && d->out.len >= ENOUGH)
            r = flush(d, err);
        if (r != L2_OK)
            return r;
        l2_cli_progress_share(d->cli, l2_pipe_share(d->pipe), d->n, "records");
    }
}

static int decode(struct l2_cli *cli)
{
    struct decoding d = {.cli = cli, .fd = -1};
    struct l2_record rec;
    struct l2_err err, ignored;
    l2_record_init(&rec);
    int r = opts.vocab ? l2_vocab_open(&d.vocab, opts.vocab, &err) : L2_OK;
    if (r == L2_OK)
        r = l2_pipe_open_input(&d.pipe, cli, &err);
    if (r == L2_OK)
        r = l2_cli_open_output(cli, false, &d.fd, &d.name, &err);
    if (r == L2_OK) {
        r = decode_streams(&d, &rec, &err);
        if (r != L2_OK && r != L2_SYSTEM) /* what was read before arrives */
            (void)(flush(&d, &ignored) == L2_OK);
        l2_cli_progress_done(cli);
    }
    if (r == L2_OK)
        r = l2_cli_close_output(cli, d.fd, d.name, &err);
    if (r != L2_OK && d.pipe)
        l2_pipe_fail(d.pipe, &err);
    else if (r != L2_OK)
        (void)l2_cli_error(cli, &err);
    (void)l2_pipe_close(d.pipe);
    l2_record_release(&rec);
    l2_buf_release(&d.out);
    l2_vocab_free(d.vocab);
    return cli->status;
}

/* ---- the program ---- */

static int check_usage(struct l2_cli *cli)
{
    enum form form;
    if (opts.text + opts.lines + opts.jsonl > 1)
        return l2_cli_usage(cli, "want one of --text, --lines and --jsonl");
    if (opts.rewardbench && (!opts.decode || opts.text || opts.lines))
        return l2_cli_usage(cli, "--rewardbench wants --decode, without --text or --lines");
    if (opts.decode && (cli->resume || cli->shard))
        return l2_cli_usage(cli, "--resume and --shard are for making streams, not with --decode");
    if (opts.decode)
        return 0;
    if (!opts.vocab)
        return l2_cli_usage(cli, "want a vocabulary: -z FILE");
    if (l2_chat_check_name(cli, opts.template_name) != 0)
        return cli->status;
    if (opts.system && strcmp(opts.template_name, "none") == 0)
        return l2_cli_usage(cli, "--system wants --template");
    if (cli->operands.n == 0 && !form_of("-", &form))
        return l2_cli_usage(cli, "say what standard input is: --text, --lines or --jsonl");
    for (size_t i = 0; i < cli->operands.n; i++)
        if (!form_of(cli->operands.v[i], &form))
            return l2_cli_usage(cli, "say what %s is: --text, --lines or --jsonl",
                                cli->operands.v[i]);
    return 0;
}

static int run(struct l2_cli *cli)
{
    struct l2_err err;
    int status = check_usage(cli);
    if (status != 0)
        return status;
    if (cli->operands.n == 0 && l2_cli_refuse_terminal(STDIN_FILENO, &err) != L2_OK)
        return l2_cli_error(cli, &err);
    return opts.decode ? decode(cli) : encode(cli);
}

static const char *const usage[] = {"-z VOCAB [OPTION]... [FILE]...",
                                    "-d -z VOCAB [OPTION]... [FILE]...", NULL};

int main(int argc, char **argv)
{
    static const struct l2_program program = {
        .name = "l2-tokenize",
        .usage = usage,
        .summary = "Turn text, lines or JSONL into records of token ids, and back.",
        .options = options,
        .rows = L2_ROWS_FILTER | L2_ROWS_RESUME | L2_ROWS_ID,
        .run = run,
    };
    return l2_cli_main(&program, argc, argv);
}
