/* l2-preprompt: puts pre-prompts into dialogues and takes them out again, for safety context
 * distillation. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "common/chat.h"
#include "common/pipe.h"
#include "common/report.h"
#include "rlhf/preprompt.h"
#include "util/map.h"

static const char *const places[] = {"system", "user", NULL};

static struct {
    const char *vocab;
    const char *template_name;
    const char *text;
    const char *file;
    const char *category;
    bool has_category;
    int place;
    bool has_place;
    uint64_t seed;
    bool skip_bad;
} opts = {.template_name = "auto", .category = "category"};

static const struct l2_opt add_options[] = {
    L2_OPT_TITLE("Pre-prompts"),
    {.name = "file",
     .letter = 'f',
     .kind = L2_OPT_STRING,
     .arg = "FILE",
     .help = "pre-prompts by category, in YAML",
     .is_path = true,
     .target = &opts.file},
    {.name = "text",
     .kind = L2_OPT_STRING,
     .arg = "TEXT",
     .help = "this pre-prompt for all prompts",
     .target = &opts.text},
    {.name = "category",
     .kind = L2_OPT_STRING,
     .arg = "FIELD",
     .help = "the field of meta that says a prompt's category; prompts without one, and with one "
             "that the file does not have, take generic pre-prompts",
     .target = &opts.category,
     .given = &opts.has_category},
    {.name = "place",
     .kind = L2_OPT_CHOICE,
     .arg = "WHERE",
     .help = "system: as the system turn, before the text of one that is there; user: before the "
             "text of the first user turn",
     .choices = places,
     .target = &opts.place,
     .given = &opts.has_place},
    {.name = "seed",
     .letter = 's',
     .kind = L2_OPT_SEED,
     .arg = "N",
     .help = "another seed, another choice where a category has several",
     .target = &opts.seed},
    L2_OPT_TITLE("Records"),
    {.name = "vocab",
     .letter = 'z',
     .kind = L2_OPT_STRING,
     .arg = "FILE",
     .help = "the stream's vocabulary: a SentencePiece model, tokenizer.json, GGUF or llama2.c "
             "file, or a model's directory",
     .is_path = true,
     .target = &opts.vocab},
    {.name = "template",
     .kind = L2_OPT_STRING,
     .arg = "NAME",
     .help = "the chat template that the prompts were made with, as for l2-tokenize; none: prompts "
             "are texts, and the pre-prompt's tokens go before them",
     .target = &opts.template_name},
    {.name = "skip-bad",
     .kind = L2_OPT_FLAG,
     .help = "leave out records that cannot be given a pre-prompt and count them, instead of "
             "stopping at the first",
     .target = &opts.skip_bad},
    L2_OPT_TABLE_END,
};

static const struct l2_opt remove_options[] = {L2_OPT_TABLE_END};

/* One run of either subcommand. */
struct run {
    struct l2_cli *cli;
    struct l2_pipe *pipe;
    struct l2_vocab *vocab;
    struct l2_encoder *encoder;
    struct l2_dialogue *dialogue;
    struct l2_preprompts *preprompts;
    struct l2_preprompt_opts how;
    struct l2_record plain; /* what the record being written borrows from */
    uint64_t records, bad, unknown, without;
};

/* ---- add ---- */

static int read_preprompts(struct run *p, struct l2_err *err)
{
    struct l2_map map;
    if (opts.text)
        return l2_preprompts_of_text(&p->preprompts, opts.text, err);
    int r = l2_map_open(&map, opts.file, err);
    if (r != L2_OK)
        return r;
    r = l2_preprompts_read(&p->preprompts, (const char *)map.data, map.size, opts.file, err);
    l2_map_release(&map);
    return r;
}

static int open_add(struct run *p, struct l2_err *err)
{
    const struct l2_template *t;
    int r = read_preprompts(p, err);
    if (r == L2_OK)
        r = l2_vocab_open(&p->vocab, opts.vocab, err);
    if (r == L2_OK)
        r = l2_encoder_new(&p->encoder, p->vocab, err);
    if (r == L2_OK)
        r = l2_chat_template(&t, opts.template_name, opts.vocab, err);
    if (r == L2_OK && t)
        r = l2_dialogue_new(&p->dialogue, p->encoder, t, err);
    p->how = (struct l2_preprompt_opts){.place = p->dialogue ? (enum l2_preprompt_place)opts.place
                                                             : L2_PREPROMPT_START,
                                        .dialogue = p->dialogue,
                                        .encoder = p->encoder};
    return r;
}

static int add(struct run *p, struct l2_record *rec, struct l2_err *err)
{
    struct l2_preprompt *chosen;
    bool unknown = false;
    int r = l2_preprompts_choose(p->preprompts, rec, opts.file ? opts.category : NULL, opts.seed,
                                 &chosen, &unknown, err);
    if (r == L2_OK)
        r = l2_preprompt_add(&p->how, chosen, rec, err);
    if (r != L2_OK)
        return l2_record_fault(rec, r, err);
    chosen->used++;
    p->unknown += unknown;
    return l2_pipe_put(p->pipe, rec, err);
}

static int add_event(struct run *p, enum l2_pipe_event event, struct l2_record *rec,
                     struct l2_err *err)
{
    const char *name = l2_pipe_input_name(p->pipe);
    if (event == L2_PIPE_HEADER)
        return l2_chat_check_vocab(l2_pipe_header(p->pipe), name, p->vocab, opts.vocab, err);
    if (event != L2_PIPE_RECORD)
        return L2_OK;
    return l2_cli_bad_data(p->cli, opts.skip_bad, &p->bad, add(p, rec, err), name, 0, err);
}

static void report_add(const struct run *p)
{
    json_t *used = json_object();
    size_t n = 0;
    const struct l2_preprompt *all = p->preprompts ? l2_preprompts_all(p->preprompts, &n) : NULL;
    for (size_t i = 0; i < n; i++)
        if (all[i].used > 0)
            l2_report_count(used, all[i].name, all[i].used);
    json_object_set_new(p->cli->report, "preprompts", used);
    if (p->unknown > 0)
        l2_report_count(p->cli->report, "unknown_category", p->unknown);
    if (opts.skip_bad)
        l2_report_count(p->cli->report, "skipped", p->bad);
}

/* ---- remove ---- */

static int remove_event(struct run *p, enum l2_pipe_event event, struct l2_record *rec,
                        struct l2_err *err)
{
    bool had;
    if (event != L2_PIPE_RECORD)
        return L2_OK;
    int r = l2_preprompt_remove(rec, &p->plain, &had, err);
    if (r != L2_OK) {
        (void)l2_record_fault(rec, r, err);
        return l2_err_in_file(err, l2_pipe_input_name(p->pipe));
    }
    p->without += !had;
    return l2_pipe_put(p->pipe, rec, err);
}

/* ---- the program ---- */

typedef int take_event(struct run *p, enum l2_pipe_event event, struct l2_record *rec,
                       struct l2_err *err);

static int run_streams(struct run *p, take_event *take, struct l2_err *err)
{
    enum l2_pipe_event event;
    struct l2_record rec;
    int r = l2_pipe_open(&p->pipe, p->cli, false, NULL, err);
    if (r != L2_OK)
        return r;
    l2_record_init(&rec);
    while ((r = l2_pipe_next(p->pipe, true, &event, &rec, err)) == L2_OK) {
        if ((r = take(p, event, &rec, err)) != L2_OK)
            break;
        if (event == L2_PIPE_RECORD)
            l2_cli_progress_share(p->cli, l2_pipe_share(p->pipe), ++p->records, "records");
    }
    l2_record_release(&rec);
    return r == L2_END ? L2_OK : r;
}

/* Ends the run, of which r is the result. */
static void finish(struct run *p, int r, const struct l2_err *err)
{
    l2_cli_progress_done(p->cli);
    if (r != L2_OK && p->pipe)
        l2_pipe_fail(p->pipe, err);
    else if (r != L2_OK)
        (void)l2_cli_error(p->cli, err);
    (void)l2_pipe_close(p->pipe);
    l2_dialogue_free(p->dialogue);
    l2_encoder_free(p->encoder);
    l2_vocab_free(p->vocab);
}

static int check_add(struct l2_cli *cli)
{
    if (!opts.vocab)
        return l2_cli_usage(cli, "want a vocabulary: -z FILE");
    if (!opts.text == !opts.file)
        return l2_cli_usage(cli, "want one of --file and --text");
    if (opts.text && opts.text[0] == '\0')
        return l2_cli_usage(cli, "--text: want a pre-prompt, got an empty string");
    if (opts.text && opts.has_category)
        return l2_cli_usage(cli, "--category wants --file");
    if (opts.has_place && strcmp(opts.template_name, "none") == 0)
        return l2_cli_usage(cli, "--place wants a template");
    return l2_chat_check_name(cli, opts.template_name);
}

static int run_add(struct l2_cli *cli)
{
    struct run p = {.cli = cli};
    struct l2_err err;
    if (check_add(cli) != 0)
        return cli->status;
    int r = open_add(&p, &err);
    if (r == L2_OK)
        r = run_streams(&p, add_event, &err);
    finish(&p, r, &err);
    report_add(&p);
    l2_preprompts_free(p.preprompts);
    return cli->status;
}

static int run_remove(struct l2_cli *cli)
{
    struct run p = {.cli = cli};
    struct l2_err err;
    l2_record_init(&p.plain);
    int r = run_streams(&p, remove_event, &err);
    finish(&p, r, &err);
    l2_report_count(cli->report, "without", p.without);
    l2_record_release(&p.plain);
    return cli->status;
}

static const char *const usage[] = {"add -z VOCAB -f FILE [OPTION]... [FILE]...",
                                    "remove [OPTION]... [FILE]...", NULL};

static const struct l2_subcommand subcommands[] = {
    {.name = "add",
     .usage = "-z VOCAB -f FILE [OPTION]... [FILE]...",
     .summary = "Put pre-prompts into the prompts of records.",
     .options = add_options,
     .rows = L2_ROWS_FILTER,
     .run = run_add},
    {.name = "remove",
     .usage = "[OPTION]... [FILE]...",
     .summary = "Take them out again, and name them in the completions that were made under them.",
     .options = remove_options,
     .rows = L2_ROWS_FILTER,
     .run = run_remove},
    {.name = NULL},
};

int main(int argc, char **argv)
{
    static const struct l2_program program = {
        .name = "l2-preprompt",
        .usage = usage,
        .summary = "Let prompts be answered under a pre-prompt that answers are kept without.",
        .subcommands = subcommands,
    };
    return l2_cli_main(&program, argc, argv);
}
