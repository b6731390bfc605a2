/* Unit tests of libcore/model: the table of tensors, reading every layout, writing, presets. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/model.h"
#include "model/preset.h"
#include "scratch.h"
#include "util/num.h"

static void assert_ok(int r, const struct l2_err *err)
{
    char text[1024];
    if (r == L2_OK)
        return;
    l2_err_format(err, text, sizeof text);
    fail_msg("%s", text);
}

static struct l2_model *open_model(const char *path)
{
    struct l2_model *m;
    struct l2_err err;
    assert_ok(l2_model_open(&m, path, &err), &err);
    return m;
}

/* ---- the table ---- */

static const struct l2_hparams small = {.dim = 8,
                                        .hidden = 6,
                                        .n_layers = 3,
                                        .n_heads = 4,
                                        .n_kv_heads = 2,
                                        .head_dim = 4,
                                        .vocab_size = 10,
                                        .context = 16,
                                        .norm_eps = 1e-5f,
                                        .rope_theta = 10000.0,
                                        .bos = 1,
                                        .eos = {2},
                                        .n_eos = 1};

static void check_index(const struct l2_hparams *hp, size_t want)
{
    size_t n = l2_tensor_count(hp);
    assert_int_equal(n, want);
    for (size_t i = 0; i < n; i++) {
        enum l2_role role;
        uint32_t layer;
        l2_tensor_at(hp, i, &role, &layer);
        assert_true(l2_role_present(hp, role));
        assert_int_equal(l2_tensor_index(hp, role, layer), i);
    }
    assert_true(l2_tensor_index(hp, L2_T_Q, hp->n_layers) == SIZE_MAX);
}

static void test_table_order(void **state)
{
    struct l2_hparams hp = small;
    char name[128];
    (void)state;
    check_index(&hp, 2 + 3 * 9 + 1);
    assert_true(l2_tensor_index(&hp, L2_T_SCORE, 0) == SIZE_MAX);
    hp.mlp_bias = true;
    check_index(&hp, 2 + 3 * (9 + 3) + 1);
    assert_true(l2_tensor_index(&hp, L2_T_Q_BIAS, 0) == SIZE_MAX);
    hp.attention_bias = true;
    check_index(&hp, 2 + 3 * (9 + 7) + 1);
    hp.mlp_bias = false;
    check_index(&hp, 2 + 3 * (9 + 4) + 1);
    assert_true(l2_tensor_index(&hp, L2_T_UP_BIAS, 0) == SIZE_MAX);
    hp.attention_bias = false;
    hp.tied = true;
    check_index(&hp, 2 + 3 * 9);
    assert_true(l2_tensor_index(&hp, L2_T_HEAD, 0) == SIZE_MAX);
    hp.tied = false;
    hp.head = L2_HEAD_LABELS;
    hp.n_labels = 1;
    check_index(&hp, 2 + 3 * 9 + 1);
    assert_true(l2_tensor_index(&hp, L2_T_HEAD, 0) == SIZE_MAX);
    l2_tensor_name(L2_T_DOWN, 12, name, sizeof name);
    assert_string_equal(name, "model.layers.12.mlp.down_proj.weight");
    l2_tensor_name(L2_T_SCORE, 0, name, sizeof name);
    assert_string_equal(name, "score.weight");
}

static void test_table_shapes(void **state)
{
    /* head_dim * n_heads is not dim here */
    static const uint32_t want[L2_N_ROLES][2] = {
        [L2_T_EMBED] = {10, 8},   [L2_T_ATTN_NORM] = {1, 8}, [L2_T_Q] = {16, 8},
        [L2_T_K] = {8, 8},        [L2_T_V] = {8, 8},         [L2_T_O] = {8, 16},
        [L2_T_FFN_NORM] = {1, 8}, [L2_T_GATE] = {6, 8},      [L2_T_UP] = {6, 8},
        [L2_T_DOWN] = {8, 6},     [L2_T_Q_BIAS] = {16, 1},   [L2_T_K_BIAS] = {8, 1},
        [L2_T_V_BIAS] = {8, 1},   [L2_T_O_BIAS] = {8, 1},    [L2_T_GATE_BIAS] = {6, 1},
        [L2_T_UP_BIAS] = {6, 1},  [L2_T_DOWN_BIAS] = {8, 1}, [L2_T_NORM] = {1, 8},
        [L2_T_HEAD] = {10, 8},    [L2_T_SCORE] = {2, 8}};
    struct l2_hparams hp = small;
    (void)state;
    hp.n_labels = 2;
    for (int role = 0; role < L2_N_ROLES; role++) {
        uint32_t rows, cols;
        l2_role_shape(&hp, (enum l2_role)role, &rows, &cols);
        assert_int_equal(rows, want[role][0]);
        assert_int_equal(cols, want[role][1]);
    }
}

/* Published sizes of the models. */
static void test_presets(void **state)
{
    static const struct {
        const char *name;
        uint64_t parameters;
    } presets[] = {{"7b", 6738415616},   {"13b", 13015864320}, {"34b", 33743970304},
                   {"70b", 68976648192}, {"1b", 1100048384},   {"110m", 109529856},
                   {"15m", 15191712},    {"tiny", 260032}};
    (void)state;
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++) {
        struct l2_hparams hp;
        struct l2_err err;
        char file[64];
        snprintf(file, sizeof file, "examples/presets/%s.yaml", presets[i].name);
        assert_ok(l2_preset_read(source_path(file), &hp, &err), &err);
        assert_ok(l2_preset_finish(&hp, presets[i].name, &err), &err);
        assert_int_equal(l2_hparams_parameters(&hp), presets[i].parameters);
        assert_int_equal(hp.eos[0], 2);
    }
}

/* What every token is multiplied with: all but the embedding's look-up and the norms. */
static void test_matrix_parameters(void **state)
{
    struct l2_hparams hp = small;
    uint64_t norms = (2 * 3 + 1) * 8, embedding = 10 * 8;
    (void)state;
    assert_int_equal(l2_hparams_matrix_parameters(&hp),
                     l2_hparams_parameters(&hp) - norms - embedding);
    uint64_t untied = l2_hparams_matrix_parameters(&hp);
    hp.tied = true;
    assert_int_equal(l2_hparams_matrix_parameters(&hp), untied);
}

static void test_hparams_check(void **state)
{
    struct l2_err err;
    (void)state;
#define BAD(code, field, value)                                                                    \
    do {                                                                                           \
        struct l2_hparams hp = small;                                                              \
        hp.field = value;                                                                          \
        assert_int_equal(l2_hparams_check(&hp, "x", &err), code);                                  \
    } while (0)
    assert_int_equal(l2_hparams_check(&small, "x", &err), L2_OK);
    BAD(L2_CORRUPT, dim, 0);
    BAD(L2_CORRUPT, n_layers, 0);
    BAD(L2_CORRUPT, n_kv_heads, 3);
    BAD(L2_CORRUPT, n_kv_heads, 8);
    BAD(L2_CORRUPT, head_dim, 3);
    BAD(L2_CORRUPT, norm_eps, 0);
    BAD(L2_CORRUPT, norm_eps, NAN);
    BAD(L2_CORRUPT, rope_theta, -1);
    BAD(L2_CORRUPT, bos, 10);
    BAD(L2_CORRUPT, eos[0], 10);
    BAD(L2_LIMIT, n_layers, UINT32_MAX);
    BAD(L2_LIMIT, dim, UINT32_MAX);
    BAD(L2_LIMIT, vocab_size, UINT32_MAX);
    BAD(L2_LIMIT, head_dim, 1u << 20);
#undef BAD
    struct l2_hparams none = small;
    none.bos = L2_NO_TOKEN;
    none.n_eos = 0;
    assert_int_equal(l2_hparams_check(&none, "x", &err), L2_OK);
}

/* ---- reading: tests/golden/checkpoint was written by mk_checkpoint.py ---- */

/* Compares all tensors that m and all[] (untied, then the scores) both have. */
static void check_values(const struct l2_model *m, const struct l2_hparams *all,
                         const char *expected)
{
    size_t n_bytes, at = 0;
    char *want = scratch_read(expected, &n_bytes);
    float row_got[64];
    for (size_t i = 0; i <= l2_tensor_count(all); i++) {
        enum l2_role role = L2_T_SCORE;
        uint32_t layer = 0, rows, cols;
        if (i < l2_tensor_count(all))
            l2_tensor_at(all, i, &role, &layer);
        l2_role_shape(all, role, &rows, &cols);
        const struct l2_tensor *t = l2_model_tensor(m, role, layer);
        assert_int_equal(t != NULL, l2_role_present(&m->hp, role));
        for (uint32_t row = 0; row < rows; row++, at += 4 * (size_t)cols) {
            assert_true(at + 4 * (size_t)cols <= n_bytes);
            if (!t)
                continue;
            l2_tensor_row(t, m->hp.head_dim, row, row_got);
            for (uint32_t c = 0; c < cols; c++)
                assert_true(row_got[c] == l2_get_f32le(want + at + 4 * (size_t)c));
        }
    }
    assert_int_equal(at, n_bytes);
    free(want);
}

static const struct l2_hparams golden = {.dim = 8,
                                         .hidden = 6,
                                         .n_layers = 2,
                                         .n_heads = 2,
                                         .n_kv_heads = 1,
                                         .head_dim = 4,
                                         .vocab_size = 10,
                                         .context = 12,
                                         .n_labels = 1};

static struct l2_model *open_golden(const char *name)
{
    char path[256], expected[SCRATCH_PATH];
    snprintf(expected, sizeof expected, "%s", source_path("tests/golden/checkpoint/expected.f32"));
    snprintf(path, sizeof path, "tests/golden/checkpoint/%s", name);
    struct l2_model *m = open_model(source_path(path));
    assert_int_equal(m->hp.dim, golden.dim);
    assert_int_equal(m->hp.hidden, golden.hidden);
    assert_int_equal(m->hp.n_layers, golden.n_layers);
    assert_int_equal(m->hp.n_heads, golden.n_heads);
    assert_int_equal(m->hp.n_kv_heads, golden.n_kv_heads);
    assert_int_equal(m->hp.head_dim, golden.head_dim);
    assert_int_equal(m->hp.vocab_size, golden.vocab_size);
    assert_int_equal(m->hp.context, golden.context);
    assert_int_equal(m->hp.bos, 1);
    assert_true(m->hp.norm_eps == 1e-5f);
    assert_null(m->vocab_path);
    check_values(m, &golden, expected);
    return m;
}

static void test_read_f32(void **state)
{
    (void)state;
    struct l2_model *m = open_golden("hf-f32");
    assert_false(m->hp.tied);
    assert_true(m->hp.rope_theta == 10000.0);
    assert_int_equal(m->hp.n_eos, 1);
    l2_model_close(m);
}

static void test_read_bf16(void **state)
{
    (void)state;
    struct l2_model *m = open_golden("hf-bf16");
    assert_int_equal(m->tensors[0].dtype, L2_BF16);
    assert_true(m->hp.rope_theta == 5e5); /* in rope_parameters */
    assert_int_equal(m->hp.n_eos, 2);
    assert_int_equal(m->hp.eos[1], 7);
    l2_model_close(m);
}

static void test_read_sharded(void **state)
{
    (void)state;
    struct l2_model *m = open_golden("hf-f16-sharded");
    assert_int_equal(m->n_maps, 3);
    assert_int_equal(m->tensors[0].dtype, L2_F16);
    l2_model_close(m);
}

static void test_read_reward(void **state)
{
    (void)state;
    struct l2_model *m = open_golden("rm-f32");
    assert_int_equal(m->hp.head, L2_HEAD_LABELS);
    assert_int_equal(m->hp.n_labels, 1);
    assert_int_equal(m->hp.reward_eos, L2_EOS_PRESENT);
    l2_model_close(m);
}

static void test_read_llama2c(void **state)
{
    static const char *const files[] = {"v0-untied.bin", "v0-tied.bin", "v1-untied.bin",
                                        "v1-tied.bin"};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct l2_model *m = open_golden(files[i]);
        assert_int_equal(m->hp.tied, i % 2);
        assert_int_equal(m->hp.eos[0], 2);
        l2_model_close(m);
    }
}

/* The same trained weights as .bin and as a Hugging Face directory. */
static void test_stories(void **state)
{
    float a[512], b[512];
    (void)state;
    if (!shared_path("data"))
        skip();
    struct l2_model *hf = open_model(shared_path("data/stories260K/hf"));
    struct l2_model *bin = open_model(shared_path("data/stories260K/stories260K.bin"));
    assert_string_equal(strrchr(hf->vocab_path, '/'), "/tokenizer.model");
    assert_int_equal(l2_tensor_count(&hf->hp), l2_tensor_count(&bin->hp));
    for (size_t i = 0; i < l2_tensor_count(&hf->hp); i++)
        for (uint32_t row = 0; row < hf->tensors[i].rows; row++) {
            l2_tensor_row(&hf->tensors[i], hf->hp.head_dim, row, a);
            l2_tensor_row(&bin->tensors[i], bin->hp.head_dim, row, b);
            assert_memory_equal(a, b, hf->tensors[i].cols * sizeof a[0]);
        }
    l2_model_close(bin);
    l2_model_close(hf);
}

/* ---- writing ---- */

/* Values that only F32 holds exactly; all finite in F16. */
static float value_at(enum l2_role role, uint32_t layer, uint32_t row, uint32_t col)
{
    return sinf((float)(1000 * (int)role + 100 * (int)layer + 10 * (int)row + (int)col + 1));
}

static int source_rows(void *arg, enum l2_role role, uint32_t layer, uint32_t row, uint32_t n_rows,
                       float *out, struct l2_err *err)
{
    const struct l2_hparams *hp = arg;
    uint32_t rows, cols;
    l2_role_shape(hp, role, &rows, &cols);
    if (row + n_rows > rows)
        return l2_err_set(err, L2_ARGUMENT, "asked for rows that are not there");
    for (uint32_t r = 0; r < n_rows; r++)
        for (uint32_t c = 0; c < cols; c++)
            out[r * cols + c] = value_at(role, layer, row + r, c);
    return L2_OK;
}

static float rounded(float v, enum l2_dtype dtype)
{
    return dtype == L2_F32   ? v
           : dtype == L2_F16 ? l2_f32_from_f16(l2_f16_from_f32(v))
                             : l2_f32_from_bf16(l2_bf16_from_f32(v));
}

static void check_hparams(const struct l2_hparams *a, const struct l2_hparams *b)
{
    assert_int_equal(a->head, b->head);
    assert_int_equal(a->n_labels, b->n_labels);
    assert_int_equal(a->dim, b->dim);
    assert_int_equal(a->hidden, b->hidden);
    assert_int_equal(a->n_layers, b->n_layers);
    assert_int_equal(a->n_heads, b->n_heads);
    assert_int_equal(a->n_kv_heads, b->n_kv_heads);
    assert_int_equal(a->head_dim, b->head_dim);
    assert_int_equal(a->vocab_size, b->vocab_size);
    assert_int_equal(a->context, b->context);
    assert_true(a->norm_eps == b->norm_eps);
    assert_true(a->rope_theta == b->rope_theta);
    assert_int_equal(a->tied, b->tied);
    assert_int_equal(a->bos, b->bos);
    assert_int_equal(a->n_eos, b->n_eos);
    assert_memory_equal(a->eos, b->eos, a->n_eos * sizeof a->eos[0]);
    assert_int_equal(a->reward_eos, b->reward_eos);
}

static void round_trip(const struct l2_hparams *hp, enum l2_dtype dtype, uint64_t shard_bytes,
                       size_t n_files)
{
    char dir[2 * SCRATCH_PATH];
    float row_got[64];
    struct l2_err err;
    struct l2_hparams copy = *hp;
    const struct l2_model_source source = {.rows = source_rows, .arg = &copy};
    const struct l2_model_write_opts opts = {.dtype = dtype, .shard_bytes = shard_bytes};
    snprintf(dir, sizeof dir, "%s/model", scratch);
    assert_ok(l2_model_write(dir, hp, &source, &opts, &err), &err);
    struct l2_model *m = open_model(dir);
    check_hparams(&m->hp, hp);
    assert_int_equal(m->n_maps, n_files);
    for (size_t i = 0; i < l2_tensor_count(hp); i++) {
        const struct l2_tensor *t = &m->tensors[i];
        enum l2_role role;
        uint32_t layer;
        l2_tensor_at(hp, i, &role, &layer);
        assert_int_equal(t->dtype, dtype);
        for (uint32_t row = 0; row < t->rows; row++) {
            l2_tensor_row(t, hp->head_dim, row, row_got);
            for (uint32_t c = 0; c < t->cols; c++)
                assert_true(row_got[c] == rounded(value_at(role, layer, row, c), dtype));
        }
    }
    l2_model_close(m);
    scratch_remove(dir);
}

static void test_round_trip(void **state)
{
    (void)state;
    for (int dtype = L2_F32; dtype <= L2_BF16; dtype++) {
        struct l2_hparams hp = small;
        round_trip(&hp, (enum l2_dtype)dtype, 0, 1);
        round_trip(&hp, (enum l2_dtype)dtype, 1, l2_tensor_count(&hp));
        round_trip(&hp, (enum l2_dtype)dtype, UINT64_MAX, 1);
        hp.tied = true;
        hp.rope_theta = 1234567.89012345;
        hp.norm_eps = 1.1e-6f;
        hp.n_eos = 3;
        hp.eos[1] = 9;
        hp.eos[2] = 0;
        round_trip(&hp, (enum l2_dtype)dtype, 0, 1);
        hp.tied = false;
        hp.head = L2_HEAD_LABELS;
        hp.n_labels = 3;
        hp.bos = L2_NO_TOKEN;
        hp.n_eos = 0;
        hp.reward_eos = L2_EOS_ABSENT;
        round_trip(&hp, (enum l2_dtype)dtype, 0, 1);
        hp.n_labels = 1;
        hp.reward_eos = L2_EOS_PRESENT;
        round_trip(&hp, (enum l2_dtype)dtype, 0, 1);
    }
}

/* A tensor of more rows than are converted at once. */
static void test_write_large(void **state)
{
    (void)state;
    struct l2_hparams hp = small;
    hp.n_layers = 1;
    hp.vocab_size = 70000;
    round_trip(&hp, L2_BF16, 0, 1);
}

static size_t count_entries(void)
{
    size_t n = 0;
    char command[2 * SCRATCH_PATH];
    snprintf(command, sizeof command, "ls -A '%s' | wc -l", scratch);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%zu", &n), 1);
    pclose(f);
    return n;
}

static int failing_rows(void *arg, enum l2_role role, uint32_t layer, uint32_t row, uint32_t n_rows,
                        float *out, struct l2_err *err)
{
    if (role == L2_T_NORM)
        return l2_err_set(err, L2_LIMIT, "enough");
    return source_rows(arg, role, layer, row, n_rows, out, err);
}

/* A failure in the last tensor leaves nothing behind, and what was there stays. */
static void test_write_failure(void **state)
{
    struct l2_err err;
    struct l2_hparams hp = small;
    const struct l2_model_source good = {.rows = source_rows, .arg = &hp};
    const struct l2_model_source bad = {.rows = failing_rows, .arg = &hp};
    struct l2_model_write_opts opts = {.dtype = L2_F32};
    char dir[2 * SCRATCH_PATH];
    (void)state;
    snprintf(dir, sizeof dir, "%s/m//", scratch);
    assert_int_equal(l2_model_write(dir, &hp, &bad, &opts, &err), L2_LIMIT);
    assert_string_equal(err.text, "enough");
    assert_int_equal(count_entries(), 0);
    assert_ok(l2_model_write(dir, &hp, &good, &opts, &err), &err);
    assert_int_equal(l2_model_write(dir, &hp, &good, &opts, &err), L2_ARGUMENT);
    opts.replace = true;
    assert_int_equal(l2_model_write(dir, &hp, &bad, &opts, &err), L2_LIMIT);
    assert_int_equal(count_entries(), 1);
    l2_model_close(open_model(dir));
    hp.context = 99;
    assert_ok(l2_model_write(dir, &hp, &good, &opts, &err), &err);
    assert_int_equal(count_entries(), 1);
    struct l2_model *m = open_model(dir);
    assert_int_equal(m->hp.context, 99);
    l2_model_close(m);
}

/* Only a model directory is replaced: not one without config.json, not one with directories. */
static void test_write_refuses(void **state)
{
    struct l2_err err;
    struct l2_hparams hp = small;
    const struct l2_model_source source = {.rows = source_rows, .arg = &hp};
    const struct l2_model_write_opts opts = {.dtype = L2_F32, .replace = true};
    (void)state;
    scratch_write_str(scratch, "thesis.txt", "do not lose me");
    assert_int_equal(l2_model_write(scratch, &hp, &source, &opts, &err), L2_ARGUMENT);
    assert_non_null(strstr(err.text, "has no config.json"));
    assert_int_equal(l2_model_write(scratch_path(scratch, "thesis.txt"), &hp, &source, &opts, &err),
                     L2_ARGUMENT);
    scratch_write_str(scratch, "config.json", "{}");
    assert_ok(l2_model_write(scratch_path(scratch, "sub"), &hp, &source, &opts, &err), &err);
    assert_int_equal(l2_model_write(scratch, &hp, &source, &opts, &err), L2_ARGUMENT);
    assert_non_null(strstr(err.text, "it holds the directory sub"));
    assert_int_equal(access(scratch_path(scratch, "thesis.txt"), F_OK), 0);
}

static int huge_rows(void *arg, enum l2_role role, uint32_t layer, uint32_t row, uint32_t n_rows,
                     float *out, struct l2_err *err)
{
    int r = source_rows(arg, role, layer, row, n_rows, out, err);
    if (role == L2_T_UP)
        out[1] = 70000.0f;
    else if (role == L2_T_NORM)
        out[0] = INFINITY; /* was so before */
    return r;
}

static void test_write_range(void **state)
{
    struct l2_err err;
    struct l2_hparams hp = small;
    const struct l2_model_source source = {.rows = huge_rows, .arg = &hp};
    struct l2_model_write_opts opts = {.dtype = L2_F16};
    const char *dir = scratch_path(scratch, "m");
    (void)state;
    assert_int_equal(l2_model_write(dir, &hp, &source, &opts, &err), L2_ARGUMENT);
    assert_string_equal(err.file, "model.layers.0.mlp.up_proj.weight");
    assert_int_equal(count_entries(), 0);
    opts.dtype = L2_BF16;
    assert_ok(l2_model_write(dir, &hp, &source, &opts, &err), &err);
}

static void test_write_vocab(void **state)
{
    struct l2_err err;
    struct l2_hparams hp = small;
    const struct l2_model_source source = {.rows = source_rows, .arg = &hp};
    struct l2_model_write_opts opts = {.dtype = L2_F32};
    char vocab[2 * SCRATCH_PATH], first[2 * SCRATCH_PATH];
    size_t n;
    (void)state;
    scratch_write(scratch, "v.bin", "pie\0ces", 7);
    snprintf(vocab, sizeof vocab, "%s/v.bin", scratch);
    snprintf(first, sizeof first, "%s/first", scratch);
    opts.vocab_path = vocab;
    assert_ok(l2_model_write(first, &hp, &source, &opts, &err), &err);
    opts.vocab_path = first; /* a directory that has one */
    assert_ok(l2_model_write(scratch_path(scratch, "second"), &hp, &source, &opts, &err), &err);
    struct l2_model *m = open_model(scratch_path(scratch, "second"));
    assert_string_equal(strrchr(m->vocab_path, '/'), "/tokenizer.bin");
    char *copy = scratch_read(m->vocab_path, &n);
    assert_int_equal(n, 7);
    assert_memory_equal(copy, "pie\0ces", 7);
    free(copy);
    l2_model_close(m);
    opts.vocab_path = scratch;
    assert_int_equal(l2_model_write(scratch_path(scratch, "third"), &hp, &source, &opts, &err),
                     L2_FORMAT);
}

/* Pages of files may go; what is in memory alone stays. */
static void test_drop(void **state)
{
    size_t rows = 64, cols = 1024;
    uint8_t *bytes = malloc(rows * cols * sizeof(float));
    assert_non_null(bytes);
    memset(bytes, 7, rows * cols * sizeof(float));
    struct l2_model *m = open_golden("hf-f32");
    struct l2_tensor buffer = {
        .dtype = L2_F32, .rows = (uint32_t)rows, .cols = (uint32_t)cols, .data = bytes};
    (void)state;
    l2_model_drop_tensor(m, &buffer);
    for (size_t i = 0; i < rows * cols * sizeof(float); i++)
        assert_int_equal(bytes[i], 7);
    l2_model_close(m);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_order),
        cmocka_unit_test(test_table_shapes),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_matrix_parameters),
        cmocka_unit_test(test_hparams_check),
        cmocka_unit_test(test_read_f32),
        cmocka_unit_test(test_read_bf16),
        cmocka_unit_test(test_read_sharded),
        cmocka_unit_test(test_read_reward),
        cmocka_unit_test(test_read_llama2c),
        cmocka_unit_test(test_stories),
        cmocka_unit_test(test_drop),
        cmocka_unit_test_setup_teardown(test_round_trip, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_write_large, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_write_failure, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_write_refuses, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_write_range, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_write_vocab, scratch_setup, scratch_teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
