/* l2-gatt: training data for Ghost Attention, and how long an instruction is obeyed. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "gatt.h"

#include <stdlib.h>
#include <string.h>

#include "common/chat.h"
#include "common/report.h"
#include "util/map.h"
#include "util/sha256.h"

/* The history says which constraints these were, whatever their file's place: an output is gone on
 * with only where they are the same. */
static int note_constraints(struct l2_cli *cli, const struct l2_map *map, struct l2_err *err)
{
    uint8_t digest[L2_SHA256_SIZE];
    struct l2_sha256 sha;
    char hex[2 * L2_SHA256_SIZE + 1];
    size_t n = cli->settings ? strlen(cli->settings) : 0;
    const char *const key = "# constraints: sha256 ";
    char *s = realloc(cli->settings, n + strlen(key) + sizeof hex + 1);
    if (!s)
        return l2_err_memory(err, n);
    l2_sha256_init(&sha);
    l2_sha256_update(&sha, map->data, map->size);
    l2_sha256_final(&sha, digest);
    l2_sha256_hex(digest, hex);
    cli->settings = s;
    memcpy(s + n, key, strlen(key));
    n += strlen(key);
    memcpy(s + n, hex, sizeof hex - 1);
    n += sizeof hex - 1;
    memcpy(s + n, "\n", 2);
    return L2_OK;
}

static int read_constraints(struct gatt *g, struct l2_err *err)
{
    const char *path = g->args->constraints;
    struct l2_map map;
    if (!path)
        return l2_err_set(err, L2_ARGUMENT, "want constraints: --constraints FILE.yaml");
    int r = l2_map_open(&map, path, err);
    if (r != L2_OK)
        return r;
    r = l2_constraints_read(&g->constraints, map.size > 0 ? (const char *)map.data : "", map.size,
                            path, err);
    if (r == L2_OK)
        r = note_constraints(g->cli, &map, err);
    l2_map_release(&map);
    if (r == L2_OK && g->args->names.n > 0)
        r = l2_constraints_keep(&g->constraints, g->args->names.v, g->args->names.n, err);
    return r;
}

int gatt_open(struct gatt *g, struct l2_cli *cli, const struct gatt_args *args, struct l2_err *err)
{
    *g = (struct gatt){.cli = cli, .args = args};
    int r = sampling_check(&args->sampling, err);
    if (r == L2_OK)
        r = read_constraints(g, err);
    if (r == L2_OK)
        r = l2_load(&g->loaded, cli, &cli->model, (uint32_t)cli->model.batch, 0, err);
    if (r == L2_OK && !g->loaded.vocab)
        r = l2_err_set(err, L2_ARGUMENT,
                       "the model has no vocabulary of its own: say with -z which it is");
    return r;
}

static int choose_template(const struct gatt *g, const struct l2_template **out, struct l2_err *err)
{
    const char *vocab = g->cli->model.vocab ? g->cli->model.vocab : g->loaded.model->vocab_path;
    int r = l2_chat_template(out, g->args->template_name, vocab, err);
    if (r == L2_OK && !*out)
        r = l2_err_set(err, L2_ARGUMENT, "--template: want auto or one of %s, got '%s'",
                       l2_template_names(), g->args->template_name);
    return r;
}

int gatt_start(struct gatt *g, bool every_turn, struct l2_err *err)
{
    const struct gatt_args *a = g->args;
    struct l2_gatt_opts o = {
        .constraints = &g->constraints,
        .combine = (uint32_t)a->combine,
        .brief_share = a->brief,
        .every_turn = every_turn,
        .system = a->system,
        .n_turns = (uint32_t)a->turns,
        .generate = {.n_completions = 1, .keep_logprobs = every_turn},
    };
    int r = choose_template(g, &o.dialogues, err);
    if (r == L2_OK)
        r = sampling_set_up(&g->rules, g->cli, &g->loaded, &a->sampling, &o.generate, err);
    return r == L2_OK ? l2_gatt_new(&g->worker, g->loaded.engine, &o, err) : r;
}

void gatt_close(struct gatt *g)
{
    if (g->worker)
        g->worker->ops->free(g->worker);
    sampling_release(&g->rules);
    l2_constraints_release(&g->constraints);
    l2_unload(&g->loaded);
}

void gatt_report(const struct gatt *g)
{
    const struct l2_gatt_counts *c = l2_gatt_results(g->worker);
    json_t *report = g->cli->report;
    l2_report_count(report, "dialogues", c->dialogues);
    l2_report_count(report, "answers", c->answers);
    if (c->ended_early > 0)
        l2_report_count(report, "ended_early", c->ended_early);
    sampling_report(g->cli, l2_gatt_generator(g->worker));
}

static const char *const usage[] = {
    "make -m MODEL --constraints FILE.yaml [OPTION]... [FILE]...",
    "measure -m MODEL --constraints FILE.yaml [OPTION]... [FILE]...", NULL};

static const struct l2_subcommand subcommands[] = {
    {.name = "make",
     .usage = "-m MODEL --constraints FILE.yaml [OPTION]... [FILE]...",
     .summary = "Answer dialogues under an instruction in every turn, and write them as training "
                "data that has it once.",
     .options = gatt_make_options,
     .rows = L2_ROWS_FILTER | L2_ROWS_RESUME | L2_ROWS_THREADS | L2_ROWS_MODEL,
     .run = gatt_run_make},
    {.name = "measure",
     .usage = "-m MODEL --constraints FILE.yaml [OPTION]... [FILE]...",
     .summary = "Say for each turn of a dialogue whether the answer obeys an instruction that was "
                "given in the first.",
     .options = gatt_measure_options,
     .rows = L2_ROWS_OUTPUT | L2_ROWS_RECORDS | L2_ROWS_RESUME | L2_ROWS_THREADS | L2_ROWS_MODEL,
     .run = gatt_run_measure},
    {.name = NULL},
};

int main(int argc, char **argv)
{
    static const struct l2_program program = {
        .name = "l2-gatt",
        .usage = usage,
        .summary = "Ghost Attention: instructions that are obeyed over many turns.",
        .subcommands = subcommands,
        .backends = l2_model_backends,
    };
    return l2_cli_main(&program, argc, argv);
}
