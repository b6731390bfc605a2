/* l2-vocab: trains a BPE vocabulary on lines of text, rows of JSON or text-only streams, and writes
 * it as a SentencePiece model. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "common/cli.h"
#include "common/report.h"
#include "stream/json.h"
#include "text/bpe_train.h"
#include "text/vocab_write.h"
#include "util/input.h"
#include "util/str.h"

static struct {
    int64_t size, max_chars;
    double coverage;
    uint64_t max_line;
    bool byte_fallback, split_digits, dummy_prefix, split_spaces, space_runs, collapse_spaces;
    bool jsonl, stream;
    struct l2_strings control, symbols;
} opts = {
    .size = 32000,
    .max_chars = 16,
    .coverage = 0.9995,
    .max_line = (uint64_t)1 << 28,
    .byte_fallback = true,
    .split_digits = true,
    .dummy_prefix = true,
    .split_spaces = true,
};

static const struct l2_opt options[] = {
    {.name = "size",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "pieces of the vocabulary, special ones and bytes included",
     .target = &opts.size,
     .min = 4,
     .max = 1000000},
    {.name = "coverage",
     .kind = L2_OPT_REAL,
     .arg = "SHARE",
     .help = "share of the text's characters that get pieces of their own",
     .target = &opts.coverage,
     .min = 0.5,
     .max = 1},
    {.name = "max-piece",
     .kind = L2_OPT_INT,
     .arg = "N",
     .help = "characters of a piece at most",
     .target = &opts.max_chars,
     .min = 1,
     .max = 512},
    {.name = "byte-fallback",
     .kind = L2_OPT_FLAG,
     .help = "characters without a piece become pieces of their bytes; else they are unknown",
     .target = &opts.byte_fallback},
    {.name = "split-digits",
     .kind = L2_OPT_FLAG,
     .help = "every digit is a piece of its own",
     .target = &opts.split_digits},
    {.name = "dummy-prefix",
     .kind = L2_OPT_FLAG,
     .help = "put a space before a text, so that its first word is like the others",
     .target = &opts.dummy_prefix},
    {.name = "split-spaces",
     .kind = L2_OPT_FLAG,
     .help = "no piece goes beyond a space",
     .target = &opts.split_spaces},
    {.name = "space-runs",
     .kind = L2_OPT_FLAG,
     .help = "make pieces of spaces that stand together, as code has them",
     .target = &opts.space_runs},
    {.name = "collapse-spaces",
     .kind = L2_OPT_FLAG,
     .help = "take spaces that stand together for one, and drop those at the ends of a text",
     .target = &opts.collapse_spaces},
    {.name = "control",
     .kind = L2_OPT_LIST,
     .arg = "PIECE",
     .help = "add a control piece, which no text is encoded to; may be repeated",
     .target = &opts.control},
    {.name = "symbol",
     .kind = L2_OPT_LIST,
     .arg = "PIECE",
     .help = "add a piece that is never cut where a text has it; may be repeated",
     .target = &opts.symbols},
    {.name = "jsonl",
     .kind = L2_OPT_FLAG,
     .help = "each line is a JSON object with a text; so are files that end in .jsonl",
     .target = &opts.jsonl},
    {.name = "stream",
     .kind = L2_OPT_FLAG,
     .help = "the input is text-only streams; so are files that end in .l2s",
     .target = &opts.stream},
    {.name = "max-line",
     .kind = L2_OPT_BYTES,
     .arg = "SIZE",
     .help = "refuse longer lines",
     .target = &opts.max_line},
    L2_OPT_TABLE_END,
};

/* Counts a text line by line, as those of a file of lines are. */
static int count_text(struct l2_bpe_words *words, const char *text, size_t n, struct l2_err *err)
{
    int r = L2_OK;
    for (size_t i = 0; i < n && r == L2_OK;) {
        const char *newline = memchr(text + i, '\n', n - i);
        size_t end = newline ? (size_t)(newline - text) : n, len = end - i;
        if (len > 0 && text[end - 1] == '\r')
            len--;
        r = l2_bpe_words_add(words, text + i, len, err);
        i = end + 1;
    }
    return r;
}

static int count_row(struct l2_bpe_words *words, const char *line, size_t n, const char *name,
                     int64_t number, struct l2_err *err)
{
    json_t *row;
    if (l2_line_is_blank(line, n))
        return L2_OK;
    int r = l2_json_parse(line, n, name, number, &row, err);
    if (r != L2_OK)
        return r;
    const json_t *text = json_object_get(row, "text");
    r = json_is_string(text)
            ? count_text(words, json_string_value(text), json_string_length(text), err)
            : l2_err_at_line(err, L2_FORMAT, name, number, 1,
                             "want an object with a string \"text\"");
    json_decref(row);
    return r;
}

static int count_lines(struct l2_cli *cli, struct l2_bpe_words *words, int fd, const char *name,
                       bool rows, struct l2_err *err)
{
    const char *line;
    size_t n;
    bool terminated;
    struct l2_input in;
    int r = L2_OK;
    l2_input_init(&in, fd, name);
    for (int64_t number = 1; r == L2_OK; number++) {
        r = l2_input_line(&in, true, opts.max_line, &line, &n, &terminated, err);
        if (r == L2_OK)
            r = rows ? count_row(words, line, n, name, number, err)
                     : count_text(words, line, n, err);
        l2_cli_progress(cli, words->n_bytes, 0, "bytes");
    }
    l2_input_release(&in);
    return r;
}

/* A text-only stream: the texts of all completions of its records. */
static int count_stream(struct l2_cli *cli, struct l2_bpe_words *words, int fd, const char *name,
                        struct l2_err *err)
{
    struct l2_reader *reader;
    struct l2_record rec;
    enum l2_item item;
    int r = l2_reader_new(&reader, fd, name, NULL, err);
    if (r != L2_OK)
        return r;
    l2_record_init(&rec);
    while ((r = l2_reader_next(reader, true, &item, &rec, err)) == L2_OK) {
        const struct l2_stream_end *end = l2_reader_end_item(reader);
        if (item == L2_ITEM_HEADER && l2_reader_header(reader)->has_vocab)
            r = l2_err_set(err, L2_FORMAT,
                           "the stream holds token ids: want text, or a text-only stream");
        else if (item == L2_ITEM_END && !end->complete)
            r = l2_err_set(err, L2_TRUNCATED, "the stream is marked incomplete: %s", end->error);
        for (size_t i = 0; item == L2_ITEM_RECORD && r == L2_OK && i < rec.n_completions; i++)
            r = count_text(words, rec.completions[i].text.s, rec.completions[i].text.n, err);
        if (r != L2_OK)
            break;
        l2_cli_progress(cli, words->n_bytes, 0, "bytes");
    }
    l2_record_release(&rec);
    l2_reader_free(reader);
    return r;
}

static int count_file(struct l2_cli *cli, struct l2_bpe_words *words, const char *path,
                      struct l2_err *err)
{
    int fd;
    const char *name;
    bool rows = opts.jsonl || (!opts.stream && l2_ends_in(path, ".jsonl"));
    bool stream = opts.stream || (!opts.jsonl && l2_ends_in(path, ".l2s"));
    int r = l2_cli_open_input(cli, path, &fd, &name, err);
    if (r != L2_OK)
        return r;
    r = stream ? count_stream(cli, words, fd, name, err)
               : count_lines(cli, words, fd, name, rows, err);
    l2_cli_close_input(fd);
    return r == L2_END ? L2_OK : l2_err_in_file(err, name);
}

static int count_words(struct l2_cli *cli, struct l2_bpe_words *words, struct l2_err *err)
{
    int r = L2_OK;
    if (cli->operands.n == 0) {
        r = l2_cli_refuse_terminal(0, err);
        return r == L2_OK ? count_file(cli, words, "-", err) : r;
    }
    for (size_t i = 0; i < cli->operands.n && r == L2_OK; i++)
        r = count_file(cli, words, cli->operands.v[i], err);
    return r;
}

static int write_vocab(struct l2_cli *cli, const struct l2_vocab *v, struct l2_err *err)
{
    struct l2_buf model = {0};
    int fd;
    const char *name;
    int r = l2_vocab_to_spm(&model, v, err);
    if (r == L2_OK)
        r = l2_cli_open_output(cli, true, &fd, &name, err);
    if (r == L2_OK) {
        r = l2_cli_write(fd, name, model.data, model.len, err);
        struct l2_err close_err;
        int closed = l2_cli_close_output(cli, fd, name, r == L2_OK ? err : &close_err);
        if (r == L2_OK)
            r = closed;
    }
    l2_buf_release(&model);
    return r;
}

static int run(struct l2_cli *cli)
{
    struct l2_err err;
    struct l2_vocab *v = NULL;
    struct l2_bpe_words words = {.dummy_prefix = opts.dummy_prefix,
                                 .split_digits = opts.split_digits,
                                 .across_spaces = !opts.split_spaces,
                                 .space_runs = opts.space_runs,
                                 .collapse_spaces = opts.collapse_spaces};
    struct l2_bpe_settings settings = {.size = (uint32_t)opts.size,
                                       .coverage = opts.coverage,
                                       .max_chars = (uint32_t)opts.max_chars,
                                       .byte_fallback = opts.byte_fallback,
                                       .control = opts.control.v,
                                       .n_control = opts.control.n,
                                       .symbols = opts.symbols.v,
                                       .n_symbols = opts.symbols.n};
    if (opts.jsonl && opts.stream)
        return l2_cli_usage(cli, "want one of --jsonl and --stream");
    if (opts.space_runs && opts.collapse_spaces)
        return l2_cli_usage(cli, "want one of --space-runs and --collapse-spaces");
    int r = count_words(cli, &words, &err);
    if (r == L2_OK && words.n == 0)
        r = l2_err_set(&err, L2_FORMAT, "the input is empty: there is nothing to train on");
    if (r == L2_OK)
        r = l2_bpe_train(&v, &words, &settings, &err);
    if (r == L2_OK)
        l2_cli_progress_share(cli, 1, words.n_bytes, "bytes");
    l2_cli_progress_done(cli);
    if (r == L2_OK)
        r = write_vocab(cli, v, &err);
    if (r == L2_OK) {
        l2_report_count(cli->report, "bytes", words.n_bytes);
        l2_report_count(cli->report, "invalid_bytes", words.n_invalid);
        l2_report_count(cli->report, "words", words.n);
        l2_report_count(cli->report, "pieces", l2_vocab_size(v));
    }
    l2_vocab_free(v);
    l2_bpe_words_release(&words);
    return r == L2_OK ? cli->status : l2_cli_error(cli, &err);
}

static const char *const usage[] = {"[OPTION]... [FILE]...", NULL};

int main(int argc, char **argv)
{
    static const struct l2_program program = {
        .name = "l2-vocab",
        .usage = usage,
        .summary = "Train a BPE vocabulary on text, and write it as a SentencePiece model.",
        .options = options,
        .rows = L2_ROWS_OUTPUT,
        .run = run,
    };
    return l2_cli_main(&program, argc, argv);
}
