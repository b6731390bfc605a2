/* What tests of training share: small models, streams of texts and of rated pairs, and trainers. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "stream/codec.h"
#include "stream_file.h"
#include "train_fixture.h"
#include "util/num.h"

#define CONTEXT 24

struct l2_err err;

const struct l2_hparams train_hp = {.head = L2_HEAD_VOCAB,
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

struct l2_hparams train_reward_hp(void)
{
    struct l2_hparams hp = train_hp;
    hp.head = L2_HEAD_LABELS;
    hp.n_labels = 1;
    return hp;
}

float train_noise(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) * 0x1p-23f - 1;
}

struct l2_params *train_params(const struct l2_hparams *hp, bool half)
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
            float v = train_noise(&seed) * 0.3f + (l2_roles[role].decayed ? 0 : 1);
            if (at)
                at[j] = v;
            else
                p->frozen[p->offset[i] + j] = l2_bf16_from_f32(v);
        }
    }
    return p;
}

static struct l2_u32s ids(struct stream_file *s, uint32_t first, size_t n)
{
    struct l2_u32s a = {l2_arena_alloc(&s->rec.arena, n, sizeof *a.v, &err), n};
    assert_non_null(a.v);
    for (size_t i = 0; i < n; i++)
        a.v[i] = (uint32_t)(first + i * 7) % train_hp.vocab_size;
    return a;
}

static struct l2_fields field(struct stream_file *s, const char *name, const char *text, bool yes)
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

int train_texts(size_t n)
{
    struct stream_file s;
    stream_begin(&s);
    for (size_t i = 0; i < n; i++) {
        l2_record_reset(&s.rec);
        s.rec.id.number = (int64_t)i;
        s.rec.prompt = ids(&s, (uint32_t)i, 1);
        struct l2_completion *c = l2_record_add_completion(&s.rec, &err);
        assert_non_null(c);
        c->tokens = ids(&s, (uint32_t)(3 * i + 1), 5 + i * 11 % 30);
        assert_int_equal(l2_writer_record(s.w, &s.rec, &err), L2_OK);
    }
    return stream_finish(&s);
}

int train_pairs(size_t n)
{
    struct stream_file s;
    stream_begin(&s);
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
    return stream_finish(&s);
}

struct l2_data_opts train_data_opts(enum l2_data_kind kind)
{
    struct l2_data_opts o = {.kind = kind,
                             .context = CONTEXT,
                             .sequences = 2,
                             .vocab_size = train_hp.vocab_size,
                             .bos = L2_NO_TOKEN,
                             .eos = L2_NO_TOKEN,
                             .seed = 7};
    memcpy(o.margins, l2_margins_large, sizeof o.margins);
    return o;
}

struct l2_data *train_data(int fd, const struct l2_data_opts *o)
{
    struct l2_data_input in = {.fd = fd, .name = "in"};
    struct l2_data *d;
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(l2_data_new(&d, o, &in, 1, &err), L2_OK);
    return d;
}

struct l2_trainer_opts train_opts(enum l2_data_kind kind)
{
    struct l2_data_opts d = train_data_opts(kind);
    return (struct l2_trainer_opts){
        .kind = kind,
        .max_rows = l2_data_max_rows(&d),
        .micro = 4,
        .adamw = l2_adamw_defaults,
        .schedule = {.kind = L2_SCHEDULE_CONSTANT, .peak = 0.01, .total = 100},
        .clip = 1};
}

struct l2_trainer *train_new(struct l2_params *p, const struct l2_trainer_opts *o)
{
    struct l2_trainer *t;
    int rc = l2_trainer_new(&t, p, o, &err);
    if (rc != L2_OK)
        fail_msg("%s", err.text);
    return t;
}
