/* Unit tests of libcore/model against files that are cut, damaged, hostile or of another kind. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/model.h"
#include "model/preset.h"
#include "model/safetensors.h"
#include "model_files.h"
#include "scratch.h"
#include "util/num.h"

/* ---- safetensors ---- */

/* Writes a file with this header and n bytes of tensors. */
static void write_safetensors(const char *name, const char *header, size_t n)
{
    size_t len = strlen(header);
    uint8_t *data = calloc(8 + len + n, 1);
    assert_non_null(data);
    l2_put_u64le(data, len);
    memcpy(data + 8, header, len);
    scratch_write(scratch, name, data, 8 + len + n);
    free(data);
}

static void test_safetensors_headers(void **state)
{
    static const struct {
        const char *header;
        size_t data;
        int code;
        const char *text;
    } cases[] = {
        {"{}", 0, L2_OK, ""},
        {"{\"__metadata__\":{\"a\":\"b\"}}  ", 0, L2_OK, ""},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, L2_OK, ""},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, L2_OK, ""},
        {"{\"a\":{\"dtype\":\"I64\",\"shape\":[0],\"data_offsets\":[0,0]},"
         "\"b\":{\"dtype\":\"BF16\",\"shape\":[1,1],\"data_offsets\":[0,2]}}",
         2, L2_OK, ""},
        {"[]", 0, L2_FORMAT, "does not begin with a brace"},
        {" {}", 0, L2_FORMAT, "does not begin with a brace"},
        {"{", 0, L2_CORRUPT, "not one JSON object"},
        {"{} {}", 0, L2_CORRUPT, ""},
        {"{\"a\":{},\"a\":{}}", 0, L2_CORRUPT, "duplicate"},
        {"{\"a\":[]}", 0, L2_CORRUPT, "a: has no dtype"},
        {"{\"a\":{\"dtype\":\"F32\"}}", 0, L2_CORRUPT, "a: has no shape"},
        {"{\"a\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, L2_CORRUPT,
         "has no dtype"},
        {"{\"a\":{\"dtype\":\"Q4\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, L2_UNSUPPORTED,
         "type Q4 is not supported"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, L2_CORRUPT,
         "something other than sizes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4, L2_CORRUPT,
         "something other than sizes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0,
         L2_CORRUPT, "shape is too large"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1152921504606846976],\"data_offsets\":"
         "[0,4611686018427387904]}}",
         16, L2_TRUNCATED, "ends past the file: want 4611686018427387904 bytes"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
         L2_CORRUPT, "shape is too large"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[0,4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
         L2_OK, ""},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1,
         L2_UNSUPPORTED, "9 dimensions"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, L2_CORRUPT,
         "not a begin and an end"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, L2_CORRUPT,
         "not a begin and an end"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, L2_CORRUPT,
         "not a begin and an end"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,99999999999999999999]}}", 4,
         L2_CORRUPT, ""},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8, L2_CORRUPT,
         "its shape wants 4 bytes, its data_offsets hold 8"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7, L2_TRUNCATED,
         "want 8 bytes of tensors, got 7"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 9, L2_CORRUPT,
         "1 bytes after the last tensor"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
         12, L2_CORRUPT, "b overlaps the tensor before it"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
         8, L2_CORRUPT, "overlaps"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, L2_CORRUPT,
         "a leaves a hole before it"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct l2_map map;
        struct l2_st_file f;
        struct l2_err err = {0};
        write_safetensors("x", cases[i].header, cases[i].data);
        assert_int_equal(l2_map_open(&map, scratch_path(scratch, "x"), &err), L2_OK);
        int r = l2_st_read(&f, &map, &err);
        if (r != cases[i].code || !strstr(err.text, cases[i].text))
            fail_msg("%s: want %d \"%s\", got %d \"%s\"", cases[i].header, cases[i].code,
                     cases[i].text, r, err.text);
        if (r == L2_OK)
            l2_st_release(&f);
        l2_map_release(&map);
    }
}

/* A small file that claims to be large fails before anything is allocated for it. */
static void test_safetensors_lengths(void **state)
{
    static const struct {
        uint64_t length;
        int code;
    } cases[] = {{UINT64_MAX, L2_FORMAT},        {(uint64_t)1 << 60, L2_FORMAT},
                 {100000001, L2_FORMAT},         {100000000, L2_TRUNCATED},
                 {4096 - 8 + 1, L2_TRUNCATED},   {4096 - 8, L2_CORRUPT},
                 {2, L2_CORRUPT /* the rest */}, {0, L2_CORRUPT}};
    uint8_t data[4096];
    (void)state;
    model_copy(scratch, "hf-f32", "config.json");
    memset(data, ' ', sizeof data);
    data[8] = '{';
    data[9] = '}';
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        l2_put_u64le(data, cases[i].length);
        data[4095] = cases[i].length == 4096 - 8 ? '}' : ' ';
        scratch_write(scratch, "model.safetensors", data, sizeof data);
        assert_model_fails(scratch, cases[i].code, "model.safetensors");
    }
}

/* Deep nesting and many members: an error or a success, in bounded time and stack. */
static void test_safetensors_nesting(void **state)
{
    enum { N = 200000 };
    char *header = malloc(N + 16);
    (void)state;
    model_copy(scratch, "hf-f32", "config.json");
    assert_non_null(header);
    memcpy(header, "{\"a\":", 5);
    memset(header + 5, '[', N);
    header[5 + N] = '\0';
    write_safetensors("model.safetensors", header, 0);
    assert_model_fails(scratch, L2_CORRUPT, "model.safetensors");
    free(header);
}

struct entry {
    const char *name, *dtype, *shape;
};

/* A one-file model made of the golden one, with tensor `skip` (or NULL) left out and one more. */
static void write_variant(const char *leave_out, const struct entry *more)
{
    static const struct entry golden[] = {
        {"model.embed_tokens.weight", "F32", "10,8"},
        {"model.norm.weight", "F32", "8"},
        {"lm_head.weight", "F32", "10,8"},
    };
    static const char *const layer[][2] = {
        {"input_layernorm", "8"},    {"self_attn.q_proj", "8,8"}, {"self_attn.k_proj", "4,8"},
        {"self_attn.v_proj", "4,8"}, {"self_attn.o_proj", "8,8"}, {"post_attention_layernorm", "8"},
        {"mlp.gate_proj", "6,8"},    {"mlp.up_proj", "6,8"},      {"mlp.down_proj", "8,6"}};
    struct entry all[32];
    char names[18][80];
    char header[8192] = "{";
    size_t n = 0, at = 0, len = 1;
    memcpy(all, golden, sizeof golden);
    n = 3;
    for (size_t i = 0; i < 18; i++) {
        snprintf(names[i], sizeof names[i], "model.layers.%zu.%s.weight", i / 9, layer[i % 9][0]);
        all[n++] = (struct entry){names[i], "F32", layer[i % 9][1]};
    }
    if (more)
        all[n++] = *more;
    for (size_t i = 0; i < n; i++) {
        size_t size = strcmp(all[i].dtype, "F64") == 0 ? 8 : 4;
        unsigned a = 1, b = 1;
        if (leave_out && strcmp(all[i].name, leave_out) == 0 && &all[i] != &all[n - 1])
            continue;
        sscanf(all[i].shape, "%u,%u", &a, &b);
        len += (size_t)snprintf(header + len, sizeof header - len,
                                "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],"
                                "\"data_offsets\":[%zu,%zu]}",
                                len > 1 ? "," : "", all[i].name, all[i].dtype, all[i].shape, at,
                                at + size * a * b);
        at += size * a * b;
    }
    snprintf(header + len, sizeof header - len, "}");
    write_safetensors("model.safetensors", header, at);
}

static void test_tensors(void **state)
{
    static const struct {
        const char *leave_out;
        struct entry more;
        int code;
        const char *text;
    } cases[] = {
        {NULL, {"model.layers.0.self_attn.rotary_emb.inv_freq", "F32", "2"}, L2_OK, ""},
        {NULL,
         {"model.layers.0.self_attn.q_proj.bias", "F32", "8"},
         L2_UNSUPPORTED,
         "tensor model.layers.0.self_attn.q_proj.bias has no place"},
        {NULL, {"score.weight", "F32", "1,8"}, L2_UNSUPPORTED, "tensor score.weight"},
        {NULL,
         {"model.layers.2.input_layernorm.weight", "F32", "8"},
         L2_UNSUPPORTED,
         "LlamaForCausalLM of 2 layers"},
        {NULL,
         {"model.layers.00.input_layernorm.weight", "F32", "8"},
         L2_UNSUPPORTED,
         "model.layers.00"},
        {NULL,
         {"model.layers.4294967296.input_layernorm.weight", "F32", "8"},
         L2_UNSUPPORTED,
         "has no place"},
        {"model.norm.weight",
         {"model.layers.1.self_attn.rotary_emb.inv_freq", "F32", "2"},
         L2_CORRUPT,
         "has no tensor model.norm.weight"},
        {"model.norm.weight",
         {"model.norm.weight", "F32", "7"},
         L2_CORRUPT,
         "model.norm.weight: want shape (8), got (7)"},
        {"model.norm.weight", {"model.norm.weight", "F32", "1,8"}, L2_CORRUPT, "got (1, 8)"},
        {"model.norm.weight",
         {"model.norm.weight", "I32", "8"},
         L2_UNSUPPORTED,
         "type I32 is not supported: want F32, F16 or BF16"},
        {"model.norm.weight", {"model.norm.weight", "F64", "8"}, L2_UNSUPPORTED, "type F64"},
        {"lm_head.weight",
         {"lm_head.weight", "F32", "8,10"},
         L2_CORRUPT,
         "want shape (10, 8), got (8, 10)"},
    };
    (void)state;
    model_copy(scratch, "hf-f32", "config.json");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct l2_err err;
        write_variant(cases[i].leave_out, &cases[i].more);
        if (cases[i].code != L2_OK)
            assert_model_fails(scratch, cases[i].code, cases[i].text);
        else if (model_try(scratch, &err) != L2_OK)
            fail_msg("%s: %s", cases[i].more.name, err.text);
    }
    /* a head that the configuration ties is not wanted, there or not */
    struct l2_err err;
    model_write_config(scratch, "\"tie_word_embeddings\": true");
    write_variant(NULL, NULL);
    assert_int_equal(model_try(scratch, &err), L2_OK);
    write_variant("lm_head.weight", &cases[0].more);
    assert_int_equal(model_try(scratch, &err), L2_OK);
    model_copy(scratch, "hf-f32", "config.json");
    assert_model_fails(scratch, L2_CORRUPT, "has no tensor lm_head.weight");
}

/* ---- sharded ---- */

static void copy_sharded(void)
{
    model_copy(scratch, "hf-f16-sharded", "config.json");
    model_copy(scratch, "hf-f16-sharded", "model.safetensors.index.json");
    model_copy(scratch, "hf-f16-sharded", "model-00001-of-00003.safetensors");
    model_copy(scratch, "hf-f16-sharded", "model-00002-of-00003.safetensors");
    model_copy(scratch, "hf-f16-sharded", "model-00003-of-00003.safetensors");
}

/* Replaces the first `from` in the index by `to` and wants a failure. */
static void index_fails(const char *from, const char *to, int code, const char *text)
{
    size_t n;
    char *index = model_golden("hf-f16-sharded/model.safetensors.index.json", &n);
    char *at = strstr(index, from), changed[4096];
    assert_non_null(at);
    snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - index), index, to, at + strlen(from));
    scratch_write_str(scratch, "model.safetensors.index.json", changed);
    assert_model_fails(scratch, code, text);
    free(index);
}

static void test_index(void **state)
{
    static const char first[] = "\"model-00001-of-00003.safetensors\"";
    struct l2_err err;
    (void)state;
    copy_sharded();
    assert_int_equal(model_try(scratch, &err), L2_OK);
    const char *const escapes[] = {"\"/etc/passwd\"", "\"../x\"", "\"a/b\"", "\"..\"",
                                   "\".\"",           "\"\"",     "3",       "null"};
    for (size_t i = 0; i < sizeof escapes / sizeof escapes[0]; i++)
        index_fails(first, escapes[i], L2_CORRUPT, "want the name of a file in the same directory");
    index_fails(first, "\"nothing.safetensors\"", L2_SYSTEM, "nothing.safetensors: cannot open");
    index_fails(first, "\"config.json\"", L2_FORMAT, "config.json: byte 0: not a safetensors file");
    index_fails(first, "\"model-00002-of-00003.safetensors\"", L2_CORRUPT,
                "but the index puts it into model-00002");
    index_fails("\"model.norm.weight\"", "\"model.norm.wei\"", L2_UNSUPPORTED, "model.norm.wei");
    index_fails("\"model.norm.weight\"", "\"lm_head.weight\"", L2_CORRUPT, "duplicate");
    index_fails("\"weight_map\"", "\"weights\"", L2_FORMAT, "has no weight_map");
    index_fails("}", "", L2_TRUNCATED, "index.json");
    copy_sharded();
    unlink(scratch_path(scratch, "model-00002-of-00003.safetensors"));
    assert_model_fails(scratch, L2_SYSTEM, "model-00002-of-00003.safetensors: cannot open");
    /* a tensor that the index knows nothing about */
    copy_sharded();
    size_t n;
    char *file = model_golden("hf-f16-sharded/model-00001-of-00003.safetensors", &n);
    char *name = strstr(file + 8, "embed_tokens");
    assert_non_null(name);
    memcpy(name, "EMBED", 5);
    scratch_write(scratch, "model-00001-of-00003.safetensors", file, n);
    assert_model_fails(scratch, L2_CORRUPT, "but the index puts it into no file");
    free(file);
}

static void test_other_directories(void **state)
{
    (void)state;
    assert_model_fails(scratch, L2_FORMAT, "not a model: has no config.json");
    scratch_write_str(scratch, "consolidated.00.pth", "PK");
    assert_model_fails(scratch, L2_UNSUPPORTED, "weights in consolidated.00.pth are not supported");
    unlink(scratch_path(scratch, "consolidated.00.pth"));
    model_copy(scratch, "hf-f32", "config.json");
    assert_model_fails(scratch, L2_FORMAT,
                       "has no model.safetensors and no model.safetensors.index");
    scratch_write_str(scratch, "pytorch_model.bin", "PK");
    assert_model_fails(scratch, L2_UNSUPPORTED, "weights in pytorch_model.bin are not supported");
    assert_model_fails(scratch_path(scratch, "nothing"), L2_SYSTEM, "nothing: cannot open");
    assert_int_equal(mkfifo(scratch_path(scratch, "fifo"), 0666), 0);
    assert_model_fails(scratch_path(scratch, "fifo"), L2_FORMAT,
                       "neither a directory nor a regular");
}

/* ---- llama2.c ---- */

static void bin_fails(const char *golden, size_t at, const void *bytes, size_t n_bytes, int code,
                      const char *text)
{
    size_t n;
    char *data = model_golden(golden, &n);
    memcpy(data + at, bytes, n_bytes);
    scratch_write(scratch, "m.bin", data, n);
    assert_model_fails(scratch_path(scratch, "m.bin"), code, text);
    free(data);
}

static void test_llama2c(void **state)
{
    size_t n;
    (void)state;
    char *data = model_golden("v0-tied.bin", &n);
    char *longer = calloc(n + 1, 1);
    assert_non_null(longer);
    memcpy(longer, data, n);
    scratch_write(scratch, "m.bin", longer, n + 1);
    assert_model_fails(scratch_path(scratch, "m.bin"), L2_CORRUPT, "1 bytes after the last tensor");
    free(longer);
    free(data);
    bin_fails("v1-tied.bin", 4, "\2\0\0\0", 4, L2_UNSUPPORTED, "version 2 (quantised to 8 bits)");
    bin_fails("v1-tied.bin", 4, "\3\0\0\0", 4, L2_UNSUPPORTED, "version 3");
    bin_fails("v1-tied.bin", 8, "\0\0\0\x80", 4, L2_CORRUPT, "make no sense");
    bin_fails("v1-tied.bin", 36, "\2", 1, L2_CORRUPT, "flag is 2");
    bin_fails("v1-tied.bin", 255, "\1", 1, L2_CORRUPT, "padding is not zero");
    bin_fails("v1-tied.bin", 16, "\xff\xff\xff\x7f", 4, L2_LIMIT, "n_layers");
    bin_fails("v1-tied.bin", 28, "\xff\xff\xff\x00", 4, L2_TRUNCATED, "ends inside its tensors");
    bin_fails("v0-tied.bin", 0, "\xff\xff\xff\x7f", 4, L2_FORMAT, "neither");
    bin_fails("v0-tied.bin", 20, "\0\0\0\x80", 4, L2_FORMAT, "neither");
    bin_fails("v0-tied.bin", 24, "\0\1\0\0", 4, L2_TRUNCATED, "ends inside its tensors");
    bin_fails("v0-tied.bin", 0, "GGUF", 4, L2_UNSUPPORTED, "GGUF version");
    bin_fails("v0-tied.bin", 0, "PK\3\4", 4, L2_UNSUPPORTED, "zip archive");
}

/* ---- cut and damaged files ---- */

/* Every prefix of the file, in its place in a directory, is reported as cut. */
static void check_prefixes(const char *dir, const char *name, size_t complete)
{
    char path[256];
    size_t n;
    snprintf(path, sizeof path, "%s%s%s", dir, dir[0] ? "/" : "", name);
    char *data = model_golden(path, &n);
    scratch_write(scratch, name, data, n);
    for (size_t len = n - complete; len-- > 0;) {
        struct l2_err err;
        assert_int_equal(truncate(scratch_path(scratch, name), (off_t)len), 0);
        const char *what = dir[0] ? scratch : scratch_path(scratch, name);
        if (model_try(what, &err) != L2_TRUNCATED)
            fail_msg("%s cut to %zu of %zu bytes: code %d: %s", path, len, n, err.code, err.text);
    }
    free(data);
}

static void test_prefixes(void **state)
{
    (void)state;
    model_copy(scratch, "hf-f32", "config.json");
    check_prefixes("hf-f32", "model.safetensors", 0);
    model_copy(scratch, "hf-f32", "model.safetensors");
    check_prefixes("hf-f32", "config.json", 1); /* the line's end may go */
    unlink(scratch_path(scratch, "model.safetensors"));
    copy_sharded();
    check_prefixes("hf-f16-sharded", "model.safetensors.index.json", 1);
    copy_sharded();
    check_prefixes("hf-f16-sharded", "model-00002-of-00003.safetensors", 0);
    check_prefixes("", "v0-untied.bin", 0);
    check_prefixes("", "v0-tied.bin", 0);
    check_prefixes("", "v1-untied.bin", 0);
}

/* Every byte of a header changed in several ways: what is opened can be read to its last row. */
static void check_flips(const char *dir, const char *name, size_t limit)
{
    static const uint8_t masks[] = {0x01, 0x02, 0x10, 0x80, 0xff};
    static float row[1u << 16];
    char path[256];
    size_t n;
    snprintf(path, sizeof path, "%s%s%s", dir, dir[0] ? "/" : "", name);
    char *data = model_golden(path, &n);
    scratch_write(scratch, name, data, n);
    int fd = open(scratch_path(scratch, name), O_WRONLY);
    assert_true(fd >= 0);
    for (size_t i = 0; i < n && i < limit; i++) {
        for (size_t k = 0; k < sizeof masks; k++) {
            struct l2_model *m;
            struct l2_err err = {0};
            char changed = (char)(data[i] ^ masks[k]);
            assert_int_equal(pwrite(fd, &changed, 1, (off_t)i), 1);
            if (l2_model_open(&m, dir[0] ? scratch : scratch_path(scratch, name), &err) != L2_OK) {
                assert_true(err.code < 0 && err.text[0] != '\0');
                continue;
            }
            for (size_t t = 0; t < l2_tensor_count(&m->hp); t++) {
                assert_true(m->tensors[t].cols <= sizeof row / sizeof row[0]);
                l2_tensor_row(&m->tensors[t], m->hp.head_dim, 0, row);
                l2_tensor_row(&m->tensors[t], m->hp.head_dim, m->tensors[t].rows - 1, row);
            }
            l2_model_close(m);
        }
        assert_int_equal(pwrite(fd, &data[i], 1, (off_t)i), 1);
    }
    close(fd);
    free(data);
}

static void test_flips(void **state)
{
    (void)state;
    model_copy(scratch, "hf-f32", "config.json");
    model_copy(scratch, "hf-f32", "model.safetensors");
    check_flips("hf-f32", "model.safetensors", 2208);
    check_flips("hf-f32", "config.json", SIZE_MAX);
    unlink(scratch_path(scratch, "model.safetensors"));
    copy_sharded();
    check_flips("hf-f16-sharded", "model.safetensors.index.json", SIZE_MAX);
    check_flips("", "v0-tied.bin", 28);
    check_flips("", "v0-untied.bin", 28);
    check_flips("", "v1-tied.bin", 256);
}

/* ---- presets ---- */

static void preset_fails(const char *text, int code, const char *want)
{
    struct l2_hparams hp;
    struct l2_err err;
    char line[1024];
    scratch_write_str(scratch, "p.yaml", text);
    int r = l2_preset_read(scratch_path(scratch, "p.yaml"), &hp, &err);
    if (r == L2_OK)
        r = l2_preset_finish(&hp, "p.yaml", &err);
    if (r == L2_OK)
        fail_msg("%s: read, want \"%s\"", text, want);
    l2_err_format(&err, line, sizeof line);
    if (r != code || !strstr(line, want))
        fail_msg("%s: want %d \"%s\", got %d: %s", text, code, want, r, line);
}

static void test_presets(void **state)
{
    (void)state;
    preset_fails("dim: 8\nwidth: 3\n", L2_UNSUPPORTED, "p.yaml:2:1: unknown field width");
    preset_fails("dim: 8\ndim: 8\n", L2_CORRUPT, "p.yaml:2:1: repeated field dim");
    preset_fails("dim: eight\n", L2_CORRUPT, "p.yaml:1:6: want a number above 0 for dim");
    preset_fails("dim: 0\n", L2_CORRUPT, "want a number above 0 for dim");
    preset_fails("dim: 99999999999\n", L2_CORRUPT, "for dim");
    preset_fails("dim: [8]\n", L2_CORRUPT, "for dim");
    preset_fails("tied: yes\n", L2_CORRUPT, "want true or false for tied");
    preset_fails("norm_eps: .nan\n", L2_CORRUPT, "want a number for norm_eps");
    preset_fails("- dim\n", L2_FORMAT, "want one mapping");
    preset_fails("dim\n", L2_FORMAT, "want one mapping");
    preset_fails("", L2_FORMAT, "want one mapping");
    preset_fails("dim: 8\n---\ndim: 8\n", L2_FORMAT, "want one mapping");
    preset_fails("[dim]: 8\n", L2_FORMAT, "want one mapping");
    preset_fails("dim: \"8\n", L2_CORRUPT, "not YAML");
    preset_fails("dim: *x\n", L2_CORRUPT, "dim");
    preset_fails("dim: 8\n", L2_CORRUPT, "p.yaml: hidden is 0");
    preset_fails("dim: 8\nhidden: 8\nn_layers: 1\nn_heads: 3\nvocab_size: 8\ncontext: 8\n",
                 L2_CORRUPT, "dim 8 is not a multiple of 3 heads");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_safetensors_headers, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_safetensors_lengths, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_safetensors_nesting, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_tensors, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_index, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_other_directories, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_llama2c, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_prefixes, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_flips, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_presets, scratch_setup, scratch_teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
