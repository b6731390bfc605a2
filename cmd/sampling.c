/* What programs that sample answers share: from options to what the generator is asked. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "sampling.h"

#include <string.h>

#include "util/num.h"

/* The last part of a path. */
static void base_name(const char *path, char *out, size_t size)
{
    size_t end = strlen(path), begin, n;
    while (end > 1 && path[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/';)
        begin--;
    n = end - begin < size ? end - begin : size - 1;
    memcpy(out, path + begin, n);
    out[n] = '\0';
}

static int parse_eos(struct sampling_rules *rules, const struct l2_loaded *loaded,
                     const struct sampling *s, struct l2_err *err)
{
    uint32_t rows = loaded->model->hp.vocab_size;
    if (s->eos.n > L2_MAX_EOS)
        return l2_err_set(err, L2_ARGUMENT, "--eos: want %d ids at most, got %zu", L2_MAX_EOS,
                          s->eos.n);
    for (size_t i = 0; i < s->eos.n; i++) {
        uint64_t id;
        if (!l2_parse_u64(s->eos.v[i], &id) || id >= rows)
            return l2_err_set(err, L2_ARGUMENT, "--eos: want a token id below %u, got '%s'",
                              (unsigned)rows, s->eos.v[i]);
        rules->eos[rules->n_eos++] = (uint32_t)id;
    }
    return L2_OK;
}

/* What ends a completion: --eos, else the model's ids, else the vocabulary's. */
static int choose_eos(struct sampling_rules *rules, struct l2_cli *cli,
                      const struct l2_loaded *loaded, const struct sampling *s, struct l2_err *err)
{
    const struct l2_hparams *hp = &loaded->model->hp;
    if (s->ignore_eos)
        return L2_OK;
    if (s->eos.n > 0)
        return parse_eos(rules, loaded, s, err);
    memcpy(rules->eos, hp->eos, sizeof rules->eos);
    rules->n_eos = hp->n_eos;
    if (rules->n_eos == 0 && loaded->vocab && l2_vocab_eos(loaded->vocab) != L2_NO_ID)
        rules->eos[rules->n_eos++] = l2_vocab_eos(loaded->vocab);
    if (rules->n_eos == 0)
        l2_cli_note(cli, "no EOS is known for this model: completions end by their length");
    return L2_OK;
}

int sampling_set_up(struct sampling_rules *rules, struct l2_cli *cli,
                    const struct l2_loaded *loaded, const struct sampling *s,
                    struct l2_generate_opts *go, struct l2_err *err)
{
    *rules = (struct sampling_rules){.n_eos = 0};
    int r = choose_eos(rules, cli, loaded, s, err);
    if (r == L2_OK && s->stop && !loaded->vocab)
        r = l2_err_set(
            err, L2_ARGUMENT,
            "--stop wants a vocabulary: the model has none of its own, so give it with -z");
    if (r == L2_OK && s->stop)
        r = l2_stop_new(&rules->stop, s->stop, err);
    if (r != L2_OK)
        return r;
    base_name(cli->model.model, rules->name, sizeof rules->name);
    go->max_new_tokens = (uint32_t)s->max_new_tokens;
    go->sampler = s->sampler;
    go->sampler.top_k = (uint32_t)s->top_k;
    go->seed = s->seed;
    go->eos = rules->eos;
    go->n_eos = rules->n_eos;
    go->stop = rules->stop;
    go->vocab = loaded->vocab;
    go->model_name = rules->name;
    go->overlong = (enum l2_overlong)cli->model.overlong;
    go->pool = loaded->pool;
    return L2_OK;
}

void sampling_release(struct sampling_rules *rules)
{
    l2_stop_free(rules->stop);
    rules->stop = NULL;
}

void sampling_report(struct l2_cli *cli, const struct l2_worker *generator)
{
    const struct l2_worker_faults *f = generator->ops->faults(generator);
    const struct l2_generate_counts *c = l2_generator_results(generator);
    json_t *report = cli->report, *finish = json_object();
    for (int i = L2_FINISH_EOS; i <= L2_FINISH_STOP; i++)
        json_object_set_new(finish, l2_finish_names[i],
                            json_integer((json_int_t)c->completions[i]));
    json_object_set_new(report, "new_tokens", json_integer((json_int_t)c->tokens));
    json_object_set_new(report, "finish", finish);
    if (f->dropped > 0)
        json_object_set_new(report, "dropped", json_integer((json_int_t)f->dropped));
    if (f->truncated > 0)
        json_object_set_new(report, "truncated", json_integer((json_int_t)f->truncated));
}

int sampling_check(const struct sampling *s, struct l2_err *err)
{
    if (s->ignore_eos && s->eos.n > 0)
        return l2_err_set(err, L2_ARGUMENT, "--eos and --ignore-eos contradict each other");
    return L2_OK;
}
