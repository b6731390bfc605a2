/* Training steps: gradients are summed over micro-batches and workers, divided by what was
 * predicted, clipped and handed to the optimiser. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/trainer_state.h"

static struct l2_net_opts net_opts(const struct l2_trainer_opts *o)
{
    return (struct l2_net_opts){.pool = o->pool,
                                .max_rows = o->max_rows,
                                .recompute = o->recompute,
                                .lora_rank = o->lora.rank,
                                .frozen = o->weights == L2_BF16,
                                .products = o->products};
}

/* What is trained beside adapters: a model of nothing but the label head. */
static struct l2_hparams head_only(const struct l2_hparams *hp)
{
    struct l2_hparams head = *hp;
    head.n_layers = 0;
    head.vocab_size = 1;
    return head;
}

static bool trains_params(const struct l2_trainer_opts *o)
{
    return o->lora.rank == 0 || o->kind == L2_DATA_PAIRS;
}

static struct l2_hparams trained_hparams(const struct l2_hparams *hp,
                                         const struct l2_trainer_opts *o)
{
    return o->lora.rank == 0 ? *hp : head_only(hp);
}

/* ---- memory ---- */

/* Bytes of parameters with matrices in type. */
static uint64_t params_bytes(const struct l2_hparams *hp, enum l2_dtype type)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < l2_tensor_count(hp); i++) {
        enum l2_role role;
        uint32_t layer, rows, cols;
        l2_tensor_at(hp, i, &role, &layer);
        l2_role_shape(hp, role, &rows, &cols);
        bool half = type == L2_BF16 && l2_roles[role].decayed && role != L2_T_SCORE;
        sum += (uint64_t)rows * cols * (half ? 2 : 4);
    }
    return sum;
}

static uint64_t adapter_bytes(const struct l2_hparams *hp, const struct l2_lora_opts *o)
{
    uint64_t sum = 0;
    for (int role = 0; role < L2_N_ROLES; role++) {
        uint32_t rows, cols;
        l2_role_shape(hp, (enum l2_role)role, &rows, &cols);
        if (o->roles & L2_LORA_BIT(role))
            sum += ((uint64_t)rows + cols) * o->rank;
    }
    return sum * hp->n_layers * sizeof(float);
}

struct l2_memory_plan l2_trainer_plan(const struct l2_hparams *hp,
                                      const struct l2_trainer_opts *opts)
{
    struct l2_net_opts no = net_opts(opts);
    struct l2_hparams trained = trained_hparams(hp, opts);
    struct l2_memory_plan p = {.weights = params_bytes(hp, opts->weights),
                               .activations = l2_net_bytes(hp, &no)};
    if (trains_params(opts)) {
        p.gradients = params_bytes(&trained, L2_F32);
        p.moments = 2 * params_bytes(&trained, opts->moments);
    }
    if (opts->lora.rank > 0)
        p.adapters = 4 * adapter_bytes(hp, &opts->lora);
    p.all = p.weights + p.gradients + p.moments + p.adapters + p.activations;
    return p;
}

static int new_adapters(struct l2_trainer *t, struct l2_err *err)
{
    struct l2_lora **all[] = {&t->lora, &t->lora_grads, &t->lora_m, &t->lora_v};
    int rc = L2_OK;
    if (t->opts.lora.rank == 0)
        return L2_OK;
    for (size_t i = 0; i < sizeof all / sizeof *all && rc == L2_OK; i++)
        rc = l2_lora_new(all[i], &t->hp, &t->opts.lora, err);
    if (rc != L2_OK)
        return rc;
    l2_lora_init(t->lora, t->opts.seed);
    return l2_net_set_lora(t->net, t->lora, t->lora_grads, err);
}

static int allocate(struct l2_trainer *t, struct l2_err *err)
{
    struct l2_net_opts no = net_opts(&t->opts);
    struct l2_hparams trained = trained_hparams(&t->hp, &t->opts);
    int rc = l2_net_new(&t->net, &t->hp, &no, err);
    if (rc == L2_OK && trains_params(&t->opts))
        rc = l2_params_new(&t->grads, &trained, err);
    if (rc == L2_OK && trains_params(&t->opts))
        rc = l2_adamw_init_as(&t->adamw, &trained, &t->opts.adamw, t->opts.moments, err);
    return rc == L2_OK ? new_adapters(t, err) : rc;
}

int l2_trainer_new(struct l2_trainer **out, struct l2_params *params,
                   const struct l2_trainer_opts *opts, struct l2_err *err)
{
    *out = NULL;
    if ((opts->kind == L2_DATA_PAIRS) != (params->hp.head == L2_HEAD_LABELS) ||
        (opts->kind == L2_DATA_PAIRS && params->hp.n_labels != 1))
        return l2_err_set(err, L2_ARGUMENT, "the model has %s: want %s",
                          params->hp.head == L2_HEAD_LABELS ? "labels" : "a vocabulary head",
                          opts->kind == L2_DATA_PAIRS ? "one label" : "a vocabulary head");
    if (params->frozen && opts->weights != L2_BF16)
        return l2_err_set(err, L2_ARGUMENT, "parameters in bf16: want f32");
    if (opts->reducer && opts->reducer->n_workers > 1 &&
        (opts->weights == L2_BF16 || opts->moments == L2_BF16 ||
         (opts->lora.rank > 0 && opts->kind == L2_DATA_PAIRS)))
        return l2_err_set(err, L2_UNSUPPORTED,
                          "several workers, and values in bf16 or a label head beside adapters");
    struct l2_trainer *t = calloc(1, sizeof *t);
    if (!t)
        return l2_err_memory(err, sizeof *t);
    t->opts = *opts;
    t->hp = params->hp;
    t->params = params;
    if (!t->opts.reducer)
        t->opts.reducer = &l2_reducer_alone;
    t->adamw.opts = opts->adamw;
    int rc = allocate(t, err);
    if (rc != L2_OK) {
        l2_trainer_free(t);
        return rc;
    }
    *out = t;
    return L2_OK;
}

void l2_trainer_free(struct l2_trainer *t)
{
    if (!t)
        return;
    l2_net_free(t->net);
    l2_adamw_release(&t->adamw);
    l2_params_free(t->grads);
    l2_lora_free(t->lora);
    l2_lora_free(t->lora_grads);
    l2_lora_free(t->lora_m);
    l2_lora_free(t->lora_v);
    free(t->logprob);
    free(t->coefficient);
    free(t->scores);
    free(t->dscores);
    free(t->rows);
    free(t);
}

struct l2_params *l2_trainer_grads(struct l2_trainer *t)
{
    return t->grads;
}

const struct l2_lora *l2_trainer_lora(const struct l2_trainer *t)
{
    return t->lora;
}

uint64_t l2_trainer_steps(const struct l2_trainer *t)
{
    return t->adamw.step;
}

/* ---- what is trained ---- */

static size_t add_params(struct l2_trainer_piece *out, const struct l2_params *p, bool parameters)
{
    size_t n = 0, last = p->n_tensors;
    if (!p->frozen) {
        out[0] = (struct l2_trainer_piece){p->values, p->offset[last], sizeof(float), parameters};
        return 1;
    }
    for (size_t i = 0; i < last; i++) { /* the vectors' end: offsets of both kinds interleave */
        enum l2_role role;
        uint32_t layer, rows, cols;
        l2_tensor_at(&p->hp, i, &role, &layer);
        l2_role_shape(&p->hp, role, &rows, &cols);
        if (l2_params_at(p, role, layer))
            n = p->offset[i] + (size_t)rows * cols;
    }
    out[0] = (struct l2_trainer_piece){p->values, n, sizeof(float), parameters};
    out[1] = (struct l2_trainer_piece){p->frozen, p->offset[last], sizeof(uint16_t), parameters};
    return 2;
}

size_t l2_trainer_pieces(const struct l2_trainer *t, struct l2_trainer_piece out[L2_TRAINER_PIECES])
{
    size_t n = 0;
    if (t->lora) {
        const struct l2_lora *all[] = {t->lora, t->lora_m, t->lora_v};
        for (size_t i = 0; i < 3; i++)
            out[n++] = (struct l2_trainer_piece){all[i]->values, all[i]->n, sizeof(float), i == 0};
    }
    if (t->lora && t->grads)
        out[n++] =
            (struct l2_trainer_piece){l2_params_at(t->params, L2_T_SCORE, 0),
                                      (size_t)t->hp.n_labels * t->hp.dim, sizeof(float), true};
    else if (!t->lora)
        n += add_params(out + n, t->params, true);
    if (t->grads) {
        n += add_params(out + n, t->adamw.m, false);
        n += add_params(out + n, t->adamw.v, false);
    }
    return n;
}

/* ---- gradients ---- */

struct flat {
    float *v;
    size_t n;
};

/* All gradients, as arrays. */
static size_t flat_gradients(const struct l2_trainer *t, struct flat out[2])
{
    size_t n = 0;
    if (t->grads)
        out[n++] = (struct flat){t->grads->values, t->grads->offset[t->grads->n_tensors]};
    if (t->lora)
        out[n++] = (struct flat){t->lora_grads->values, t->lora_grads->n};
    return n;
}

static void clear_gradients(struct l2_trainer *t)
{
    struct flat g[2];
    size_t n = flat_gradients(t, g);
    for (size_t i = 0; i < n; i++)
        memset(g[i].v, 0, g[i].n * sizeof(float));
}

/* Adds the losses of a batch, and (train) its gradients. */
static int run_batch(struct l2_trainer *t, const struct l2_data_batch *b, bool train,
                     struct l2_losses *sums, struct l2_err *err)
{
    int rc = l2_net_forward(t->net, t->params, &b->net, err);
    if (rc == L2_OK)
        rc = l2_losses_add(t, b, train, sums, err);
    if (rc == L2_OK && train)
        l2_net_backward(t->net, t->lora ? NULL : t->grads);
    return rc;
}

/* Adds up what the workers have: losses, rows and who failed; then gradients. */
static int reduce(struct l2_trainer *t, struct l2_step *step, int rc, struct l2_err *err)
{
    const struct l2_reducer *r = t->opts.reducer;
    double numbers[L2_LOSSES_NUMBERS + 2];
    struct flat g[2];
    size_t n = flat_gradients(t, g);
    if (r->n_workers == 1)
        return rc;
    l2_losses_pack(&step->sums, numbers);
    numbers[L2_LOSSES_NUMBERS] = (double)step->rows;
    numbers[L2_LOSSES_NUMBERS + 1] = rc != L2_OK && rc != L2_END;
    int sum = l2_reduce_sum(r, numbers, L2_LOSSES_NUMBERS + 2, rc == L2_OK ? err : NULL);
    if (rc != L2_OK && rc != L2_END)
        return rc;
    if (sum != L2_OK)
        return sum;
    if (numbers[L2_LOSSES_NUMBERS + 1] > 0)
        return l2_err_set(err, L2_CORRUPT, "another worker failed");
    l2_losses_unpack(&step->sums, numbers);
    step->rows = (uint64_t)numbers[L2_LOSSES_NUMBERS];
    for (size_t i = 0; i < n && rc == L2_OK; i++)
        rc = l2_reduce_scatter(r, g[i].v, g[i].n, err);
    return rc;
}

/* The norm of the shards of all workers together. */
static int gradient_norm(struct l2_trainer *t, double *norm, struct l2_err *err)
{
    const struct l2_reducer *r = t->opts.reducer;
    struct flat g[2];
    size_t n = flat_gradients(t, g);
    double squares = 0;
    int rc = L2_OK;
    for (size_t i = 0; i < n && rc == L2_OK; i++) {
        struct l2_shard s = l2_reduce_shard(g[i].n, r->worker, r->n_workers);
        double sum;
        rc = l2_adamw_squares(g[i].v + s.begin, s.end - s.begin, t->opts.pool, &sum, err);
        squares += sum;
    }
    if (rc == L2_OK)
        rc = l2_reduce_sum(r, &squares, 1, err);
    *norm = sqrt(squares);
    return rc;
}

/* Sums losses and gradients of a step's batches; step->grad_norm is of the mean. */
static int sum_gradients(struct l2_trainer *t, struct l2_data *d, struct l2_step *step,
                         struct l2_err *err)
{
    const struct l2_reducer *r = t->opts.reducer;
    struct l2_data_batch b;
    double norm;
    int rc = L2_OK;
    uint64_t n = 0;
    *step = (struct l2_step){.rows = 0};
    for (uint32_t i = 0; i < t->opts.micro && rc == L2_OK; i++) {
        rc = l2_data_next(d, &b, err);
        n += rc == L2_OK;
        if (rc != L2_OK || l2_reduce_worker_of(r, i) != r->worker)
            continue;
        rc = run_batch(t, &b, true, &step->sums, err);
        step->rows += b.net.n_rows;
    }
    if (rc == L2_END && n > 0)
        rc = L2_OK; /* the last step of a run may be smaller */
    rc = rc == L2_END ? rc : reduce(t, step, rc, err);
    if (rc == L2_OK)
        rc = gradient_norm(t, &norm, err);
    if (rc != L2_OK)
        return rc;
    step->grad_norm = norm / (double)step->sums.n;
    if (!isfinite(step->sums.loss) || !isfinite(step->grad_norm))
        return l2_err_set(err, L2_CORRUPT, "step %llu: loss %g, norm of the gradients %g",
                          (unsigned long long)t->adamw.step + 1,
                          step->sums.loss / (double)step->sums.n, step->grad_norm);
    return L2_OK;
}

/* ---- steps ---- */

/* The adapters as one array, where [begin, end) of it belongs to the worker. */
static void step_adapters(struct l2_trainer *t, double scale, double lr)
{
    const struct l2_reducer *r = t->opts.reducer;
    struct l2_shard s = l2_reduce_shard(t->lora->n, r->worker, r->n_workers);
    struct l2_adamw_array a = {.p.f32 = t->lora->values + s.begin,
                               .m.f32 = t->lora_m->values + s.begin,
                               .v.f32 = t->lora_v->values + s.begin,
                               .g = t->lora_grads->values + s.begin,
                               .n = s.end - s.begin,
                               .decayed = true,
                               .number = s.begin};
    if (a.n > 0)
        l2_adamw_array_step(&t->adamw.opts, t->adamw.step, &a, scale, lr, t->opts.pool);
}

/* The label head's place among the gradients of a model of nothing else. */
static void step_head(struct l2_trainer *t, double scale, double lr)
{
    const struct l2_reducer *r = t->opts.reducer;
    size_t i = l2_tensor_index(&t->grads->hp, L2_T_SCORE, 0);
    struct l2_shard s =
        l2_reduce_shard(t->grads->offset[t->grads->n_tensors], r->worker, r->n_workers);
    struct l2_adamw_array a = l2_adamw_tensor(&t->adamw, t->adamw.m, t->grads, i, s.begin, s.end);
    if (a.n == 0)
        return;
    a.p.f32 =
        l2_params_at(t->params, L2_T_SCORE, 0) + (a.g - (t->grads->values + t->grads->offset[i]));
    l2_adamw_array_step(&t->adamw.opts, t->adamw.step, &a, scale, lr, t->opts.pool);
}

static void step_params(struct l2_trainer *t, double scale, double lr)
{
    const struct l2_reducer *r = t->opts.reducer;
    struct l2_shard s =
        l2_reduce_shard(t->grads->offset[t->grads->n_tensors], r->worker, r->n_workers);
    for (size_t i = 0; i < t->params->n_tensors; i++) {
        struct l2_adamw_array a =
            l2_adamw_tensor(&t->adamw, t->params, t->grads, i, s.begin, s.end);
        if (a.n > 0)
            l2_adamw_array_step(&t->adamw.opts, t->adamw.step, &a, scale, lr, t->opts.pool);
    }
}

/* All workers get what each has made of its shard. */
static int gather(struct l2_trainer *t, bool parameters, struct l2_err *err)
{
    struct l2_trainer_piece pieces[L2_TRAINER_PIECES];
    size_t n = l2_trainer_pieces(t, pieces);
    int rc = L2_OK;
    for (size_t i = 0; i < n && rc == L2_OK; i++)
        if (pieces[i].parameters == parameters)
            rc = l2_reduce_gather(t->opts.reducer, pieces[i].values, pieces[i].n, pieces[i].size,
                                  err);
    return rc;
}

int l2_trainer_step(struct l2_trainer *t, struct l2_data *d, struct l2_step *step,
                    struct l2_err *err)
{
    int rc = sum_gradients(t, d, step, err);
    if (rc != L2_OK) {
        clear_gradients(t);
        return rc;
    }
    double scale = 1 / (double)step->sums.n;
    step->lr = l2_schedule_at(&t->opts.schedule, t->adamw.step + 1);
    if (t->opts.clip > 0 && step->grad_norm > t->opts.clip)
        scale *= t->opts.clip / step->grad_norm;
    t->adamw.step++;
    if (t->lora)
        step_adapters(t, scale, step->lr);
    if (t->grads && t->lora)
        step_head(t, scale, step->lr);
    else if (t->grads)
        step_params(t, scale, step->lr);
    if (t->opts.reducer->n_workers > 1)
        clear_gradients(t);
    return gather(t, true, err);
}

int l2_trainer_gradients(struct l2_trainer *t, struct l2_data *d, struct l2_step *step,
                         struct l2_err *err)
{
    struct flat g[2];
    size_t n = flat_gradients(t, g);
    clear_gradients(t);
    int rc = sum_gradients(t, d, step, err);
    if (rc != L2_OK)
        return rc;
    float scale = (float)(1 / (double)step->sums.n);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < g[i].n; k++)
            g[i].v[k] *= scale;
    return L2_OK;
}

int l2_trainer_evaluate(struct l2_trainer *t, struct l2_data *d, uint64_t max,
                        struct l2_losses *losses, struct l2_err *err)
{
    struct l2_data_batch b;
    int rc = L2_OK;
    *losses = (struct l2_losses){.n = 0};
    l2_data_rewind(d);
    for (uint64_t i = 0; (max == 0 || i < max) && rc == L2_OK; i++) {
        rc = l2_data_next(d, &b, err);
        if (rc == L2_OK)
            rc = run_batch(t, &b, false, losses, err);
    }
    return rc == L2_END ? L2_OK : rc;
}

int l2_trainer_logits(struct l2_trainer *t, const uint32_t *tokens, size_t n, const float **logits,
                      struct l2_err *err)
{
    struct l2_span span = {0, (uint32_t)n, L2_NO_PARENT};
    struct l2_net_batch batch = {tokens, n, &span, 1};
    int rc = l2_net_forward(t->net, t->params, &batch, err);
    return rc == L2_OK ? l2_net_logits(t->net, (uint32_t)n - 1, logits, err) : rc;
}
