/* l2-ppo: what a run consists of: models, prompts, the policy and the memory for them. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "ppo.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/pipe.h"
#include "common/report.h"
#include "model/fingerprint.h"
#include "nn/params_view.h"
#include "sample/admit.h"
#include "util/grow.h"
#include "util/num.h"
#include "util/philox.h"

#define LARGE 30e9 /* parameters from which on the paper's beta is 0.005 */

/* ---- prompts ---- */

static int add(struct l2_prompts *p, struct l2_record *rec, struct l2_err *err)
{
    int rc = l2_grow(&p->v, p->n, &p->cap, 1, sizeof(struct l2_record *), err);
    if (rc == L2_OK)
        p->v[p->n++] = rec;
    return rc;
}

void l2_ppo_batch_free(struct l2_prompts *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->v[i])
            l2_record_release(p->v[i]);
        free(p->v[i]);
    }
    free(p->v);
    *p = (struct l2_prompts){0};
}

static struct l2_record *record_new(struct l2_err *err)
{
    struct l2_record *rec = malloc(sizeof *rec);
    if (rec)
        l2_record_init(rec);
    else
        (void)l2_err_memory(err, sizeof *rec);
    return rec;
}

/* Equal prompts stay together. */
static bool is_held(const struct l2_ppo_run *r, const uint8_t hash[L2_SHA256_SIZE])
{
    return (double)l2_get_u64le(hash) < r->args->held_out * 0x1p64;
}

static int take_prompt(struct l2_ppo_run *r, struct l2_record *rec, struct l2_sha256 *sha,
                       struct l2_err *err)
{
    uint8_t hash[L2_SHA256_SIZE];
    int rc = l2_admit_check(rec, r->model->hp.vocab_size, err);
    if (rc != L2_OK)
        return rc;
    rec->completions = NULL;
    rec->n_completions = 0;
    if (rec->prompt.n >= r->model->hp.context)
        return l2_admit_overlong(rec, r->model->hp.context, err);
    l2_record_hash(rec, hash);
    l2_sha256_update(sha, hash, sizeof hash);
    r->longest = rec->prompt.n > r->longest ? rec->prompt.n : r->longest;
    return add(is_held(r, hash) ? &r->held : &r->prompts, rec, err);
}

/* The streams' vocabulary is the model's. */
static int take_header(struct l2_ppo_run *r, struct l2_pipe *pipe, struct l2_err *err)
{
    const struct l2_header *h = l2_pipe_header(pipe);
    struct l2_loaded l = {.model = r->model, .vocab = r->vocab};
    int rc = l2_check_vocab(r->cli, &l, h, err);
    if (rc != L2_OK || r->header.has_vocab)
        return rc;
    l2_header_reset(&r->header);
    return l2_header_copy(&r->header, h, err);
}

static int read_prompts(struct l2_ppo_run *r, struct l2_pipe *pipe, struct l2_err *err)
{
    uint8_t digest[L2_SHA256_SIZE];
    struct l2_sha256 sha;
    int rc = L2_OK;
    l2_sha256_init(&sha);
    while (rc == L2_OK) {
        enum l2_pipe_event event;
        struct l2_record *rec = record_new(err);
        if (!rec)
            return L2_MEMORY;
        rc = l2_pipe_next(pipe, true, &event, rec, err);
        if (rc == L2_OK && event == L2_PIPE_RECORD) {
            rc = take_prompt(r, rec, &sha, err);
            if (rc == L2_OK)
                continue;
        } else if (rc == L2_OK && event == L2_PIPE_HEADER) {
            rc = take_header(r, pipe, err);
        }
        l2_record_release(rec);
        free(rec);
    }
    l2_sha256_final(&sha, digest);
    l2_sha256_hex(digest, r->prompts_hash);
    return rc == L2_END ? L2_OK : rc;
}

static int open_prompts(struct l2_ppo_run *r, struct l2_err *err)
{
    struct l2_pipe *pipe;
    size_t distinct = (size_t)(r->args->batch / r->args->completions);
    int rc = l2_pipe_open_input(&pipe, r->cli, err);
    if (rc != L2_OK)
        return rc;
    rc = read_prompts(r, pipe, err);
    bool incomplete = l2_pipe_incomplete(pipe);
    l2_pipe_close(pipe);
    if (rc == L2_OK && incomplete && !r->cli->partial)
        return L2_END; /* the pipe has told why */
    if (rc == L2_OK && r->prompts.n < distinct)
        rc = l2_err_set(err, L2_LIMIT,
                        "%zu prompts to train on, and a batch takes %zu: give more prompts, a "
                        "smaller --batch or more completions of each (-k)",
                        r->prompts.n, distinct);
    if (rc == L2_OK && r->args->held_out > 0 && r->held.n == 0)
        rc = l2_err_set(err, L2_LIMIT, "--held-out %g of %zu prompts is none", r->args->held_out,
                        r->prompts.n);
    return rc;
}

uint32_t l2_ppo_longest(const struct l2_ppo_run *r)
{
    size_t all = r->model->hp.context;
    if (r->args->max_tokens > 0 && r->longest + (size_t)r->args->max_tokens < all)
        all = r->longest + (size_t)r->args->max_tokens;
    return (uint32_t)all;
}

/* ---- models ---- */

static int check_reward(const struct l2_ppo_run *r, const struct l2_model *m, struct l2_err *err)
{
    const struct l2_hparams *hp = &m->hp;
    if (hp->head != L2_HEAD_LABELS || hp->n_labels != 1)
        return l2_err_at(err, L2_ARGUMENT, m->path, -1, "is no reward model: want one label");
    if (hp->vocab_size < r->model->hp.vocab_size)
        return l2_err_at(err, L2_ARGUMENT, m->path, -1, "has %u rows, and the policy %u",
                         (unsigned)hp->vocab_size, (unsigned)r->model->hp.vocab_size);
    return L2_OK;
}

/* A completion that is scored is done after a pass or two: as many as fill one with 16 rows each.
 */
static uint64_t scored_together(const struct l2_ppo_run *r)
{
    uint64_t n = L2_PPO_ROWS / 16, batch = (uint64_t)r->args->batch;
    return n < batch ? n : batch;
}

/* It takes what it has in common with those before it from there. */
static int open_reward(struct l2_ppo_run *r, struct l2_loaded *out, const char *path,
                       struct l2_err *err)
{
    struct l2_model_settings s = {.model = path,
                                  .batch = L2_PPO_ROWS,
                                  .kv_type = L2_KV_F32,
                                  .lender =
                                      r->helpfulness.engine ? r->helpfulness.engine : r->base};
    struct l2_model *m;
    if (!path)
        return L2_OK;
    int rc = l2_model_open(&m, path, err);
    if (rc != L2_OK)
        return rc;
    rc = check_reward(r, m, err);
    s.kv_bytes = l2_ppo_kv_bytes(r, &m->hp, scored_together(r));
    l2_model_close(m);
    if (rc == L2_OK)
        rc = l2_load(out, r->cli, &s, L2_PPO_ROWS, 0, err);
    if (rc != L2_OK)
        return rc;
    return l2_buf_printf(&r->settings, err, "reward-model %s\n", r->cli->model_id);
}

/* With adapters the start is packed once for all generation, and for the reward models that share
 * it. */
static int open_base(struct l2_ppo_run *r, struct l2_err *err)
{
    const struct l2_hparams *hp = &r->model->hp;
    struct l2_engine_opts o = {.backend = &l2_backend_native,
                               .pool = r->pool,
                               .max_rows = 1,
                               .max_outputs = 1,
                               .kv_bytes =
                                   l2_kv_block_bytes(hp, L2_KV_F32) * l2_kv_blocks_for(hp->context),
                               .kv_type = L2_KV_F32,
                               .pack = {.narrow = true}};
    if (r->args->optimiser.lora_rank == 0 ||
        (r->args->plan && !r->args->reward && !r->args->safety))
        return L2_OK;
    int rc = l2_params_new_frozen(&r->params, hp, err);
    if (rc != L2_OK)
        return rc;
    l2_params_load(r->params, r->model, r->pool);
    rc = l2_params_view(&r->base_model, r->params, err);
    return rc == L2_OK ? l2_engine_new(&r->base, r->base_model, &o, err) : rc;
}

static int compile_pattern(struct l2_ppo_run *r, struct l2_err *err)
{
    int rc = l2_stop_new(&r->pattern, r->args->pattern, err);
    if (rc != L2_ARGUMENT)
        return rc;
    struct l2_err why = *err;
    const char *colon = strstr(why.text, ": ");
    return l2_err_set(err, rc, "--reward-pattern: %.300s", colon ? colon + 2 : why.text);
}

static int open_policy(struct l2_ppo_run *r, struct l2_err *err)
{
    uint8_t digest[L2_SHA256_SIZE];
    int rc = l2_model_open(&r->model, r->args->model, err);
    if (rc == L2_OK && r->model->hp.head != L2_HEAD_VOCAB)
        rc = l2_err_at(err, L2_ARGUMENT, r->args->model, -1, "has labels: want a vocabulary head");
    if (rc != L2_OK)
        return rc;
    l2_model_fingerprint(r->model, digest);
    l2_sha256_hex(digest, r->start);
    if (r->model->vocab_path)
        rc = l2_vocab_open(&r->vocab, r->model->vocab_path, err);
    if (rc == L2_OK && r->args->pattern && !r->vocab)
        rc = l2_err_at(err, L2_ARGUMENT, r->args->model, -1,
                       "has no vocabulary, and --reward-pattern wants one");
    if (rc == L2_OK && r->args->pattern)
        rc = compile_pattern(r, err);
    return rc;
}

static uint32_t choose_rows(const struct l2_ppo_run *r)
{
    uint32_t longest = l2_ppo_longest(r), rows = r->args->rows > 0 ? (uint32_t)r->args->rows : 1024;
    return rows > longest ? rows : longest;
}

static void set_opts(struct l2_ppo_run *r)
{
    const struct l2_ppo_args *a = r->args;
    double beta = (double)l2_hparams_parameters(&r->model->hp) >= LARGE ? 0.005 : 0.01;
    r->ppo_opts = (struct l2_ppo_opts){
        .adamw = a->optimiser.adamw,
        .lr = a->lr,
        .clip = a->optimiser.clip,
        .cliprange = a->cliprange,
        .cliprange_value = a->cliprange_value,
        .vf_coef = a->vf_coef,
        .gamma = a->gamma,
        .lambda = a->lambda,
        .kl = (enum l2_kl_kind)a->kl,
        .kl_coef = a->kl_coef_given ? a->kl_coef : beta,
        .kl_target = a->kl_target,
        .kl_horizon = a->kl_horizon,
        .whiten_scores = !a->raw_scores,
        .epochs = (uint32_t)a->epochs,
        .mini_batch = (uint32_t)a->mini_batch,
        .max_rows = choose_rows(r),
        .recompute = a->optimiser.recompute,
        .products = a->optimiser.bf16 ? L2_BF16 : L2_F32,
        .lora = optimiser_lora(&a->optimiser),
        .seed = a->seed,
        .pool = r->pool,
    };
}

static uint64_t engine_bytes(struct l2_engine_memory m)
{
    return m.weights + m.work + m.kv;
}

static void report_plan(struct l2_ppo_run *r)
{
    const struct l2_hparams *hp = &r->model->hp;
    struct l2_ppo_plan p = l2_ppo_plan(hp, &r->ppo_opts);
    bool shared = r->args->optimiser.lora_rank > 0;
    struct l2_engine_opts eo = l2_ppo_engine_opts(r, (size_t)r->args->batch);
    eo.pack.narrow = shared;
    struct l2_engine_memory policy_engine = l2_engine_plan(hp, shared ? L2_BF16 : L2_F32, &eo);
    uint64_t policy = l2_hparams_parameters(hp) * (shared ? 2 : 4), rewards = 0, lent = 0;
    const struct l2_loaded *loaded[] = {&r->helpfulness, &r->safety};
    for (size_t i = 0; i < 2; i++)
        if (loaded[i]->engine) {
            struct l2_engine_memory m = l2_engine_memory(loaded[i]->engine);
            rewards += engine_bytes(m);
            lent += m.lent;
        }
    const struct l2_memory_part parts[] = {{"policy", policy},
                                           {"reference", shared ? 0 : policy},
                                           {"gradients", p.gradients},
                                           {"moments", p.moments},
                                           {"adapters", p.adapters},
                                           {"activations", p.activations},
                                           {"generation", engine_bytes(policy_engine)},
                                           {"reward_models", rewards}};
    l2_report_memory(r->cli, parts, sizeof parts / sizeof *parts);
    if (lent > 0)
        l2_cli_note(r->cli, "memory: reward models have %.1f MiB more that others hold, too",
                    (double)lent / 1048576);
}

static int open_params(struct l2_ppo_run *r, struct l2_err *err)
{
    const struct l2_hparams *hp = &r->model->hp;
    int rc = L2_OK;
    if (!r->params) {
        rc = l2_params_new(&r->params, hp, err);
        if (rc == L2_OK)
            rc = l2_params_new(&r->ref, hp, err);
        if (rc != L2_OK)
            return rc;
        l2_params_load(r->params, r->model, r->pool);
        l2_params_load(r->ref, r->model, r->pool);
    }
    return l2_ppo_new(&r->ppo, r->params, r->ref, &r->ppo_opts, err);
}

/* What a checkpoint must agree in. */
static int note_settings(struct l2_ppo_run *r, struct l2_err *err)
{
    int rc = l2_buf_printf(&r->settings, err, "start %s\nprompts %s\n", r->start, r->prompts_hash);
    if (rc == L2_OK && r->cli->settings)
        rc = l2_buf_append_str(&r->settings, r->cli->settings, err);
    if (rc == L2_OK)
        rc = l2_buf_append_byte(&r->settings, '\0', err);
    r->ppo_opts.settings = (const char *)r->settings.data;
    return rc;
}

int l2_ppo_open(struct l2_ppo_run *r, struct l2_err *err)
{
    l2_header_init(&r->header);
    int rc = l2_pool_new(&r->pool, (int)r->cli->threads, err);
    if (rc == L2_OK)
        rc = open_policy(r, err);
    if (rc == L2_OK)
        rc = open_prompts(r, err);
    if (rc == L2_OK)
        rc = open_base(r, err);
    if (rc == L2_OK)
        rc = open_reward(r, &r->helpfulness, r->args->reward, err);
    if (rc == L2_OK)
        rc = open_reward(r, &r->safety, r->args->safety, err);
    if (rc != L2_OK)
        return rc;
    memcpy(r->cli->model_id, r->start, sizeof r->start);
    set_opts(r);
    report_plan(r);
    if (r->args->plan)
        return L2_OK;
    rc = note_settings(r, err);
    return rc == L2_OK ? open_params(r, err) : rc;
}

void l2_ppo_close(struct l2_ppo_run *r)
{
    l2_unload(&r->safety); /* borrowers before those they borrow from */
    l2_unload(&r->helpfulness);
    l2_engine_free(r->base);
    l2_model_close(r->base_model);
    l2_ppo_free(r->ppo);
    l2_params_free(r->params);
    l2_params_free(r->ref);
    l2_stop_free(r->pattern);
    l2_ppo_batch_free(&r->prompts);
    l2_ppo_batch_free(&r->held);
    l2_header_release(&r->header);
    l2_buf_release(&r->settings);
    l2_vocab_free(r->vocab);
    l2_model_close(r->model);
    l2_pool_free(r->pool);
    if (r->log)
        fclose(r->log);
}

/* ---- batches ---- */

/* The prompt of from alone; what it points at is from's. */
static int add_copy(struct l2_prompts *out, const struct l2_record *from, struct l2_err *err)
{
    struct l2_record *rec = record_new(err);
    if (!rec)
        return L2_MEMORY;
    rec->id = from->id;
    rec->prompt = from->prompt;
    rec->messages = from->messages;
    rec->n_messages = from->n_messages;
    rec->spans = from->spans;
    rec->shape = from->shape;
    rec->has_meta = from->has_meta;
    rec->meta = from->meta;
    int rc = add(out, rec, err);
    if (rc != L2_OK) {
        l2_record_release(rec);
        free(rec);
    }
    return rc;
}

/* The order of a pass depends on its number and the seed alone. */
static void order_of(const struct l2_ppo_run *r, uint64_t pass, uint32_t *order)
{
    struct l2_philox_key key = l2_philox_key_of(r->args->seed);
    key.k[1] ^= 0x70726f6d; /* other draws than those of tokens */
    for (size_t i = 0; i < r->prompts.n; i++)
        order[i] = (uint32_t)i;
    l2_philox_shuffle(key, pass, order, r->prompts.n);
}

int l2_ppo_batch(struct l2_ppo_run *r, struct l2_prompts *out, struct l2_err *err)
{
    size_t n = (size_t)(r->args->batch / r->args->completions);
    uint32_t *order = malloc(r->prompts.n * sizeof *order);
    int rc = L2_OK;
    *out = (struct l2_prompts){0};
    if (!order)
        return l2_err_memory(err, r->prompts.n * sizeof *order);
    if (r->position + n > r->prompts.n) { /* a prompt is in a batch once */
        r->pass++;
        r->position = 0;
    }
    order_of(r, r->pass, order);
    for (size_t i = 0; i < n && rc == L2_OK; i++)
        rc = add_copy(out, r->prompts.v[order[r->position + i]], err);
    r->position += n;
    free(order);
    return rc;
}

int l2_ppo_held(const struct l2_ppo_run *r, struct l2_prompts *out, struct l2_err *err)
{
    int rc = L2_OK;
    *out = (struct l2_prompts){0};
    for (size_t i = 0; i < r->held.n && rc == L2_OK; i++)
        rc = add_copy(out, r->held.v[i], err);
    return rc;
}
