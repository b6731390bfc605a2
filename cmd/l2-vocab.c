/* l2-vocab: trains a BPE vocabulary on lines of text and writes it as a SentencePiece model. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "common/cli.h"
#include "text/bpe_train.h"
#include "text/vocab_write.h"
#include "util/input.h"

static struct {
    int64_t size, max_chars;
    double coverage;
    uint64_t max_line;
    bool byte_fallback, split_digits, dummy_prefix;
    struct l2_strings control, symbols;
} opts = {
    .size = 32000,
    .max_chars = 16,
    .coverage = 0.9995,
    .max_line = (uint64_t)1 << 28,
    .byte_fallback = true,
    .split_digits = true,
    .dummy_prefix = true,
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
    {.name = "max-line",
     .kind = L2_OPT_BYTES,
     .arg = "SIZE",
     .help = "refuse longer lines",
     .target = &opts.max_line},
    L2_OPT_TABLE_END,
};

static int count_file(struct l2_cli *cli, struct l2_bpe_words *words, const char *path,
                      struct l2_err *err)
{
    int fd;
    const char *name, *line;
    size_t n;
    bool terminated;
    struct l2_input in;
    int r = l2_cli_open_input(cli, path, &fd, &name, err);
    if (r != L2_OK)
        return r;
    l2_input_init(&in, fd, name);
    while ((r = l2_input_line(&in, true, opts.max_line, &line, &n, &terminated, err)) == L2_OK) {
        if (n > 0 && line[n - 1] == '\r')
            n--;
        r = l2_bpe_words_add(words, line, n, err);
        if (r != L2_OK)
            break;
        l2_cli_progress(cli, words->n_bytes, 0, "bytes");
    }
    l2_input_release(&in);
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

static void report(struct l2_cli *cli, const char *key, uint64_t n)
{
    json_object_set_new(cli->report, key, json_integer((json_int_t)n));
}

static int run(struct l2_cli *cli)
{
    struct l2_err err;
    struct l2_vocab *v = NULL;
    struct l2_bpe_words words = {.dummy_prefix = opts.dummy_prefix,
                                 .split_digits = opts.split_digits};
    struct l2_bpe_settings settings = {.size = (uint32_t)opts.size,
                                       .coverage = opts.coverage,
                                       .max_chars = (uint32_t)opts.max_chars,
                                       .byte_fallback = opts.byte_fallback,
                                       .control = opts.control.v,
                                       .n_control = opts.control.n,
                                       .symbols = opts.symbols.v,
                                       .n_symbols = opts.symbols.n};
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
        report(cli, "bytes", words.n_bytes);
        report(cli, "invalid_bytes", words.n_invalid);
        report(cli, "words", words.n);
        report(cli, "pieces", l2_vocab_size(v));
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
        .summary = "Train a BPE vocabulary on lines of text, and write it as a SentencePiece "
                   "model.",
        .options = options,
        .rows = L2_ROWS_OUTPUT,
        .run = run,
    };
    return l2_cli_main(&program, argc, argv);
}
