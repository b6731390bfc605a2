/* l2-ppo: completions of the policy as it is, and their scores. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "ppo.h"

#include <string.h>

#include "common/pipe.h"
#include "common/progress.h"
#include "nn/params_view.h"
#include "rlhf/expr.h"
#include "sample/generate.h"
#include "sample/score.h"
#include "stream/fields.h"
#include "text/encode.h"
#include "util/newfile.h"

/* ---- workers ---- */

/* Every record of the batch through the worker, in order. */
static int run_worker(struct l2_worker *w, struct l2_prompts *batch, struct l2_err *err)
{
    size_t in = 0, out = 0;
    int rc = L2_OK;
    while (out < batch->n && rc == L2_OK) {
        while (in < batch->n && rc == L2_OK && w->ops->wants(w)) {
            rc = w->ops->add(w, batch->v[in], err);
            if (rc == L2_OK)
                batch->v[in++] = NULL;
        }
        if (rc == L2_OK && w->ops->busy(w))
            rc = w->ops->step(w, err);
        struct l2_record *rec;
        while (rc == L2_OK && (rec = w->ops->take(w)))
            batch->v[out++] = rec;
    }
    const struct l2_worker_faults *f = w->ops->faults(w);
    if (rc == L2_OK && f->records > 0) {
        *err = f->first;
        return l2_err_set(err, L2_CORRUPT, "record %s: %.300s", f->first_id, f->first.text);
    }
    return rc;
}

/* ---- generation ---- */

/* The policy as an engine. */
struct policy {
    struct l2_model *model; /* owned; NULL with adapters */
    struct l2_engine *engine;
};

static void policy_close(struct policy *p)
{
    l2_engine_free(p->engine);
    l2_model_close(p->model);
}

/* Completions that are run together have the whole blocks of their prompt once, -k of them. */
uint64_t l2_ppo_kv_bytes(const struct l2_ppo_run *r, const struct l2_hparams *hp,
                         uint64_t completions)
{
    uint64_t block = l2_kv_block_bytes(hp, L2_KV_F32), k = (uint64_t)r->args->completions;
    uint32_t longest = l2_ppo_longest(r);
    uint32_t all = longest < hp->context ? longest : hp->context;
    uint32_t shared = (uint32_t)r->longest / L2_KV_BLOCK * L2_KV_BLOCK;
    uint32_t own = shared < all ? all - shared : 1;
    uint64_t prompts = (completions + k - 1) / k + 1;
    uint64_t wanted = block * (prompts * l2_kv_blocks_for((uint32_t)r->longest) +
                               (completions + 1) * l2_kv_blocks_for(own));
    uint64_t least = block * (l2_kv_blocks_for(hp->context) + 1);
    uint64_t most = r->args->kv_bytes > 0 ? r->args->kv_bytes : (uint64_t)1 << 30;
    if (wanted > most)
        wanted = most;
    return wanted > least ? wanted : least;
}

struct l2_engine_opts l2_ppo_engine_opts(const struct l2_ppo_run *r, size_t sequences)
{
    uint64_t together =
        sequences < L2_PPO_ROWS ? sequences : L2_PPO_ROWS; /* a row of a pass each */
    return (struct l2_engine_opts){.backend = &l2_backend_native,
                                   .pool = r->pool,
                                   .max_rows = L2_PPO_ROWS,
                                   .max_outputs = L2_PPO_ROWS,
                                   .kv_bytes = l2_ppo_kv_bytes(r, &r->model->hp, together),
                                   .kv_type = L2_KV_F32,
                                   .pack = {.narrow = r->base != NULL},
                                   .lender = r->base};
}

static int policy_open(struct l2_ppo_run *r, struct policy *p, size_t sequences, struct l2_err *err)
{
    struct l2_engine_opts o = l2_ppo_engine_opts(r, sequences);
    int rc = r->base ? L2_OK : l2_params_view(&p->model, r->params, err);
    if (rc == L2_OK)
        rc = l2_engine_new(&p->engine, r->base ? r->base_model : p->model, &o, err);
    if (rc == L2_OK && r->base)
        rc = l2_engine_set_lora(p->engine, l2_ppo_lora(r->ppo), err);
    if (rc == L2_OK)
        o.backend->describe(r->kernels, sizeof r->kernels);
    return rc;
}

/* What the engine says of its draws is the sampler's; the policy's own comes from the forward pass
 * that is trained. */
static void keep_sampled(struct l2_prompts *batch)
{
    for (size_t i = 0; i < batch->n; i++)
        for (size_t k = 0; k < batch->v[i]->n_completions; k++) {
            struct l2_f32s *s = batch->v[i]->completions[k].series;
            if (!s[L2_SAMPLED_LOGPROBS].v)
                s[L2_SAMPLED_LOGPROBS] = s[L2_LOGPROBS];
            s[L2_LOGPROBS] = (struct l2_f32s){NULL, 0};
        }
}

int l2_ppo_generate(struct l2_ppo_run *r, struct l2_prompts *batch, uint32_t n, uint64_t seed,
                    struct l2_err *err)
{
    const struct l2_hparams *hp = &r->params->hp;
    uint32_t eos[1] = {r->vocab ? l2_vocab_eos(r->vocab) : L2_NO_ID};
    struct l2_generate_opts o = {
        .n_completions = n,
        .max_new_tokens = (uint32_t)r->args->max_tokens,
        .sampler = l2_sampler_neutral(),
        .seed = seed,
        .eos = hp->n_eos > 0 ? hp->eos : eos,
        .n_eos = hp->n_eos > 0 ? hp->n_eos : eos[0] != L2_NO_ID,
        .model_name = "policy",
        .has_round = true,
        .round = (int64_t)r->iteration,
        .keep_logprobs = true,
        .pool = r->pool,
    };
    struct policy p = {NULL, NULL};
    struct l2_worker *w = NULL;
    double begin = l2_seconds();
    o.sampler.temperature = r->args->temperature;
    int rc = policy_open(r, &p, batch->n * n, err);
    if (rc == L2_OK)
        rc = l2_generator_new(&w, p.engine, &o, err);
    if (rc == L2_OK && r->header.has_vocab)
        l2_generator_set_vocab_size(w, r->header.vocab_size);
    if (rc == L2_OK)
        rc = run_worker(w, batch, err);
    if (rc == L2_OK) {
        r->new_tokens += l2_generator_results(w)->tokens;
        keep_sampled(batch);
    }
    if (w)
        w->ops->free(w);
    policy_close(&p);
    r->generating += l2_seconds() - begin;
    return rc;
}

/* ---- scores ---- */

static int score_with(struct l2_loaded *l, const char *name, struct l2_prompts *batch,
                      struct l2_err *err)
{
    struct l2_score_opts o = {.kind = L2_SCORE_REWARD, .name = name};
    struct l2_worker *w = NULL;
    if (!l->engine)
        return L2_OK;
    int rc = l2_scorer_new(&w, l->engine, &o, err);
    if (rc == L2_OK)
        rc = run_worker(w, batch, err);
    if (w)
        w->ops->free(w);
    return rc;
}

/* 1 where the pattern occurs in the completion's text, else 0. */
static int match(struct l2_ppo_run *r, struct l2_record *rec, struct l2_completion *c,
                 struct l2_err *err)
{
    struct l2_buf text = {.len = 0};
    struct l2_stop_state state = {0};
    size_t begin;
    bool found = false;
    int rc = l2_decode(r->vocab, c->tokens.v, c->tokens.n, true, &text, err);
    if (rc == L2_OK && text.len > 0)
        rc = l2_stop_search(r->pattern, &state, (const char *)text.data, text.len, &found, &begin,
                            err);
    l2_buf_release(&text);
    return rc == L2_OK ? l2_record_set_score(rec, c, "reward", found, err) : rc;
}

static int need(const struct l2_completion *c, const char *name, double *out, struct l2_err *err)
{
    const double *v = l2_completion_score(c, name);
    if (!v)
        return l2_err_set(err, L2_CORRUPT, "a rollout without a score '%s'", name);
    *out = *v;
    return L2_OK;
}

/* The combined reward of a completion, raw, without what whitening makes of it. */
static int combine(struct l2_ppo_run *r, struct l2_record *rec, struct l2_completion *c,
                   struct l2_ppo_scores *s, struct l2_err *err)
{
    const char *name = r->args->reward ? "helpfulness" : "reward";
    double value = 0, safety = 0;
    bool tagged = false;
    int rc = L2_OK;
    if (r->pattern)
        rc = match(r, rec, c, err);
    if (rc == L2_OK)
        rc = need(c, name, &value, err);
    if (rc != L2_OK)
        return rc;
    s->helpfulness += value;
    if (r->safety.engine) {
        rc = need(c, "safety", &safety, err);
        if (rc == L2_OK && r->args->safety_tag && rec->has_meta)
            rc = l2_fields_is_true(&rec->meta, r->args->safety_tag, &tagged, err);
        if (rc != L2_OK)
            return rc;
        s->safety += safety;
        value = l2_combined_reward(safety, value, tagged);
    }
    if (c->finish != L2_FINISH_EOS)
        value -= r->args->missing_eos;
    s->score += value;
    s->length += (double)c->tokens.n;
    s->eos += c->finish == L2_FINISH_EOS;
    return l2_record_set_score(rec, c, "score", value, err);
}

int l2_ppo_score(struct l2_ppo_run *r, struct l2_prompts *batch, struct l2_ppo_scores *s,
                 struct l2_err *err)
{
    double begin = l2_seconds(), n = 0;
    *s = (struct l2_ppo_scores){0};
    int rc = score_with(&r->helpfulness, "helpfulness", batch, err);
    if (rc == L2_OK)
        rc = score_with(&r->safety, "safety", batch, err);
    if (rc == L2_OK && r->args->command)
        rc = l2_ppo_command(r, batch, err);
    for (size_t i = 0; i < batch->n && rc == L2_OK; i++)
        for (size_t k = 0; k < batch->v[i]->n_completions && rc == L2_OK; k++, n++)
            rc = combine(r, batch->v[i], &batch->v[i]->completions[k], s, err);
    double *means[] = {&s->score, &s->helpfulness, &s->safety, &s->length, &s->eos};
    for (size_t i = 0; i < sizeof means / sizeof *means && n > 0; i++)
        *means[i] /= n;
    r->scoring += l2_seconds() - begin;
    return rc;
}

/* ---- rollouts on disk ---- */

int l2_ppo_write_stream(struct l2_ppo_run *r, const struct l2_prompts *batch, int fd,
                        const char *path, struct l2_err *err)
{
    struct l2_writer *w = NULL;
    struct l2_header h;
    l2_header_init(&h);
    int rc = l2_header_copy(&h, &r->header, err);
    if (rc == L2_OK)
        rc = l2_pipe_add_history(r->cli, &h, r->kernels, err);
    if (rc == L2_OK)
        rc = l2_writer_new(&w, fd, path, 3, err);
    if (rc == L2_OK)
        rc = l2_writer_header(w, &h, err);
    for (size_t i = 0; i < batch->n && rc == L2_OK; i++)
        rc = l2_writer_record(w, batch->v[i], err);
    if (rc == L2_OK)
        rc = l2_writer_end(w, true, NULL, err);
    l2_writer_free(w);
    l2_header_release(&h);
    return rc;
}

int l2_ppo_write_rollouts(struct l2_ppo_run *r, const struct l2_prompts *batch, const char *path,
                          struct l2_err *err)
{
    struct l2_newfile f;
    int rc = l2_newfile_replace(&f, path, err);
    return rc == L2_OK ? l2_newfile_close(&f, l2_ppo_write_stream(r, batch, f.fd, f.path, err), err)
                       : rc;
}
