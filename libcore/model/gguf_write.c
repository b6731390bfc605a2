/* Writing models as GGUF files: metadata and names of the llama architecture, rows of Q and K
 * paired as Meta has them. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/gguf_write.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/newfile.h"
#include "util/num.h"

#define CHUNK_VALUES ((size_t)1 << 20) /* converted and written at once, in whole rows */
#define ROPE_FREQS   "rope_freqs.weight"

/* ggml's numbers for the types that are no blocks; and what llama.cpp calls a file of one type. */
enum { TYPE_F32 = 0, TYPE_F16 = 1, TYPE_BF16 = 30 };
enum { FILE_F32 = 0, FILE_F16 = 1, FILE_Q8_0 = 7, FILE_Q4_K = 14, FILE_Q6_K = 18, FILE_BF16 = 32 };

struct writer {
    const struct l2_hparams *hp;
    const struct l2_model_source *source;
    const struct l2_gguf_opts *opts;
    struct l2_newfile *file;
    float *values;  /* rows as they come; owned */
    uint8_t *bytes; /* encoded, in file order; owned */
    float *decoded; /* the same, decoded again; owned */
};

/* One chunk of rows on its way. */
struct chunk {
    const struct writer *w;
    enum l2_dtype dtype;
    const struct l2_quant *quant;
    uint32_t cols, head_dim; /* head_dim 0: rows stay where they are */
    size_t row_bytes;
    bool *bad; /* (rows): holds a value that its type cannot hold */
};

static bool is_vector(enum l2_role role)
{
    return !l2_roles[role].decayed;
}

enum l2_dtype l2_gguf_matrix_type(const struct l2_hparams *hp, const struct l2_gguf_opts *opts,
                                  enum l2_role role, const struct l2_quant **quant)
{
    uint32_t rows, cols;
    const struct l2_quant *q = opts->quant;
    *quant = NULL;
    if (is_vector(role))
        return L2_F32;
    if (opts->dtype != L2_QUANTISED)
        return opts->dtype;
    l2_role_shape(hp, role, &rows, &cols);
    bool is_head = role == L2_T_HEAD || (role == L2_T_EMBED && hp->tied);
    if (is_head && strcmp(q->name, "Q4_K") == 0)
        q = l2_quant_by_name("Q6_K");
    if (cols % q->block_values != 0)
        q = l2_quant_by_name("Q8_0");
    if (cols % q->block_values != 0)
        return L2_F16;
    *quant = q;
    return L2_QUANTISED;
}

static uint32_t ggml_type(enum l2_dtype dtype, const struct l2_quant *quant)
{
    switch (dtype) {
    case L2_F32:
        return TYPE_F32;
    case L2_F16:
        return TYPE_F16;
    case L2_BF16:
        return TYPE_BF16;
    case L2_QUANTISED:
        break;
    }
    return quant->ggml_type;
}

static uint32_t file_type(const struct l2_gguf_opts *opts)
{
    if (opts->dtype != L2_QUANTISED)
        return opts->dtype == L2_F32 ? FILE_F32 : opts->dtype == L2_F16 ? FILE_F16 : FILE_BF16;
    if (strcmp(opts->quant->name, "Q8_0") == 0)
        return FILE_Q8_0;
    return strcmp(opts->quant->name, "Q4_K") == 0 ? FILE_Q4_K : FILE_Q6_K;
}

static size_t row_bytes(enum l2_dtype dtype, const struct l2_quant *quant, uint32_t cols)
{
    const struct l2_tensor t = {.dtype = dtype, .quant = quant, .rows = 1, .cols = cols};
    return l2_tensor_row_size(&t);
}

/* ---- metadata ---- */

static int put_sizes(struct l2_gguf_values *v, const struct l2_hparams *hp, struct l2_err *err)
{
    const struct {
        const char *key;
        uint32_t value;
    } sizes[] = {
        {"llama.vocab_size", hp->vocab_size},
        {"llama.context_length", hp->context},
        {"llama.embedding_length", hp->dim},
        {"llama.block_count", hp->n_layers},
        {"llama.feed_forward_length", hp->hidden},
        {"llama.attention.head_count", hp->n_heads},
        {"llama.attention.head_count_kv", hp->n_kv_heads},
        {"llama.attention.key_length", hp->head_dim},
        {"llama.attention.value_length", hp->head_dim},
        {"llama.rope.dimension_count", hp->head_dim},
    };
    int r = L2_OK;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && r == L2_OK; i++)
        r = l2_gguf_put_u32(v, sizes[i].key, sizes[i].value, err);
    if (r == L2_OK)
        r = l2_gguf_put_f32(v, "llama.attention.layer_norm_rms_epsilon", hp->norm_eps, err);
    if (r == L2_OK)
        r = l2_gguf_put_f32(v, "llama.rope.freq_base", (float)hp->rope_theta, err);
    if (r == L2_OK && hp->rope_scaling == L2_ROPE_LINEAR) {
        r = l2_gguf_put_str(v, "llama.rope.scaling.type", "linear", 6, err);
        if (r == L2_OK)
            r = l2_gguf_put_f32(v, "llama.rope.scaling.factor", (float)hp->rope_factor, err);
    }
    return r;
}

/* The ids are the model's, whatever the vocabulary calls its own. */
static int put_specials(struct l2_gguf_values *v, const struct l2_hparams *hp, struct l2_err *err)
{
    static const char *const ends[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    size_t most = sizeof ends / sizeof *ends;
    int r = L2_OK;
    if (hp->n_eos > most)
        return l2_err_set(err, L2_UNSUPPORTED,
                          "%u EOS tokens have no place in a GGUF file: want %zu at most",
                          (unsigned)hp->n_eos, most);
    if (hp->bos != L2_NO_TOKEN)
        r = l2_gguf_put_u32(v, "tokenizer.ggml.bos_token_id", hp->bos, err);
    for (uint32_t i = 0; i < hp->n_eos && r == L2_OK; i++)
        r = l2_gguf_put_u32(v, ends[i], hp->eos[i], err);
    return r;
}

static int put_metadata(const struct writer *w, struct l2_gguf_values *v, struct l2_err *err)
{
    int r = l2_gguf_put_str(v, "general.architecture", "llama", 5, err);
    if (r == L2_OK && w->opts->name)
        r = l2_gguf_put_str(v, "general.name", w->opts->name, strlen(w->opts->name), err);
    if (r == L2_OK)
        r = l2_gguf_put_u32(v, "general.file_type", file_type(w->opts), err);
    if (r == L2_OK && w->opts->dtype == L2_QUANTISED)
        r = l2_gguf_put_u32(v, "general.quantization_version", 2, err);
    if (r == L2_OK)
        r = put_sizes(v, w->hp, err);
    if (r == L2_OK)
        r = put_specials(v, w->hp, err);
    return r;
}

static bool has_factors(const struct l2_hparams *hp)
{
    return hp->rope_scaling == L2_ROPE_LLAMA3 || hp->rope_scaling == L2_ROPE_FACTORS;
}

static int add_tensors(const struct writer *w, struct l2_gguf_writer *dir, struct l2_err *err)
{
    int r = L2_OK;
    if (has_factors(w->hp))
        r = l2_gguf_write_add(dir, ROPE_FREQS, 0, w->hp->head_dim / 2, TYPE_F32,
                              w->hp->head_dim / 2 * 4, err);
    for (size_t i = 0; i < l2_tensor_count(w->hp) && r == L2_OK; i++) {
        char name[80];
        enum l2_role role;
        uint32_t layer, rows, cols;
        const struct l2_quant *quant;
        l2_tensor_at(w->hp, i, &role, &layer);
        l2_role_shape(w->hp, role, &rows, &cols);
        l2_tensor_name_in(l2_roles[role].gguf, layer, name, sizeof name);
        enum l2_dtype dtype = l2_gguf_matrix_type(w->hp, w->opts, role, &quant);
        if (is_vector(role))
            r = l2_gguf_write_add(dir, name, 0, (uint64_t)rows * cols, TYPE_F32,
                                  (uint64_t)rows * cols * 4, err);
        else
            r = l2_gguf_write_add(dir, name, rows, cols, ggml_type(dtype, quant),
                                  (uint64_t)rows * row_bytes(dtype, quant, cols), err);
    }
    return r;
}

/* ---- bytes ---- */

static int write_padding(const struct writer *w, uint64_t bytes, struct l2_err *err)
{
    static const uint8_t zeros[L2_GGUF_ALIGNMENT] = {0};
    return l2_newfile_write(w->file, zeros, l2_gguf_padding(bytes), err);
}

static int write_directory(const struct writer *w, struct l2_err *err)
{
    struct l2_gguf_values own = {0};
    struct l2_buf head = {0};
    struct l2_gguf_writer dir;
    const struct l2_gguf_values *const values[] = {&own, w->opts->values};
    int r = put_metadata(w, &own, err);
    if (r == L2_OK)
        r = l2_gguf_write_begin(&dir, &head, values, w->opts->values ? 2 : 1,
                                l2_tensor_count(w->hp) + has_factors(w->hp), err);
    if (r == L2_OK)
        r = add_tensors(w, &dir, err);
    if (r == L2_OK)
        r = l2_gguf_write_end(&dir, err);
    if (r == L2_OK)
        r = l2_newfile_write(w->file, head.data, head.len, err);
    l2_buf_release(&own.bytes);
    l2_buf_release(&head);
    return r;
}

static int write_factors(const struct writer *w, struct l2_err *err)
{
    uint32_t n = w->hp->head_dim / 2;
    int r = L2_OK;
    for (uint32_t i = 0; i < n && r == L2_OK; i++) {
        uint8_t bytes[4];
        double f = pow(w->hp->rope_theta, -2.0 * i / w->hp->head_dim);
        l2_put_f32le(bytes, (float)l2_rope_divisor(w->hp, i, f));
        r = l2_newfile_write(w->file, bytes, sizeof bytes, err);
    }
    return r == L2_OK ? write_padding(w, (uint64_t)n * 4, err) : r;
}

/* Where row row of the chunk goes: pair (i, i + head_dim/2) becomes (2i, 2i + 1). */
static size_t place_of(const struct chunk *c, size_t row)
{
    if (c->head_dim == 0)
        return row;
    size_t in_head = row % c->head_dim, half = c->head_dim / 2;
    return row - in_head + 2 * (in_head % half) + in_head / half;
}

/* Encodes one row and looks whether what comes back is finite. */
static void encode_row(void *arg, size_t row)
{
    const struct chunk *c = arg;
    const float *in = c->w->values + row * c->cols;
    uint8_t *out = c->w->bytes + place_of(c, row) * c->row_bytes;
    float *back = c->w->decoded + row * c->cols;
    const struct l2_tensor t = {.dtype = c->dtype, .quant = c->quant, .rows = 1, .cols = c->cols};
    for (uint32_t i = 0; i < c->cols; i++)
        if (!isfinite(in[i]) && c->dtype == L2_QUANTISED) {
            c->bad[row] = true;
            return;
        }
    switch (c->dtype) {
    case L2_F32:
        l2_put_f32le_array(out, in, c->cols);
        return;
    case L2_F16:
        for (uint32_t i = 0; i < c->cols; i++)
            l2_put_u16le(out + 2 * (size_t)i, l2_f16_from_f32(in[i]));
        break;
    case L2_BF16:
        for (uint32_t i = 0; i < c->cols; i++)
            l2_put_u16le(out + 2 * (size_t)i, l2_bf16_from_f32(in[i]));
        break;
    case L2_QUANTISED:
        c->quant->encode(out, in, c->cols / c->quant->block_values);
        break;
    }
    l2_tensor_values(&t, out, 0, c->cols, back);
    for (uint32_t i = 0; i < c->cols; i++)
        if (isfinite(in[i]) && !isfinite(back[i]))
            c->bad[row] = true;
}

/* Rows at a time: what fits, whole heads where rows change places within one. */
static uint32_t rows_at_once(const struct l2_hparams *hp, enum l2_role role)
{
    uint32_t rows, cols, unit = 1;
    l2_role_shape(hp, role, &rows, &cols);
    if (role == L2_T_Q || role == L2_T_K || role == L2_T_Q_BIAS || role == L2_T_K_BIAS)
        unit = hp->head_dim;
    size_t n = CHUNK_VALUES / cols / unit * unit;
    return n < unit ? unit : n > rows ? rows : (uint32_t)n;
}

static int write_tensor(const struct writer *w, bool *bad, enum l2_role role, uint32_t layer,
                        struct l2_err *err)
{
    uint32_t rows, cols, step = rows_at_once(w->hp, role);
    struct chunk c = {.w = w, .bad = bad};
    l2_role_shape(w->hp, role, &rows, &cols);
    c.cols = cols;
    c.dtype = l2_gguf_matrix_type(w->hp, w->opts, role, &c.quant);
    c.row_bytes = row_bytes(c.dtype, c.quant, cols);
    if (role == L2_T_Q || role == L2_T_K || role == L2_T_Q_BIAS || role == L2_T_K_BIAS)
        c.head_dim = w->hp->head_dim;
    for (uint32_t row = 0; row < rows; row += step) {
        uint32_t n = rows - row < step ? rows - row : step;
        int r = w->source->rows(w->source->arg, role, layer, row, n, w->values, err);
        if (r != L2_OK)
            return r;
        memset(bad, 0, n * sizeof *bad);
        l2_pool_run(w->opts->pool, encode_row, &c, n);
        for (uint32_t i = 0; i < n; i++)
            if (bad[i]) {
                char name[128];
                l2_tensor_name(role, layer, name, sizeof name);
                return l2_err_at(err, L2_ARGUMENT, name, -1,
                                 "row %u holds a value too large for %s", (unsigned)(row + i),
                                 c.quant ? c.quant->name : l2_dtype_name(c.dtype));
            }
        r = l2_newfile_write(w->file, w->bytes, n * c.row_bytes, err);
        if (r != L2_OK)
            return r;
    }
    return write_padding(w, (uint64_t)rows * c.row_bytes, err);
}

static int write_tensors(struct writer *w, struct l2_err *err)
{
    size_t values = 0, most_rows = 0;
    bool *bad = NULL;
    int r = L2_OK;
    for (int i = 0; i < L2_N_ROLES; i++) {
        uint32_t rows, cols;
        if (!l2_role_present(w->hp, (enum l2_role)i))
            continue;
        l2_role_shape(w->hp, (enum l2_role)i, &rows, &cols);
        size_t n = rows_at_once(w->hp, (enum l2_role)i);
        values = n * cols > values ? n * cols : values;
        most_rows = n > most_rows ? n : most_rows;
    }
    w->values = calloc(values, sizeof *w->values);
    w->decoded = calloc(values, sizeof *w->decoded);
    w->bytes = calloc(values, sizeof(float));
    bad = calloc(most_rows, sizeof *bad);
    if (!w->values || !w->decoded || !w->bytes || !bad)
        r = l2_err_memory(err, 3 * values * sizeof(float));
    for (size_t i = 0; i < l2_tensor_count(w->hp) && r == L2_OK; i++) {
        enum l2_role role;
        uint32_t layer;
        l2_tensor_at(w->hp, i, &role, &layer);
        r = write_tensor(w, bad, role, layer, err);
    }
    free(bad);
    return r;
}

static int write_file(struct writer *w, struct l2_err *err)
{
    int r = write_directory(w, err);
    if (r == L2_OK && has_factors(w->hp))
        r = write_factors(w, err);
    if (r == L2_OK)
        r = write_tensors(w, err);
    free(w->values);
    free(w->decoded);
    free(w->bytes);
    return r;
}

static int check(const char *path, const struct l2_hparams *hp, bool replace, struct l2_err *err)
{
    struct stat st;
    if (hp->head == L2_HEAD_LABELS)
        return l2_err_at(err, L2_UNSUPPORTED, path, -1,
                         "a model with labels has no form in GGUF: want a directory");
    if (lstat(path, &st) == 0 && !replace)
        return l2_err_at(err, L2_ARGUMENT, path, -1, "exists already");
    if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return l2_err_at(err, L2_ARGUMENT, path, -1, "exists, and is no regular file");
    return l2_hparams_check(hp, path, err);
}

int l2_gguf_model_write(const char *path, const struct l2_hparams *hp,
                        const struct l2_model_source *source, const struct l2_gguf_opts *opts,
                        struct l2_err *err)
{
    struct l2_newfile file;
    struct writer w = {.hp = hp, .source = source, .opts = opts, .file = &file};
    int r = check(path, hp, opts->replace, err);
    if (r == L2_OK)
        r = l2_newfile_replace_shared(&file, path, err);
    return r == L2_OK ? l2_newfile_close(&file, write_file(&w, err), err) : r;
}
