/* Vocabularies: opening, checking, looking up, hashing. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "text/vocab_impl.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/gguf.h"
#include "util/num.h"
#include "util/utf8.h"

/* Offsets of pieces are 32 bits; a vocabulary of a million pieces is 30 MB. */
#define MAX_FILE ((size_t)1 << 30)

int l2_piece_byte(const char *piece, size_t n)
{
    static const char digits[] = "0123456789ABCDEF";
    if (n != 6 || memcmp(piece, "<0x", 3) != 0 || piece[5] != '>' || !piece[3] || !piece[4])
        return -1;
    const char *high = strchr(digits, piece[3]), *low = strchr(digits, piece[4]);
    return high && low ? (int)(high - digits) * 16 + (int)(low - digits) : -1;
}

static int grow(struct l2_vocab *v, struct l2_err *err)
{
    size_t bytes;
    uint32_t cap = v->cap ? v->cap * 2 : 1024;
    if (!l2_mul_size(cap, sizeof *v->pieces, &bytes))
        return l2_err_memory(err, SIZE_MAX);
    struct l2_piece *p = realloc(v->pieces, bytes);
    if (!p)
        return l2_err_memory(err, bytes);
    v->pieces = p;
    v->cap = cap;
    return L2_OK;
}

int l2_vocab_add(struct l2_vocab *v, const char *piece, size_t n, float score,
                 enum l2_piece_kind kind, const char *file, int64_t offset, struct l2_err *err)
{
    size_t bad;
    if (n == 0)
        return l2_err_at(err, L2_CORRUPT, file, offset, "piece %u is empty", v->n);
    if (!l2_utf8_valid(piece, n, &bad))
        return l2_err_at(err, L2_CORRUPT, file, offset, "piece %u is not UTF-8 at its byte %zu",
                         v->n, bad);
    if (!isfinite(score))
        return l2_err_at(err, L2_CORRUPT, file, offset, "piece %u: score is not finite", v->n);
    if (v->n == L2_SYM_FROZEN - 1 || n > UINT32_MAX - v->text.len)
        return l2_err_at(err, L2_LIMIT, file, offset, "too many pieces: %u of %zu bytes", v->n,
                         v->text.len);
    if (v->n == v->cap) {
        int r = grow(v, err);
        if (r != L2_OK)
            return r;
    }
    struct l2_piece *p = &v->pieces[v->n];
    *p = (struct l2_piece){
        .text = (uint32_t)v->text.len, .text_len = (uint32_t)n, .score = score, .kind = kind};
    int r = l2_buf_append(&v->text, piece, n, err);
    if (r == L2_OK)
        v->n++;
    return r;
}

/* What a piece in GPT-2's alphabet decodes to; one with other characters stands for itself. */
static int add_mapped(struct l2_vocab *v, const char *s, size_t n, struct l2_err *err)
{
    size_t start = v->bytes.len;
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        i += l2_utf8_decode(s + i, n - i, &cp);
        int byte = l2_byte_of_char(cp);
        if (byte < 0) {
            v->bytes.len = start;
            return l2_buf_append(&v->bytes, s, n, err);
        }
        int r = l2_buf_append_byte(&v->bytes, (uint8_t)byte, err);
        if (r != L2_OK)
            return r;
    }
    return L2_OK;
}

/* What a piece decodes to. */
static int add_bytes(struct l2_vocab *v, struct l2_piece *p, struct l2_err *err)
{
    const char *s = (const char *)v->text.data + p->text;
    int r = L2_OK;
    p->bytes = (uint32_t)v->bytes.len;
    switch (p->kind) {
    case L2_PIECE_UNKNOWN:
    case L2_PIECE_CONTROL:
        break;
    case L2_PIECE_BYTE:
        r = l2_buf_append_byte(&v->bytes, (uint8_t)l2_piece_byte(s, p->text_len), err);
        break;
    case L2_PIECE_NORMAL:
        if (v->byte_level) {
            r = add_mapped(v, s, p->text_len, err);
            break;
        }
        /* fall through */
    default:
        for (size_t i = 0; i < p->text_len && r == L2_OK;) {
            if (!v->byte_level && p->text_len - i >= L2_SPACE_SYMBOL_LEN &&
                memcmp(s + i, L2_SPACE_SYMBOL, L2_SPACE_SYMBOL_LEN) == 0) {
                r = l2_buf_append_byte(&v->bytes, ' ', err);
                i += L2_SPACE_SYMBOL_LEN;
            } else {
                r = l2_buf_append_byte(&v->bytes, (uint8_t)s[i++], err);
            }
        }
    }
    p->bytes_len = (uint32_t)(v->bytes.len - p->bytes);
    return r;
}

/* Notes a piece's kind: the one unknown piece, the id of each byte. */
static int note_kind(struct l2_vocab *v, uint32_t id, const char *file, struct l2_err *err)
{
    size_t n;
    const char *s = l2_piece_text(v, id, &n);
    int byte;
    switch (v->pieces[id].kind) {
    case L2_PIECE_UNKNOWN:
        if (v->unk != L2_NO_ID)
            return l2_err_at(err, L2_CORRUPT, file, -1,
                             "want one unknown piece, got two: %u and %u", v->unk, id);
        v->unk = id;
        break;
    case L2_PIECE_BYTE:
        byte = l2_piece_byte(s, n);
        if (byte < 0)
            return l2_err_at(err, L2_CORRUPT, file, -1, "byte piece %u: want '<0xNN>', got '%.*s'",
                             id, n < 32 ? (int)n : 32, s);
        if (v->byte_ids[byte] != L2_NO_ID)
            return l2_err_at(err, L2_CORRUPT, file, -1, "piece %u and %u are both '%.*s'",
                             v->byte_ids[byte], id, (int)n, s);
        v->byte_ids[byte] = id;
        break;
    case L2_PIECE_USER_DEFINED:
        v->has_user_defined = true;
        break;
    case L2_PIECE_UNUSED:
        v->has_unused = !v->byte_level;
        break;
    default:
        break;
    }
    return L2_OK;
}

static int check_bytes(const struct l2_vocab *v, const char *file, struct l2_err *err)
{
    unsigned n = 0;
    for (int i = 0; i < 256; i++)
        n += v->byte_ids[i] != L2_NO_ID;
    if (n != (v->byte_fallback ? 256 : 0))
        return l2_err_at(err, L2_CORRUPT, file, -1, "byte pieces: want %d, got %u",
                         v->byte_fallback ? 256 : 0, n);
    return L2_OK;
}

/* ---- special pieces ---- */

static int compare_text(const struct l2_vocab *v, uint32_t id, const char *s, size_t n)
{
    size_t m;
    const char *t = l2_piece_text(v, id, &m);
    int c = memcmp(t, s, m < n ? m : n);
    return c ? c : (m > n) - (m < n);
}

/* The first of specials whose text is not before s. */
static size_t lower_bound(const struct l2_vocab *v, const char *s, size_t n)
{
    size_t lo = 0, hi = v->n_specials;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (compare_text(v, v->specials[mid], s, n) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Most come in order; a file with many that do not is as slow as their number squared, so their
 * number is bounded. */
#define MAX_SPECIALS 65536

static int gather_specials(struct l2_vocab *v, const char *file, struct l2_err *err)
{
    size_t n = 0;
    for (uint32_t id = 0; id < v->n; id++)
        n += v->pieces[id].kind == L2_PIECE_CONTROL || v->pieces[id].kind == L2_PIECE_USER_DEFINED;
    if (n > MAX_SPECIALS)
        return l2_err_at(err, L2_LIMIT, file, -1, "%zu special pieces, want at most %d", n,
                         MAX_SPECIALS);
    v->specials = malloc((n > 0 ? n : 1) * sizeof *v->specials);
    if (!v->specials)
        return l2_err_memory(err, n * sizeof *v->specials);
    for (uint32_t id = 0; id < v->n; id++) {
        if (v->pieces[id].kind != L2_PIECE_CONTROL && v->pieces[id].kind != L2_PIECE_USER_DEFINED)
            continue;
        size_t len;
        const char *s = l2_piece_text(v, id, &len);
        size_t at = lower_bound(v, s, len);
        memmove(v->specials + at + 1, v->specials + at, (v->n_specials - at) * sizeof *v->specials);
        v->specials[at] = id;
        v->n_specials++;
    }
    return L2_OK;
}

uint32_t l2_vocab_special(const struct l2_vocab *v, const char *text)
{
    size_t n = strlen(text), at = lower_bound(v, text, n);
    if (at < v->n_specials && compare_text(v, v->specials[at], text, n) == 0)
        return v->specials[at];
    return L2_NO_ID;
}

static void hash(struct l2_vocab *v)
{
    struct l2_sha256 s;
    l2_sha256_init(&s);
    for (uint32_t id = 0; id < v->n; id++) {
        const struct l2_piece *p = &v->pieces[id];
        uint8_t head[5];
        bool special =
            p->kind == L2_PIECE_UNKNOWN || p->kind == L2_PIECE_CONTROL || p->kind == L2_PIECE_BYTE;
        head[0] = (uint8_t)(special ? p->kind : L2_PIECE_NORMAL);
        l2_put_u32le(head + 1, p->bytes_len);
        l2_sha256_update(&s, head, sizeof head);
        if (p->bytes_len > 0)
            l2_sha256_update(&s, v->bytes.data + p->bytes, p->bytes_len);
    }
    l2_sha256_final(&s, v->hash);
}

/* What is the same for all formats, once the pieces are there. */
static int finish(struct l2_vocab *v, const char *file, struct l2_err *err)
{
    int r = L2_OK;
    for (uint32_t id = 0; id < v->n && r == L2_OK; id++) {
        r = note_kind(v, id, file, err);
        if (r == L2_OK)
            r = add_bytes(v, &v->pieces[id], err);
    }
    if (r == L2_OK && v->unk == L2_NO_ID && !v->byte_level && !(v->listed && v->byte_fallback))
        r = l2_err_at(err, L2_CORRUPT, file, -1, "no unknown piece");
    if (r == L2_OK)
        r = check_bytes(v, file, err);
    if (r == L2_OK)
        r = gather_specials(v, file, err);
    if (r == L2_OK && v->listed)
        r = l2_merges_finish(v, file, err);
    if (r == L2_OK)
        r = l2_bpe_build(&v->bpe, v, file, err);
    if (r == L2_OK)
        hash(v);
    return r;
}

int l2_vocab_read(struct l2_vocab **out, const struct l2_map *m, struct l2_err *err)
{
    bool gguf = l2_gguf_detect(m);
    *out = NULL;
    if (m->size > MAX_FILE && !gguf) /* of a GGUF file the vocabulary is a small part */
        return l2_err_at(err, L2_LIMIT, m->name, -1, "vocabulary of %zu bytes, want at most %zu",
                         m->size, MAX_FILE);
    struct l2_vocab *v = calloc(1, sizeof *v);
    if (!v)
        return l2_err_memory(err, sizeof *v);
    v->bos = v->eos = v->unk = L2_NO_ID;
    for (int i = 0; i < 256; i++)
        v->byte_ids[i] = v->byte_symbols[i] = L2_NO_ID;
    int r;
    if (gguf)
        r = l2_gguf_vocab_read(v, m, err);
    else if (l2_tokjson_detect(m))
        r = l2_tokjson_read(v, m, err);
    else if (l2_tokbin_detect(m))
        r = l2_tokbin_read(v, m, err);
    else
        r = l2_spm_read(v, m, err);
    if (r == L2_OK)
        r = finish(v, m->name, err);
    if (r == L2_OK)
        *out = v;
    else
        l2_vocab_free(v);
    return r;
}

/* dir[0..n_dir)/name as an owned string. */
static char *join(const char *dir, size_t n_dir, const char *name)
{
    size_t n = n_dir + strlen(name) + 2;
    char *s = malloc(n);
    if (s)
        snprintf(s, n, "%.*s/%s", (int)n_dir, dir, name);
    return s;
}

/* What the tokenizer_config.json beside a tokenizer.json says, where there is one. */
static int read_config(struct l2_vocab *v, const char *path, struct l2_err *err)
{
    const char *slash = strrchr(path, '/');
    struct stat st;
    char *name = slash ? join(path, (size_t)(slash - path), "tokenizer_config.json")
                       : join(".", 1, "tokenizer_config.json");
    if (!name)
        return l2_err_memory(err, strlen(path));
    int r = stat(name, &st) == 0 ? l2_tokjson_config(v, name, err) : L2_OK;
    free(name);
    return r;
}

static int open_file(struct l2_vocab **out, const char *path, struct l2_err *err)
{
    struct l2_map m;
    int r = l2_map_open(&m, path, err);
    if (r != L2_OK)
        return r;
    r = l2_vocab_read(out, &m, err);
    if (r == L2_OK && l2_tokjson_detect(&m)) {
        r = read_config(*out, path, err);
        if (r != L2_OK) {
            l2_vocab_free(*out);
            *out = NULL;
        }
    }
    l2_map_release(&m);
    return r;
}

static int open_in_directory(struct l2_vocab **out, const char *dir, struct l2_err *err)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model", "tokenizer.bin"};
    struct stat st;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = join(dir, strlen(dir), names[i]);
        if (!path)
            return l2_err_memory(err, strlen(dir));
        bool found = stat(path, &st) == 0;
        int r = found ? open_file(out, path, err) : L2_OK;
        free(path);
        if (found)
            return r;
    }
    return l2_err_sys(err, ENOENT, dir, "no tokenizer.json, tokenizer.model or tokenizer.bin");
}

int l2_vocab_open(struct l2_vocab **out, const char *path, struct l2_err *err)
{
    struct stat st;
    *out = NULL;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return open_in_directory(out, path, err);
    return open_file(out, path, err);
}

void l2_vocab_free(struct l2_vocab *v)
{
    if (!v)
        return;
    free(v->pieces);
    l2_buf_release(&v->text);
    l2_buf_release(&v->bytes);
    l2_bpe_release(&v->bpe);
    l2_splitter_release(&v->splitter);
    l2_piece_index_release(&v->index);
    free(v->merges);
    free(v->specials);
    free(v);
}

uint32_t l2_vocab_size(const struct l2_vocab *v)
{
    return v->n;
}

uint32_t l2_vocab_bos(const struct l2_vocab *v)
{
    return v->bos;
}

uint32_t l2_vocab_eos(const struct l2_vocab *v)
{
    return v->eos;
}

uint32_t l2_vocab_unk(const struct l2_vocab *v)
{
    return v->unk;
}

enum l2_piece_kind l2_vocab_kind(const struct l2_vocab *v, uint32_t id)
{
    return v->pieces[id].kind;
}

const char *l2_vocab_piece(const struct l2_vocab *v, uint32_t id, size_t *len)
{
    return l2_piece_text(v, id, len);
}

const char *l2_vocab_bytes(const struct l2_vocab *v, uint32_t id, size_t *len)
{
    *len = v->pieces[id].bytes_len;
    return v->bytes.data ? (const char *)v->bytes.data + v->pieces[id].bytes : "";
}

float l2_vocab_score(const struct l2_vocab *v, uint32_t id)
{
    return v->pieces[id].score;
}

bool l2_vocab_byte_level(const struct l2_vocab *v)
{
    return v->byte_level;
}

const char *l2_vocab_pre(const struct l2_vocab *v)
{
    return v->byte_level ? l2_splitter_name(&v->splitter, v->ignore_merges) : NULL;
}

const struct l2_merge *l2_vocab_merges(const struct l2_vocab *v, size_t *n)
{
    *n = v->n_merges;
    return v->merges;
}

bool l2_vocab_dummy_prefix(const struct l2_vocab *v)
{
    return v->dummy_prefix;
}

bool l2_vocab_add_bos(const struct l2_vocab *v)
{
    return v->bos != L2_NO_ID && !v->no_bos;
}

const uint8_t *l2_vocab_hash(const struct l2_vocab *v)
{
    return v->hash;
}
