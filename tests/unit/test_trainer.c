/* Unit tests of training steps: losses against their formulas, gradients against differences,
 * optimiser, schedules, checkpoints that are damaged or of another run, and workers that share the
 * work. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "kern/ops.h"
#include "kern/simd.h"
#include "scratch.h"
#include "stream/codec.h"
#include "train/trainer_state.h"
#include "util/num.h"
#include "util/rapl.h"

#define CONTEXT 24

static struct l2_err err;

static const struct l2_hparams base_hp = {.head = L2_HEAD_VOCAB,
                                          .dim = 20,
                                          .hidden = 28,
                                          .n_layers = 2,
                                          .n_heads = 4,
                                          .n_kv_heads = 2,
                                          .head_dim = 6,
                                          .vocab_size = 40,
                                          .context = 64,
                                          .norm_eps = 1e-5f,
                                          .rope_theta = 10000,
                                          .bos = L2_NO_TOKEN};

static struct l2_hparams reward_hp(void)
{
    struct l2_hparams hp = base_hp;
    hp.head = L2_HEAD_LABELS;
    hp.n_labels = 1;
    return hp;
}

static float noise(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) * 0x1p-23f - 1;
}

static struct l2_params *params_new(const struct l2_hparams *hp, bool half)
{
    struct l2_params *p;
    uint32_t seed = 5;
    assert_int_equal((half ? l2_params_new_frozen : l2_params_new)(&p, hp, &err), L2_OK);
    for (size_t i = 0; i < p->n_tensors; i++) {
        enum l2_role role;
        uint32_t layer, rows, cols;
        l2_tensor_at(hp, i, &role, &layer);
        l2_role_shape(hp, role, &rows, &cols);
        float *at = l2_params_at(p, role, layer);
        for (size_t j = 0; j < (size_t)rows * cols; j++) {
            float v = noise(&seed) * 0.3f + (l2_roles[role].decayed ? 0 : 1);
            if (at)
                at[j] = v;
            else
                p->frozen[p->offset[i] + j] = l2_bf16_from_f32(v);
        }
    }
    return p;
}

/* ---- streams ---- */

struct stream {
    int fd;
    struct l2_writer *w;
    struct l2_header h;
    struct l2_record rec;
};

static void begin(struct stream *s)
{
    char path[] = "/tmp/l2-trainer-XXXXXX";
    s->fd = mkstemp(path);
    assert_true(s->fd >= 0);
    assert_int_equal(unlink(path), 0);
    l2_header_init(&s->h);
    l2_record_init(&s->rec);
    assert_int_equal(l2_writer_new(&s->w, s->fd, "in", 1, &err), L2_OK);
    assert_int_equal(l2_writer_header(s->w, &s->h, &err), L2_OK);
}

static int finish(struct stream *s)
{
    assert_int_equal(l2_writer_end(s->w, true, NULL, &err), L2_OK);
    l2_writer_free(s->w);
    l2_header_release(&s->h);
    l2_record_release(&s->rec);
    assert_int_equal(lseek(s->fd, 0, SEEK_SET), 0);
    return s->fd;
}

static struct l2_u32s ids(struct stream *s, uint32_t first, size_t n)
{
    struct l2_u32s a = {l2_arena_alloc(&s->rec.arena, n, sizeof *a.v, &err), n};
    assert_non_null(a.v);
    for (size_t i = 0; i < n; i++)
        a.v[i] = (uint32_t)(first + i * 7) % base_hp.vocab_size;
    return a;
}

static struct l2_fields field(struct stream *s, const char *name, const char *text, bool yes)
{
    struct l2_buf buf = {0};
    struct l2_cbor_out o = {.out = &buf, .err = &err};
    l2_cbor_put_str(&o, name);
    if (text)
        l2_cbor_put_str(&o, text);
    else
        l2_cbor_put_bool(&o, yes);
    assert_int_equal(o.rc, L2_OK);
    struct l2_fields f = {.n = 1, .len = buf.len};
    f.data = (const uint8_t *)l2_arena_strdup(&s->rec.arena, buf.data, buf.len, &err);
    l2_buf_release(&buf);
    return f;
}

/* n texts of 5 to 34 ids. */
static int texts(size_t n)
{
    struct stream s;
    begin(&s);
    for (size_t i = 0; i < n; i++) {
        l2_record_reset(&s.rec);
        s.rec.id.number = (int64_t)i;
        s.rec.prompt = ids(&s, (uint32_t)i, 1);
        struct l2_completion *c = l2_record_add_completion(&s.rec, &err);
        assert_non_null(c);
        c->tokens = ids(&s, (uint32_t)(3 * i + 1), 5 + i * 11 % 30);
        assert_int_equal(l2_writer_record(s.w, &s.rec, &err), L2_OK);
    }
    return finish(&s);
}

/* n pairs; the ratings go round, every third pair says how safe its answers are. */
static int pairs(size_t n)
{
    struct stream s;
    begin(&s);
    for (size_t i = 0; i < n; i++) {
        l2_record_reset(&s.rec);
        s.rec.id.number = (int64_t)i;
        s.rec.prompt = ids(&s, (uint32_t)i, 3);
        s.rec.has_meta = true;
        s.rec.meta = field(&s, "rating", l2_rating_names[i % L2_N_RATINGS], false);
        for (uint32_t k = 0; k < 2; k++) {
            struct l2_completion *c = l2_record_add_completion(&s.rec, &err);
            assert_non_null(c);
            c->tokens = ids(&s, (uint32_t)(5 * i + 13 * k), 4 + i % 3 + k);
            c->has_labels = i % 3 == 0;
            if (c->has_labels)
                c->labels = field(&s, "safe", NULL, k == (i / 3) % 2);
        }
        assert_int_equal(l2_writer_record(s.w, &s.rec, &err), L2_OK);
    }
    return finish(&s);
}

static struct l2_data_opts data_opts(enum l2_data_kind kind)
{
    struct l2_data_opts o = {.kind = kind,
                             .context = CONTEXT,
                             .sequences = 2,
                             .vocab_size = base_hp.vocab_size,
                             .bos = L2_NO_TOKEN,
                             .eos = L2_NO_TOKEN,
                             .seed = 7};
    memcpy(o.margins, l2_margins_large, sizeof o.margins);
    return o;
}

static struct l2_data *data_new(int fd, const struct l2_data_opts *o)
{
    struct l2_data_input in = {.fd = fd, .name = "in"};
    struct l2_data *d;
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(l2_data_new(&d, o, &in, 1, &err), L2_OK);
    return d;
}

static struct l2_trainer_opts trainer_opts(enum l2_data_kind kind)
{
    struct l2_data_opts d = data_opts(kind);
    return (struct l2_trainer_opts){
        .kind = kind,
        .max_rows = l2_data_max_rows(&d),
        .micro = 4,
        .adamw = l2_adamw_defaults,
        .schedule = {.kind = L2_SCHEDULE_CONSTANT, .peak = 0.01, .total = 100},
        .clip = 1};
}

static struct l2_trainer *trainer_new(struct l2_params *p, const struct l2_trainer_opts *o)
{
    struct l2_trainer *t;
    int rc = l2_trainer_new(&t, p, o, &err);
    if (rc != L2_OK)
        fail_msg("%s", err.text);
    return t;
}

/* ---- losses ---- */

static double softplus(double x)
{
    return log(1 + exp(x));
}

struct reward {
    struct l2_params *p;
    struct l2_trainer_opts o;
    struct l2_data_opts d;
    int fd;
};

/* The loss of one batch by its formula, from scores that a net gives. */
static double formula(const struct reward *w, double rated[L2_N_RATINGS],
                      double right[L2_N_RATINGS])
{
    struct l2_data *d = data_new(w->fd, &w->d);
    struct l2_net_opts no = {.max_rows = w->o.max_rows, .inference = true};
    struct l2_data_batch b;
    struct l2_net *net;
    double sum = 0;
    size_t n = 0;
    assert_int_equal(l2_net_new(&net, &w->p->hp, &no, &err), L2_OK);
    memset(rated, 0, L2_N_RATINGS * sizeof *rated);
    memset(right, 0, L2_N_RATINGS * sizeof *right);
    for (uint32_t i = 0; i < w->o.micro; i++) {
        assert_int_equal(l2_data_next(d, &b, &err), L2_OK);
        assert_int_equal(l2_net_forward(net, w->p, &b.net, &err), L2_OK);
        for (size_t k = 0; k < b.n_pairs; k++, n++) {
            const struct l2_data_pair *pair = &b.pairs[k];
            float r[2];
            l2_net_label_head(net, pair->rows, 2, r);
            double x = (double)r[0] - r[1] - pair->margin, both = (double)r[0] + r[1];
            assert_true(pair->margin == l2_margins_large[pair->rating]);
            sum += softplus(-x) + w->o.centre * both * both;
            for (int a = 0; a < 2; a++)
                if (pair->safe[a] >= 0)
                    sum += w->o.safety * softplus(pair->safe[a] ? -(double)r[a] : (double)r[a]);
            rated[pair->rating]++;
            right[pair->rating] += r[0] > r[1];
        }
    }
    l2_net_free(net);
    l2_data_free(d);
    return sum / (double)n;
}

static double mean_loss(const struct reward *w, struct l2_losses *losses)
{
    struct l2_data *d = data_new(w->fd, &w->d);
    struct l2_trainer *t = trainer_new(w->p, &w->o);
    assert_int_equal(l2_trainer_evaluate(t, d, w->o.micro, losses, &err), L2_OK);
    l2_trainer_free(t);
    l2_data_free(d);
    return losses->loss / (double)losses->n;
}

/* Margins by rating, the safety labels' loss and the centring term, alone and together; accuracies
 * by rating. */
static void test_pair_losses(void **state)
{
    static const double centres[] = {0, 0.01, 0, 0.02}, safeties[] = {0, 0, 0.5, 0.3};
    struct l2_hparams hp = reward_hp();
    struct reward w = {.p = params_new(&hp, false),
                       .o = trainer_opts(L2_DATA_PAIRS),
                       .d = data_opts(L2_DATA_PAIRS),
                       .fd = pairs(24)};
    double seen[4];
    (void)state;
    w.o.micro = 12; /* all of them */
    for (size_t i = 0; i < 4; i++) {
        struct l2_losses losses;
        double rated[L2_N_RATINGS], right[L2_N_RATINGS];
        w.o.centre = centres[i];
        w.o.safety = safeties[i];
        seen[i] = formula(&w, rated, right);
        assert_true(fabs(mean_loss(&w, &losses) / seen[i] - 1) < 1e-6);
        assert_true(i == 0 || fabs(seen[i] - seen[0]) > 1e-4);
        for (size_t k = 0; k < L2_N_RATINGS; k++) {
            assert_true(rated[k] > 0 && losses.n_rated[k] == (uint64_t)rated[k]);
            assert_true(losses.right_rated[k] == right[k]);
        }
    }
    l2_params_free(w.p);
    close(w.fd);
}

/* Differences of the loss along weights of the head, an embedding and a matrix. */
static void test_pair_gradients(void **state)
{
    static const struct {
        enum l2_role role;
        size_t at;
    } places[] = {{L2_T_SCORE, 3}, {L2_T_SCORE, 11}, {L2_T_EMBED, 24}, {L2_T_DOWN, 70}};
    struct l2_hparams hp = reward_hp();
    struct reward w = {.p = params_new(&hp, false),
                       .o = trainer_opts(L2_DATA_PAIRS),
                       .d = data_opts(L2_DATA_PAIRS),
                       .fd = pairs(24)};
    struct l2_step step;
    struct l2_losses losses;
    (void)state;
    w.o.centre = 0.05;
    w.o.safety = 0.4;
    struct l2_data *d = data_new(w.fd, &w.d);
    struct l2_trainer *t = trainer_new(w.p, &w.o);
    assert_int_equal(l2_trainer_gradients(t, d, &step, &err), L2_OK);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        float *at = l2_params_at(w.p, places[i].role, 0) + places[i].at, was = *at;
        double got = l2_params_at(l2_trainer_grads(t), places[i].role, 0)[places[i].at];
        *at = was + 4e-3f;
        double up = mean_loss(&w, &losses);
        *at = was - 4e-3f;
        double down = mean_loss(&w, &losses);
        *at = was;
        double want = (up - down) / 8e-3;
        assert_true(fabs(got - want) < 2e-3 * (fabs(want) + 0.05));
    }
    l2_trainer_free(t);
    l2_data_free(d);
    l2_params_free(w.p);
    close(w.fd);
}

/* ---- the optimiser ---- */

/* AdamW of one value in double, as its paper has it. */
static void test_adamw(void **state)
{
    const struct l2_adamw_opts o = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-5, .weight_decay = 0.1};
    float p[3] = {1, -2, 0.5f}, g[3], m[3] = {0}, v[3] = {0};
    double wp[3] = {1, -2, 0.5}, wm[3] = {0}, wv[3] = {0};
    struct l2_adamw_array a = {.p.f32 = p, .m.f32 = m, .v.f32 = v, .g = g, .n = 3, .decayed = true};
    (void)state;
    for (uint64_t step = 1; step <= 20; step++) {
        for (size_t i = 0; i < 3; i++) {
            double x = sin((double)(step * 3 + i)), scaled = 0.5 * x;
            g[i] = (float)x;
            wm[i] = 0.9 * wm[i] + 0.1 * scaled;
            wv[i] = 0.95 * wv[i] + 0.05 * scaled * scaled;
            double mean = wm[i] / (1 - pow(0.9, (double)step));
            double square = wv[i] / (1 - pow(0.95, (double)step));
            wp[i] -= 0.01 * 0.1 * wp[i];
            wp[i] -= 0.01 * mean / (sqrt(square) + 1e-5);
        }
        l2_adamw_array_step(&o, step, &a, 0.5, 0.01, NULL);
        for (size_t i = 0; i < 3; i++) {
            assert_true(fabs(p[i] - wp[i]) < 1e-6);
            assert_true(g[i] == 0);
        }
    }
}

/* All sets of kernels give the same bits, tails included. */
static void test_adamw_sets(void **state)
{
    const struct l2_adamw_rates r = {0.9f, 0.95f, 1e-5f, 0.01f, 0.5f, 2, 3, 0.999f};
    const struct l2_simd *sets[L2_SIMD_MAX];
    size_t n_sets = l2_simd_all(sets);
    (void)state;
    for (size_t n = 1; n < 50; n++) {
        float first[4][50], row[4][50];
        for (size_t s = 0; s < n_sets; s++) {
            uint32_t seed = (uint32_t)n;
            for (size_t i = 0; i < 200; i++)
                row[i / 50][i % 50] = i < 150 ? noise(&seed) : fabsf(noise(&seed));
            sets[s]->adamw(row[0], row[1], row[2], row[3], n, &r);
            if (s == 0)
                memcpy(first, row, sizeof row);
            assert_memory_equal(first, row, sizeof row);
        }
    }
}

/* Steps far below the precision of bf16 add up in the mean, whatever the pool; and the same call
 * rounds the same way. */
static void test_random_rounding(void **state)
{
    enum { N = 40000 };
    struct l2_adamw_opts o = l2_adamw_defaults;
    uint16_t *p = malloc(N * sizeof *p), *again = malloc(N * sizeof *again);
    float *g = malloc(N * sizeof *g), *m = calloc(N, sizeof *m), *v = calloc(N, sizeof *v);
    struct l2_pool *pool;
    double sum = 0;
    (void)state;
    assert_true(p && again && g && m && v);
    assert_int_equal(l2_pool_new(&pool, 3, &err), L2_OK);
    o.weight_decay = 0;
    for (int round = 0; round < 2; round++) {
        struct l2_adamw_array a = {.p.bf16 = round ? again : p,
                                   .m.f32 = m,
                                   .v.f32 = v,
                                   .g = g,
                                   .n = N,
                                   .number = 12345678901};
        memset(m, 0, N * sizeof *m);
        memset(v, 0, N * sizeof *v);
        for (size_t i = 0; i < N; i++)
            a.p.bf16[i] = l2_bf16_from_f32(1);
        for (uint64_t step = 1; step <= 10; step++) {
            for (size_t i = 0; i < N; i++)
                g[i] = 1;
            l2_adamw_array_step(&o, step, &a, 1, 1e-4, round ? pool : NULL);
        }
    }
    assert_memory_equal(p, again, N * sizeof *p);
    for (size_t i = 0; i < N; i++) {
        sum += l2_f32_from_bf16(p[i]);
        assert_true(l2_f32_from_bf16(p[i]) <= 1 && l2_f32_from_bf16(p[i]) > 0.94f);
    }
    assert_true(fabs(sum / N - 0.999) < 1e-4); /* the precision there is 4e-3 */
    l2_pool_free(pool);
    free(p);
    free(again);
    free(g);
    free(m);
    free(v);
}

static void test_schedules(void **state)
{
    struct l2_schedule s = {
        .kind = L2_SCHEDULE_COSINE, .peak = 2, .least = 0.1, .warmup = 10, .total = 110};
    (void)state;
    assert_true(l2_schedule_at(&s, 1) == 0.2 && l2_schedule_at(&s, 10) == 2);
    assert_true(fabs(l2_schedule_at(&s, 60) - 1.1) < 1e-12); /* half way */
    assert_true(fabs(l2_schedule_at(&s, 110) - 0.2) < 1e-12 && l2_schedule_at(&s, 1000) == 0.2);
    for (uint64_t i = 11; i < 111; i++)
        assert_true(l2_schedule_at(&s, i) < l2_schedule_at(&s, i - 1));
    s.kind = L2_SCHEDULE_LINEAR;
    assert_true(fabs(l2_schedule_at(&s, 35) - 1.55) < 1e-12);
    s.kind = L2_SCHEDULE_CONSTANT;
    assert_true(l2_schedule_at(&s, 109) == 2 && l2_schedule_at(&s, 5) == 1);
}

/* ---- what can be trained ---- */

/* The loss falls over steps on the same few examples. */
static void check_learns(enum l2_data_kind kind, const struct l2_trainer_opts *o, bool half)
{
    struct l2_hparams hp = kind == L2_DATA_PAIRS ? reward_hp() : base_hp;
    struct l2_data_opts dopts = data_opts(kind);
    int fd = kind == L2_DATA_PAIRS ? pairs(16) : texts(16);
    struct l2_params *p = params_new(&hp, half);
    struct l2_data *d = data_new(fd, &dopts);
    struct l2_trainer *t = trainer_new(p, o);
    struct l2_step step;
    double first = 0, last = 0;
    for (int i = 0; i < 60; i++) {
        assert_int_equal(l2_trainer_step(t, d, &step, &err), L2_OK);
        last = step.sums.loss / (double)step.sums.n;
        first = i == 0 ? last : first;
    }
    assert_true(last < 0.7 * first);
    l2_trainer_free(t);
    l2_data_free(d);
    l2_params_free(p);
    close(fd);
}

static void test_kinds_of_training(void **state)
{
    struct l2_trainer_opts text = trainer_opts(L2_DATA_TEXT), pair = trainer_opts(L2_DATA_PAIRS);
    (void)state;
    check_learns(L2_DATA_TEXT, &text, false);
    text.moments = L2_BF16;
    check_learns(L2_DATA_TEXT, &text, false);
    text.weights = L2_BF16;
    check_learns(L2_DATA_TEXT, &text, true);
    text.products = L2_BF16;
    text.recompute = true;
    check_learns(L2_DATA_TEXT, &text, true);
    check_learns(L2_DATA_PAIRS, &pair, false);
    text = trainer_opts(L2_DATA_TEXT);
    text.lora = (struct l2_lora_opts){.rank = 8, .alpha = 16, .roles = L2_LORA_ALL};
    text.schedule.peak = 0.03;
    check_learns(L2_DATA_TEXT, &text, false);
    text.weights = L2_BF16;
    check_learns(L2_DATA_TEXT, &text, true);
    pair.lora = (struct l2_lora_opts){.rank = 2, .alpha = 4, .roles = L2_LORA_ATTENTION};
    check_learns(L2_DATA_PAIRS, &pair, false);
    pair.weights = pair.moments = L2_BF16;
    check_learns(L2_DATA_PAIRS, &pair, true);
}

/* With adapters nothing else changes, but for the label head. */
static void test_adapters_alone(void **state)
{
    struct l2_hparams hp = reward_hp();
    struct l2_trainer_opts o = trainer_opts(L2_DATA_PAIRS);
    struct l2_data_opts dopts = data_opts(L2_DATA_PAIRS);
    struct l2_params *p = params_new(&hp, false), *was = params_new(&hp, false);
    int fd = pairs(9);
    struct l2_step step;
    (void)state;
    o.lora = (struct l2_lora_opts){.rank = 2, .alpha = 4, .roles = L2_LORA_ALL};
    struct l2_data *d = data_new(fd, &dopts);
    struct l2_trainer *t = trainer_new(p, &o);
    for (int i = 0; i < 3; i++)
        assert_int_equal(l2_trainer_step(t, d, &step, &err), L2_OK);
    for (size_t i = 0; i < p->n_tensors; i++) {
        enum l2_role role;
        uint32_t layer, rows, cols;
        l2_tensor_at(&hp, i, &role, &layer);
        l2_role_shape(&hp, role, &rows, &cols);
        bool same = memcmp(l2_params_at(p, role, layer), l2_params_at(was, role, layer),
                           (size_t)rows * cols * sizeof(float)) == 0;
        assert_int_equal(same, role != L2_T_SCORE);
    }
    l2_trainer_free(t);
    l2_data_free(d);
    l2_params_free(p);
    l2_params_free(was);
    close(fd);
}

static void test_refused(void **state)
{
    struct l2_hparams hp = reward_hp();
    struct l2_params *text = params_new(&base_hp, false), *pair = params_new(&hp, false),
                     *half = params_new(&base_hp, true);
    struct l2_trainer_opts o = trainer_opts(L2_DATA_TEXT);
    struct l2_trainer *t;
    (void)state;
    assert_int_equal(l2_trainer_new(&t, pair, &o, &err), L2_ARGUMENT);
    assert_int_equal(l2_trainer_new(&t, half, &o, &err), L2_ARGUMENT);
    o.lora = (struct l2_lora_opts){.rank = 1000, .alpha = 1, .roles = L2_LORA_ALL};
    assert_int_equal(l2_trainer_new(&t, text, &o, &err), L2_ARGUMENT);
    o = trainer_opts(L2_DATA_PAIRS);
    assert_int_equal(l2_trainer_new(&t, text, &o, &err), L2_ARGUMENT);
    l2_params_free(text);
    l2_params_free(pair);
    l2_params_free(half);
}

/* The plan is what is allocated; a 7b model with adapters takes less than 24 GB, in full more. */
static void test_plan(void **state)
{
    struct l2_hparams hp = {.dim = 4096,
                            .hidden = 11008,
                            .n_layers = 32,
                            .n_heads = 32,
                            .n_kv_heads = 32,
                            .head_dim = 128,
                            .vocab_size = 32000,
                            .context = 4096,
                            .norm_eps = 1e-5f,
                            .rope_theta = 10000};
    struct l2_trainer_opts o = {.kind = L2_DATA_ANSWERS, .max_rows = 4096, .recompute = true};
    struct l2_memory_plan all = l2_trainer_plan(&hp, &o);
    uint64_t n = l2_hparams_parameters(&hp);
    (void)state;
    assert_true(all.weights == 4 * n && all.gradients == 4 * n && all.moments == 8 * n);
    assert_true(all.all > 107000000000);
    o.moments = o.weights = L2_BF16;
    struct l2_memory_plan half = l2_trainer_plan(&hp, &o);
    assert_true(half.weights < 2.01 * (double)n && half.moments < 4.01 * (double)n);
    o.moments = L2_F32;
    o.lora = (struct l2_lora_opts){.rank = 16, .alpha = 32, .roles = L2_LORA_ALL};
    struct l2_memory_plan lora = l2_trainer_plan(&hp, &o);
    assert_true(lora.all < 24000000000 && lora.gradients == 0 && lora.moments == 0);
    assert_int_equal(lora.adapters, 4 * 4 * 39976960); /* parameters of rank 16, as PEFT counts */
}

/* ---- checkpoints ---- */

struct run {
    char dir[SCRATCH_PATH];
    char path[SCRATCH_PATH + 16];
    struct l2_params *p;
    struct l2_data *d;
    struct l2_trainer *t;
    int fd;
};

static void run_begin(struct run *r, const struct l2_trainer_opts *o)
{
    struct l2_data_opts d = data_opts(L2_DATA_TEXT);
    scratch_make(r->dir);
    snprintf(r->path, sizeof r->path, "%s/step", r->dir);
    r->fd = texts(30);
    r->p = params_new(&base_hp, false);
    r->d = data_new(r->fd, &d);
    r->t = trainer_new(r->p, o);
}

static void run_end(struct run *r)
{
    l2_trainer_free(r->t);
    l2_data_free(r->d);
    l2_params_free(r->p);
    close(r->fd);
    scratch_remove(r->dir);
}

static void run_steps(struct run *r, int n)
{
    struct l2_step step;
    for (int i = 0; i < n; i++)
        assert_int_equal(l2_trainer_step(r->t, r->d, &step, &err), L2_OK);
}

static size_t n_values(const struct run *r)
{
    return r->p->offset[r->p->n_tensors];
}

static float *copy_values(const struct run *r)
{
    float *v = malloc(n_values(r) * sizeof *v);
    assert_non_null(v);
    memcpy(v, r->p->values, n_values(r) * sizeof *v);
    return v;
}

static int read_back(struct run *r, bool changed)
{
    bool data_changed;
    return l2_checkpoint_read(r->t, r->d, r->path, changed, &data_changed, &err);
}

/* Every flipped byte is found, every cut too; what cannot be read changes nothing. */
static void test_damaged(void **state)
{
    struct l2_trainer_opts o = trainer_opts(L2_DATA_TEXT);
    struct run r;
    size_t n;
    (void)state;
    run_begin(&r, &o);
    run_steps(&r, 2);
    assert_int_equal(l2_checkpoint_write(r.t, r.d, r.path, &err), L2_OK);
    run_steps(&r, 2);
    float *values = copy_values(&r);
    char *bytes = scratch_read(r.path, &n);
    for (size_t at = 0; at < n; at += at < 2000 ? 1 : 997) {
        bytes[at] ^= 0x10;
        scratch_write(r.dir, "step", bytes, n);
        int rc = read_back(&r, false);
        bytes[at] ^= 0x10;
        assert_true(at < 8    ? rc == L2_FORMAT
                    : at < 16 ? rc == L2_UNSUPPORTED
                              : rc == L2_CORRUPT || (at >= 24 && at < 48 && rc == L2_TRUNCATED));
        assert_non_null(strstr(err.file, r.path));
    }
    for (size_t len = 0; len < n; len += len < 200 ? 1 : 1009) {
        scratch_write(r.dir, "step", bytes, len);
        assert_int_equal(read_back(&r, false), len < 8 ? L2_FORMAT : L2_TRUNCATED);
    }
    assert_int_equal(l2_trainer_steps(r.t), 4);
    assert_memory_equal(values, r.p->values, n_values(&r) * sizeof(float));
    scratch_write(r.dir, "step", bytes, n);
    assert_int_equal(read_back(&r, false), L2_OK);
    assert_int_equal(l2_trainer_steps(r.t), 2);
    run_steps(&r, 2); /* the same two again */
    assert_memory_equal(values, r.p->values, n_values(&r) * sizeof(float));
    free(values);
    free(bytes);
    run_end(&r);
}

/* Reads r's checkpoint into a run of other options: refused by that name, or taken with changed. */
static void other_run(struct run *r, const struct l2_trainer_opts *o, const struct l2_data_opts *d,
                      const char *name, bool can_change)
{
    struct l2_params *p = params_new(&base_hp, false);
    struct l2_data *data = data_new(r->fd, d);
    struct l2_trainer *t = trainer_new(p, o);
    bool data_changed;
    char want[64];
    snprintf(want, sizeof want, "is of a run with %s ", name);
    assert_int_equal(l2_checkpoint_read(t, data, r->path, false, &data_changed, &err), L2_ARGUMENT);
    if (!strstr(err.text, want))
        fail_msg("%s: %s", name, err.text);
    int rc = l2_checkpoint_read(t, data, r->path, true, &data_changed, &err);
    assert_int_equal(rc, can_change ? L2_OK : L2_ARGUMENT);
    assert_int_equal(l2_trainer_steps(t), can_change ? 1 : 0);
    l2_trainer_free(t);
    l2_data_free(data);
    l2_params_free(p);
}

static void test_other_settings(void **state)
{
    struct l2_trainer_opts o = trainer_opts(L2_DATA_TEXT), with;
    struct l2_data_opts d = data_opts(L2_DATA_TEXT), data;
    struct run r;
    (void)state;
    o.start = "0123";
    run_begin(&r, &o);
    run_steps(&r, 1);
    assert_int_equal(l2_checkpoint_write(r.t, r.d, r.path, &err), L2_OK);
#define CHANGED(field, value, name, can)                                                           \
    do {                                                                                           \
        with = o;                                                                                  \
        data = d;                                                                                  \
        field = value;                                                                             \
        other_run(&r, &with, &data, name, can);                                                    \
    } while (0)
    CHANGED(with.schedule.peak, 0.02, "lr", true);
    CHANGED(with.schedule.kind, L2_SCHEDULE_LINEAR, "schedule", true);
    CHANGED(with.schedule.least, 0.5, "min-lr", true);
    CHANGED(with.schedule.warmup, 3, "warmup", true);
    CHANGED(with.schedule.total, 101, "steps", true);
    CHANGED(with.adamw.beta1, 0.8, "beta1", true);
    CHANGED(with.adamw.beta2, 0.8, "beta2", true);
    CHANGED(with.adamw.eps, 1e-8, "eps", true);
    CHANGED(with.adamw.weight_decay, 0, "weight-decay", true);
    CHANGED(with.clip, 2, "clip", true);
    CHANGED(with.micro, 5, "micro-batches", true);
    CHANGED(with.products, L2_BF16, "bf16", true);
    CHANGED(with.start, "4567", "start", true);
    CHANGED(with.moments, L2_BF16, "moments", false);
    CHANGED(with.lora.rank, 2; with.lora.roles = L2_LORA_ALL;
            with.lora.alpha = 1, "lora-rank", false);
    CHANGED(data.context, 20, "context", true);
    CHANGED(data.seed, 8, "seed", true);
    CHANGED(data.epochs, 9, "epochs", true);
    CHANGED(data.cut_documents, true, "cut-documents", true);
    CHANGED(data.held_out, 0.2, "held-out", true);
#undef CHANGED
    run_end(&r);
}

/* A loss that is not finite stops the run, changes nothing and leaves the checkpoint. */
static void test_not_finite(void **state)
{
    struct l2_trainer_opts o = trainer_opts(L2_DATA_TEXT);
    struct l2_step step;
    struct run r;
    (void)state;
    run_begin(&r, &o);
    run_steps(&r, 2);
    assert_int_equal(l2_checkpoint_write(r.t, r.d, r.path, &err), L2_OK);
    float *good = copy_values(&r);
    l2_params_at(r.p, L2_T_UP, 1)[5] = NAN;
    float *bad = copy_values(&r);
    assert_int_equal(l2_trainer_step(r.t, r.d, &step, &err), L2_CORRUPT);
    assert_non_null(strstr(err.text, "step 3: loss "));
    assert_memory_equal(bad, r.p->values, n_values(&r) * sizeof(float));
    assert_int_equal(l2_trainer_steps(r.t), 2);
    assert_int_equal(read_back(&r, false), L2_OK);
    assert_memory_equal(good, r.p->values, n_values(&r) * sizeof(float));
    run_steps(&r, 1); /* no gradient of the bad step is left */
    for (size_t i = 0; i < n_values(&r); i++)
        assert_true(isfinite(r.p->values[i]));
    free(good);
    free(bad);
    run_end(&r);
}

/* A directory that is not there, and a full device. */
static void test_unwritable(void **state)
{
    struct l2_trainer_opts o = trainer_opts(L2_DATA_TEXT);
    struct run r;
    (void)state;
    run_begin(&r, &o);
    assert_int_equal(l2_checkpoint_write(r.t, r.d, r.path, &err), L2_OK);
    assert_int_equal(l2_checkpoint_write(r.t, r.d, "/nonexistent/step", &err), L2_SYSTEM);
    if (symlink("/dev/full", scratch_path(r.dir, "full.tmp")) == 0) {
        assert_int_equal(l2_checkpoint_write(r.t, r.d, scratch_path(r.dir, "full"), &err),
                         L2_SYSTEM);
        assert_non_null(strstr(err.text, "cannot write"));
        assert_int_not_equal(access(scratch_path(r.dir, "full"), F_OK), 0);
        assert_int_not_equal(access(scratch_path(r.dir, "full.tmp"), F_OK), 0);
    }
    assert_int_equal(read_back(&r, false), L2_OK);
    run_end(&r);
}

/* ---- workers ---- */

static void test_shards(void **state)
{
    static const size_t sizes[] = {0, 1, 16384, 16385, 100000, 1000003};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (uint32_t n = 1; n < 9; n++) {
            size_t at = 0;
            for (uint32_t w = 0; w < n; w++) {
                struct l2_shard s = l2_reduce_shard(sizes[i], w, n);
                assert_true(s.begin == at && s.end >= at);
                assert_true(s.end == sizes[i] || s.end % L2_REDUCE_RUN == 0);
                at = s.end;
            }
            assert_int_equal(at, sizes[i]);
        }
}

/* Workers that are threads of one process. */
#define MAX_WORKERS 3
struct team {
    pthread_barrier_t barrier;
    uint32_t n;
    void *shown[MAX_WORKERS]; /* what each works on */
};

struct worker {
    struct team *team;
    struct l2_reducer reducer;
    struct l2_data *d;
    struct l2_params *p;
    struct l2_trainer *t;
    struct l2_step step;
    int steps, rc;
};

static void show(struct worker *w, void *v)
{
    w->team->shown[w->reducer.worker] = v;
    (void)pthread_barrier_wait(&w->team->barrier);
}

static int team_sum(void *state, double *v, size_t n, struct l2_err *e)
{
    struct worker *w = state;
    double sums[64] = {0};
    (void)e;
    show(w, v);
    for (uint32_t k = 0; k < w->team->n; k++)
        for (size_t i = 0; i < n; i++)
            sums[i] += ((const double *)w->team->shown[k])[i];
    (void)pthread_barrier_wait(&w->team->barrier);
    memcpy(v, sums, n * sizeof *v);
    return L2_OK;
}

static int team_scatter(void *state, float *v, size_t n, struct l2_err *e)
{
    struct worker *w = state;
    struct l2_shard s = l2_reduce_shard(n, w->reducer.worker, w->team->n);
    (void)e;
    show(w, v);
    for (uint32_t k = 0; k < w->team->n; k++)
        for (size_t i = s.begin; k != w->reducer.worker && i < s.end; i++)
            v[i] += ((const float *)w->team->shown[k])[i];
    (void)pthread_barrier_wait(&w->team->barrier);
    return L2_OK;
}

static int team_gather(void *state, void *v, size_t n, size_t size, struct l2_err *e)
{
    struct worker *w = state;
    (void)e;
    show(w, v);
    for (uint32_t k = 0; k < w->team->n; k++) {
        struct l2_shard s = l2_reduce_shard(n, k, w->team->n);
        if (k != w->reducer.worker)
            memcpy((char *)v + s.begin * size, (const char *)w->team->shown[k] + s.begin * size,
                   (s.end - s.begin) * size);
    }
    (void)pthread_barrier_wait(&w->team->barrier);
    return L2_OK;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct l2_err local;
    for (int i = 0; i < w->steps && w->rc == L2_OK; i++)
        w->rc = l2_trainer_step(w->t, w->d, &w->step, &local);
    return NULL;
}

/* n workers with a model each take steps together. */
static void run_team(struct worker *w, uint32_t n, const struct l2_hparams *hp,
                     const struct l2_trainer_opts *opts, const int *fds)
{
    struct team team = {.n = n};
    pthread_t threads[MAX_WORKERS];
    assert_int_equal(pthread_barrier_init(&team.barrier, NULL, n), 0);
    for (uint32_t i = 0; i < n; i++) {
        struct l2_trainer_opts o = *opts;
        struct l2_data_opts d = data_opts(o.kind);
        w[i].team = &team;
        w[i].reducer = (struct l2_reducer){.worker = i,
                                           .n_workers = n,
                                           .state = &w[i],
                                           .sum = team_sum,
                                           .scatter = team_scatter,
                                           .gather = team_gather};
        o.reducer = &w[i].reducer;
        w[i].d = data_new(fds[i], &d);
        w[i].p = params_new(hp, false);
        w[i].t = trainer_new(w[i].p, &o);
    }
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &w[i]), 0);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    pthread_barrier_destroy(&team.barrier);
}

static void release_team(struct worker *w, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        l2_trainer_free(w[i].t);
        l2_data_free(w[i].d);
        l2_params_free(w[i].p);
    }
}

/* Two and three workers do what one does, but for rounding, and have equal parameters: all of them,
 * or adapters. More than one shard each: the model has 40000 values. */
static void test_workers(void **state)
{
    struct l2_hparams hp = base_hp;
    struct l2_trainer_opts o = trainer_opts(L2_DATA_TEXT);
    int fds[MAX_WORKERS];
    (void)state;
    hp.dim = 64;
    hp.hidden = 96;
    for (int i = 0; i < MAX_WORKERS; i++)
        fds[i] = texts(30);
    for (int lora = 0; lora < 2; lora++) {
        o.lora = (struct l2_lora_opts){.rank = lora ? 40 : 0,
                                       .alpha = 8,
                                       .roles = L2_LORA_BIT(L2_T_GATE) | L2_LORA_BIT(L2_T_UP)};
        struct worker one = {.steps = 5};
        run_team(&one, 1, &hp, &o, fds);
        assert_int_equal(one.rc, L2_OK);
        for (uint32_t n = 2; n <= MAX_WORKERS; n++) {
            struct worker w[MAX_WORKERS] = {{.steps = 5}, {.steps = 5}, {.steps = 5}};
            run_team(w, n, &hp, &o, fds);
            const float *a = lora ? one.t->lora->values : one.p->values;
            size_t n_all = lora ? one.t->lora->n : one.p->offset[one.p->n_tensors];
            assert_true(n_all > L2_REDUCE_RUN);
            for (uint32_t k = 0; k < n; k++) {
                const float *b = lora ? w[k].t->lora->values : w[k].p->values;
                assert_int_equal(w[k].rc, L2_OK);
                assert_int_equal(w[k].step.rows, one.step.rows);
                assert_int_equal(w[k].step.sums.n, one.step.sums.n);
                assert_true(fabs(w[k].step.sums.loss / one.step.sums.loss - 1) < 1e-5);
                assert_true(fabs(w[k].step.grad_norm / one.step.grad_norm - 1) < 1e-4);
                for (size_t i = 0; i < n_all; i++)
                    assert_true(fabsf(a[i] - b[i]) < 1e-4f);
                assert_memory_equal(b, lora ? w[0].t->lora->values : w[0].p->values,
                                    n_all * sizeof *b);
            }
            release_team(w, n);
        }
        release_team(&one, 1);
    }
    for (int i = 0; i < MAX_WORKERS; i++)
        close(fds[i]);
}

/* When one worker's numbers are not finite all stop, and none waits for ever. */
static void test_worker_fails(void **state)
{
    struct l2_trainer_opts o = trainer_opts(L2_DATA_TEXT);
    struct worker w[2] = {{.steps = 0}, {.steps = 0}};
    int fds[2] = {texts(30), texts(30)};
    struct team team = {.n = 2};
    pthread_t threads[2];
    (void)state;
    run_team(w, 2, &base_hp, &o, fds);
    l2_params_at(w[1].p, L2_T_UP, 0)[0] = NAN;
    assert_int_equal(pthread_barrier_init(&team.barrier, NULL, 2), 0);
    for (int i = 0; i < 2; i++) {
        w[i].team = &team;
        w[i].steps = 3;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &w[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(w[i].rc, L2_CORRUPT);
        close(fds[i]);
    }
    pthread_barrier_destroy(&team.barrier);
    release_team(w, 2);
}

/* ---- energy ---- */

/* Two packages, one of which begins again; a third that cannot be read. */
static void test_energy(void **state)
{
    char dir[SCRATCH_PATH];
    struct l2_rapl r;
    (void)state;
    scratch_make(dir);
    assert_false(l2_rapl_open(&r, dir));
    assert_int_equal(mkdir(scratch_path(dir, "intel-rapl:0"), 0700), 0);
    assert_int_equal(mkdir(scratch_path(dir, "intel-rapl:2"), 0700), 0);
    assert_int_equal(mkdir(scratch_path(dir, "intel-rapl:3"), 0700), 0);
    scratch_write_str(dir, "intel-rapl:0/energy_uj", "1000000\n");
    scratch_write_str(dir, "intel-rapl:2/energy_uj", "9000000\n");
    scratch_write_str(dir, "intel-rapl:2/max_energy_range_uj", "10000000\n");
    scratch_write_str(dir, "intel-rapl:3/energy_uj", "?\n");
    assert_true(l2_rapl_open(&r, dir) && r.n == 2);
    scratch_write_str(dir, "intel-rapl:0/energy_uj", "3500000\n");
    scratch_write_str(dir, "intel-rapl:2/energy_uj", "500000\n");
    l2_rapl_update(&r);
    assert_true(fabs(r.joules - (2.5 + 1.5)) < 1e-9);
    l2_rapl_update(&r);
    assert_true(fabs(r.joules - 4) < 1e-9);
    scratch_remove(scratch_path(dir, "intel-rapl:0"));
    scratch_remove(scratch_path(dir, "intel-rapl:2"));
    scratch_remove(scratch_path(dir, "intel-rapl:3"));
    scratch_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pair_losses),
        cmocka_unit_test(test_pair_gradients),
        cmocka_unit_test(test_adamw),
        cmocka_unit_test(test_adamw_sets),
        cmocka_unit_test(test_random_rounding),
        cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_kinds_of_training),
        cmocka_unit_test(test_adapters_alone),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_other_settings),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_unwritable),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_workers),
        cmocka_unit_test(test_worker_fails),
        cmocka_unit_test(test_energy),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
