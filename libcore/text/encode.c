/* Text to token ids: BPE in SentencePiece's way or over bytes, word by word with a cache where the
 * vocabulary allows it. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "text/encode.h"

#include <stdlib.h>
#include <string.h>

#include "text/normalize.h"
#include "text/vocab_impl.h"
#include "util/num.h"
#include "util/utf8.h"

/* Merging never crosses two characters that stand side by side in no piece. So text can be cut
 * there into words that are merged on their own, and a word's ids kept for its next occurrence: the
 * result is that of merging all of it, whatever the scores. What user-defined pieces, unused pieces
 * and removed spaces do depends on more of the text; vocabularies with those take the way of
 * encode_whole. */

/* One word with its ids, as large as a cache line. Words are padded with zeros; together with the
 * length that makes them distinct. */
#define WORD_MAX   23 /* bytes */
#define WORD_IDS   9
#define CACHE_BITS 15

struct word {
    uint64_t key[3]; /* the bytes of the word, and its length as the last one */
    uint32_t n_ids;  /* 0: an empty slot */
    uint32_t ids[WORD_IDS];
};

/* Turns 24 bytes that begin with a word into its key. */
struct key_mask {
    uint64_t keep[3], length;
};

struct l2_encoder {
    const struct l2_vocab *v;
    struct key_mask masks[WORD_MAX + 1]; /* by length of the word */
    struct word *cache;                  /* owned; NULL where words are not independent */
    struct l2_split_work *split;         /* owned; of byte-level vocabularies */
    uint32_t byte_chars[256];            /* of those: GPT-2's alphabet */
    size_t longest;                      /* of those: bytes of the longest piece */
    bool user_first[256]; /* bytes that user-defined pieces begin with, where those cut the text */
    uint32_t alone[128];  /* the id of an ASCII character that is a word of its own, or L2_NO_ID */
    struct l2_bpe_work work;
    struct l2_ids symbols; /* of the run being merged */
    struct l2_buf text;    /* normalised */
};

static bool words_are_independent(const struct l2_vocab *v)
{
    if (v->byte_level)
        return true;
    return v->byte_fallback && (!v->has_user_defined || v->user_cuts) && !v->has_unused &&
           !v->remove_extra_spaces;
}

/* Bytes are set in memory order, so that no byte order is assumed. */
static void init_masks(struct l2_encoder *e)
{
    for (size_t n = 0; n <= WORD_MAX; n++) {
        uint8_t keep[WORD_MAX + 1] = {0}, length[8] = {0};
        memset(keep, 0xFF, n);
        length[7] = (uint8_t)n;
        memcpy(e->masks[n].keep, keep, sizeof keep);
        memcpy(&e->masks[n].length, length, sizeof length);
    }
}

static void init_alone(struct l2_encoder *e)
{
    for (uint32_t c = 0; c < 128; c++) {
        uint32_t symbol = e->v->bpe.ascii[c];
        if (symbol & L2_SYM_CHAR) /* a space that is no piece becomes three bytes */
            symbol = c == ' ' ? L2_NO_ID : e->v->byte_ids[c];
        e->alone[c] = symbol;
    }
}

int l2_encoder_new(struct l2_encoder **out, const struct l2_vocab *v, struct l2_err *err)
{
    *out = NULL;
    struct l2_encoder *e = calloc(1, sizeof *e);
    if (!e)
        return l2_err_memory(err, sizeof *e);
    e->v = v;
    if (words_are_independent(v)) {
        size_t bytes = ((size_t)1 << CACHE_BITS) * sizeof *e->cache;
        e->cache = calloc(1, bytes);
        if (!e->cache) {
            l2_encoder_free(e);
            return l2_err_memory(err, bytes);
        }
        init_masks(e);
        if (!v->byte_level)
            init_alone(e);
    }
    if (v->has_unused) {
        size_t bytes;
        if (!l2_mul_size(v->n, sizeof *e->work.splits, &bytes) ||
            !(e->work.splits = malloc(bytes))) {
            l2_encoder_free(e);
            return l2_err_memory(err, v->n);
        }
        memset(e->work.splits, 0xFF, bytes); /* L2_NO_ID: made by no pair */
        e->work.vocab = v;
    }
    for (size_t i = 0; i < v->bpe.n_user && v->user_cuts; i++)
        e->user_first[(uint8_t)v->bpe.user[i].s[0]] = true;
    if (v->byte_level) {
        for (unsigned byte = 0; byte < 256; byte++)
            e->byte_chars[byte] = l2_byte_char((uint8_t)byte);
        for (uint32_t id = 0; id < v->n; id++)
            if (v->pieces[id].bytes_len > e->longest)
                e->longest = v->pieces[id].bytes_len;
        int r = l2_split_work_new(&e->split, err);
        if (r != L2_OK) {
            l2_encoder_free(e);
            return r;
        }
    }
    *out = e;
    return L2_OK;
}

void l2_encoder_free(struct l2_encoder *e)
{
    if (!e)
        return;
    free(e->cache);
    l2_bpe_work_release(&e->work);
    l2_split_work_free(e->split);
    l2_ids_release(&e->symbols);
    l2_buf_release(&e->text);
    free(e);
}

const struct l2_vocab *l2_encoder_vocab(const struct l2_encoder *e)
{
    return e->v;
}

/* ---- symbols to ids ---- */

/* A character that is no piece: its bytes, or one unknown piece for a run of such characters. */
static int put_character(const struct l2_vocab *v, uint32_t cp, size_t start, struct l2_ids *out,
                         struct l2_err *err)
{
    char bytes[4];
    uint32_t ids[4];
    if (!v->byte_fallback) {
        if (out->n > start && out->v[out->n - 1] == v->unk)
            return L2_OK;
        return l2_ids_append(out, v->unk, err);
    }
    size_t n = l2_utf8_encode(cp, bytes);
    for (size_t i = 0; i < n; i++)
        ids[i] = v->byte_ids[(uint8_t)bytes[i]];
    return l2_ids_append_n(out, ids, n, err);
}

/* Puts out what merging left; start is where this call's output begins. */
static int put_symbols(const struct l2_vocab *v, const uint32_t *sym, size_t n, size_t start,
                       struct l2_ids *out, struct l2_err *err)
{
    int r = L2_OK;
    for (size_t i = 0; i < n && r == L2_OK; i++) {
        if (sym[i] & L2_SYM_CHAR)
            r = put_character(v, sym[i] & ~L2_SYM_CHAR, start, out, err);
        else
            r = l2_ids_append(out, sym[i] & ~L2_SYM_FROZEN, err);
    }
    return r;
}

/* Unused pieces come apart again into the pair that was last seen to make them. The symbols still
 * to be put out wait at the end of sym, the next one last. */
static int put_splitting(struct l2_encoder *e, struct l2_ids *sym, size_t start, struct l2_ids *out,
                         struct l2_err *err)
{
    const struct l2_vocab *v = e->v;
    for (size_t i = 0, j = sym->n; i + 1 < j; i++) {
        uint32_t t = sym->v[i];
        sym->v[i] = sym->v[--j];
        sym->v[j] = t;
    }
    while (sym->n > 0) {
        uint32_t s = sym->v[sym->n - 1];
        int r;
        const uint32_t *split = s < L2_SYM_FROZEN ? e->work.splits[s] : NULL;
        if (split && v->pieces[s].kind == L2_PIECE_UNUSED && split[0] != L2_NO_ID) {
            uint32_t left = split[0];
            sym->v[sym->n - 1] = split[1];
            r = l2_ids_append(sym, left, err);
        } else {
            sym->n--;
            r = put_symbols(v, &s, 1, start, out, err);
        }
        if (r != L2_OK)
            return r;
    }
    return L2_OK;
}

/* ---- the whole text at once ---- */

static int encode_whole(struct l2_encoder *e, const char *text, size_t n, bool continuation,
                        struct l2_ids *out, struct l2_err *err)
{
    const struct l2_vocab *v = e->v;
    struct l2_ids *sym = &e->symbols;
    size_t start = out->n;
    e->text.len = 0;
    int r = l2_normalize(v, text, n, continuation, &e->text, err);
    sym->n = 0;
    for (size_t i = 0; i < e->text.len && r == L2_OK;) {
        const char *s = (const char *)e->text.data + i;
        uint32_t cp, id;
        size_t len = l2_bpe_match_user(&v->bpe, s, e->text.len - i, &id);
        if (len > 0) {
            r = l2_ids_append(sym, L2_SYM_FROZEN | id, err);
        } else {
            len = l2_utf8_decode(s, e->text.len - i, &cp);
            r = l2_ids_append(sym, l2_bpe_symbol(&v->bpe, cp), err);
        }
        i += len;
    }
    if (r == L2_OK)
        r = l2_bpe_merge(&v->bpe, &e->work, sym->v, &sym->n, err);
    if (r != L2_OK)
        return r;
    if (v->has_unused)
        return put_splitting(e, sym, start, out, err);
    return put_symbols(v, sym->v, sym->n, start, out, err);
}

/* ---- word by word ---- */

/* Reads a character; an invalid byte counts as U+FFFD. */
static size_t next_symbol(const struct l2_bpe *b, const char *s, size_t n, uint32_t *symbol)
{
    uint32_t cp;
    size_t len = l2_utf8_decode(s, n, &cp);
    *symbol = l2_bpe_symbol(b, cp);
    return len ? len : 1;
}

/* Where the word goes on from i, its last character being the symbol left. */
static size_t word_end_from(const struct l2_bpe *b, const char *text, size_t n, size_t i,
                            uint32_t left)
{
    while (i < n) {
        uint32_t right;
        size_t len = next_symbol(b, text + i, n - i, &right);
        if (!l2_bpe_joins(b, left, right))
            break;
        left = right;
        i += len;
    }
    return i;
}

/* The end of the word that begins at i < n. */
static size_t word_end(const struct l2_bpe *b, const char *text, size_t n, size_t i)
{
    uint32_t symbol;
    unsigned left = (uint8_t)text[i];
    if (left < 128) {
        for (i++; i < n; i++) {
            unsigned right = (uint8_t)text[i];
            if (right >= 128)
                return word_end_from(b, text, n, i, b->ascii[left]);
            if (!(b->ascii_joins[left][right / 64] >> right % 64 & 1))
                break;
            left = right;
        }
        return i;
    }
    i += next_symbol(b, text + i, n - i, &symbol);
    return word_end_from(b, text, n, i, symbol);
}

/* What a word's bytes are in GPT-2's alphabet, if that is a piece. */
static uint32_t find_word(struct l2_encoder *e, const char *word, size_t n, struct l2_err *err)
{
    e->text.len = 0;
    if (l2_buf_reserve(&e->text, 2 * n, err) != L2_OK) /* all of it is below U+0800 */
        return L2_NO_ID;
    for (size_t i = 0; i < n; i++)
        e->text.len +=
            l2_utf8_encode(e->byte_chars[(uint8_t)word[i]], (char *)e->text.data + e->text.len);
    return l2_piece_index_get(&e->v->index, (const char *)e->text.data, e->text.len);
}

/* Merges the bytes of one word. Where there is no unknown piece a byte that is none is an error: it
 * would be lost. */
static int encode_bytes(struct l2_encoder *e, const char *word, size_t n, struct l2_ids *out,
                        struct l2_err *err)
{
    const struct l2_vocab *v = e->v;
    struct l2_ids *sym = &e->symbols;
    int r = L2_OK;
    if (v->ignore_merges && n <= e->longest) {
        uint32_t id = find_word(e, word, n, err);
        if (id != L2_NO_ID)
            return l2_ids_append(out, id, err);
    }
    sym->n = 0;
    r = l2_ids_reserve(sym, n, err);
    for (size_t i = 0; i < n && r == L2_OK; i++) {
        uint32_t symbol = v->byte_symbols[(uint8_t)word[i]];
        if (symbol == L2_NO_ID)
            symbol = v->unk;
        if (symbol == L2_NO_ID)
            r = l2_err_set(err, L2_ARGUMENT, "the vocabulary has no piece for byte 0x%02X",
                           (unsigned)(uint8_t)word[i]);
        sym->v[sym->n++] = symbol;
    }
    if (r == L2_OK)
        r = l2_bpe_merge(&v->bpe, &e->work, sym->v, &sym->n, err);
    return r == L2_OK ? l2_ids_append_n(out, sym->v, sym->n, err) : r;
}

/* Merges one word, of any length. */
static int encode_word(struct l2_encoder *e, const char *word, size_t n, struct l2_ids *out,
                       struct l2_err *err)
{
    const struct l2_vocab *v = e->v;
    struct l2_ids *sym = &e->symbols;
    if (v->byte_level)
        return encode_bytes(e, word, n, out, err);
    sym->n = 0;
    int r = l2_ids_reserve(sym, n, err);
    if (r != L2_OK)
        return r;
    for (size_t i = 0; i < n;)
        i += next_symbol(&v->bpe, word + i, n - i, &sym->v[sym->n++]);
    r = l2_bpe_merge(&v->bpe, &e->work, sym->v, &sym->n, err);
    return r == L2_OK ? put_symbols(v, sym->v, sym->n, out->n, out, err) : r;
}

/* The slot for a word of n <= WORD_MAX bytes; there are WORD_MAX + 1 readable bytes at word. */
static struct word *find_slot(const struct l2_encoder *e, const char *word, size_t n,
                              uint64_t key[3])
{
    const struct key_mask *m = &e->masks[n];
    memcpy(key, word, WORD_MAX + 1);
    key[0] &= m->keep[0];
    key[1] &= m->keep[1];
    key[2] = (key[2] & m->keep[2]) | m->length;
    uint64_t h =
        key[0] * 0x9E3779B97F4A7C15u ^ key[1] * 0xD6E8FEB86659FD93u ^ key[2] * 0xC2B2AE3D27D4EB4Fu;
    h ^= h >> 32;
    h *= 0x9E3779B97F4A7C15u;
    return &e->cache[h >> (64 - CACHE_BITS)];
}

static int encode_short_word(struct l2_encoder *e, const char *word, size_t n, struct l2_ids *out,
                             struct l2_err *err)
{
    uint64_t key[3];
    struct word *w = find_slot(e, word, n, key);
    int r;
    if (w->n_ids == 0 || w->key[0] != key[0] || w->key[1] != key[1] || w->key[2] != key[2]) {
        size_t start = out->n;
        r = encode_word(e, word, n, out, err);
        if (r != L2_OK || out->n - start > WORD_IDS)
            return r;
        memcpy(w->key, key, sizeof key);
        w->n_ids = (uint32_t)(out->n - start);
        memcpy(w->ids, out->v + start, w->n_ids * sizeof *w->ids);
        return L2_OK;
    }
    if (out->cap - out->n < WORD_IDS && (r = l2_ids_reserve(out, WORD_IDS, err)) != L2_OK)
        return r;
    memcpy(out->v + out->n, w->ids, sizeof w->ids);
    out->n += w->n_ids;
    return L2_OK;
}

/* The first word together with the space before the text. */
static int encode_first(struct l2_encoder *e, const char *text, size_t n, size_t *end,
                        struct l2_ids *out, struct l2_err *err)
{
    const struct l2_bpe *b = &e->v->bpe;
    *end = word_end_from(b, text, n, 0, b->ascii[' ']);
    if (*end + 1 <= WORD_MAX) {
        char padded[WORD_MAX + 1] = " ";
        memcpy(padded + 1, text, *end);
        return encode_short_word(e, padded, *end + 1, out, err);
    }
    e->text.len = 0;
    int r = l2_buf_append_byte(&e->text, ' ', err);
    if (r == L2_OK)
        r = l2_buf_append(&e->text, text, *end, err);
    return r == L2_OK ? encode_word(e, (const char *)e->text.data, e->text.len, out, err) : r;
}

/* One word where avail >= n bytes can be read. */
static int encode_any_word(struct l2_encoder *e, const char *word, size_t n, size_t avail,
                           struct l2_ids *out, struct l2_err *err)
{
    if (n > WORD_MAX)
        return encode_word(e, word, n, out, err);
    if (avail > WORD_MAX)
        return encode_short_word(e, word, n, out, err);
    char padded[WORD_MAX + 1] = {0};
    memcpy(padded, word, n);
    return encode_short_word(e, padded, n, out, err);
}

static int encode_words(struct l2_encoder *e, const char *text, size_t n, bool continuation,
                        struct l2_ids *out, struct l2_err *err)
{
    const struct l2_bpe *b = &e->v->bpe;
    size_t i = 0;
    int r = L2_OK;
    if (e->v->dummy_prefix && !continuation)
        r = encode_first(e, text, n, &i, out, err);
    while (i < n && r == L2_OK) {
        size_t end = word_end(b, text, n, i);
        uint32_t alone = (uint8_t)text[i] < 128 ? e->alone[(uint8_t)text[i]] : L2_NO_ID;
        if (end - i == 1 && alone != L2_NO_ID)
            r = l2_ids_append(out, alone, err);
        else
            r = encode_any_word(e, text + i, end - i, n - i, out, err);
        i = end;
    }
    return r;
}

/* ---- bytes ---- */

/* A part of a text after the first `step` steps of splitting; limit is the end of the text. */
static int encode_part(struct l2_encoder *e, size_t step, const char *part, size_t n,
                       const char *limit, struct l2_ids *out, struct l2_err *err)
{
    const struct l2_splitter *s = &e->v->splitter;
    int r = L2_OK;
    if (step == s->n)
        return encode_any_word(e, part, n, (size_t)(limit - part), out, err);
    for (size_t i = 0, begin, end; i < n && r == L2_OK; i = end) {
        r = l2_split_next(s, e->split, step, part, n, i, &begin, &end, err);
        if (r == L2_OK && begin > i)
            r = encode_part(e, step + 1, part + i, begin - i, limit, out, err);
        if (r == L2_OK && end > begin)
            r = encode_part(e, step + 1, part + begin, end - begin, limit, out, err);
    }
    return r;
}

/* Expressions want valid UTF-8: an invalid byte counts as U+FFFD here, too. */
static int encode_byte_level(struct l2_encoder *e, const char *text, size_t n, struct l2_ids *out,
                             struct l2_err *err)
{
    struct l2_buf copy = {0};
    size_t bad;
    if (l2_utf8_valid(text, n, &bad))
        return encode_part(e, 0, text, n, text + n, out, err);
    int r = L2_OK;
    for (size_t i = 0; i < n && r == L2_OK;) {
        size_t len = l2_utf8_length(text + i, n - i);
        r = len > 0 ? l2_buf_append(&copy, text + i, len, err)
                    : l2_buf_append_str(&copy, "\xEF\xBF\xBD", err);
        i += len > 0 ? len : 1;
    }
    if (r == L2_OK)
        r = encode_part(e, 0, (const char *)copy.data, copy.len, (const char *)copy.data + copy.len,
                        out, err);
    l2_buf_release(&copy);
    return r;
}

/* ---- all ---- */

/* A text without user-defined pieces that cut it. */
static int encode_section(struct l2_encoder *e, const char *text, size_t n, bool continuation,
                          struct l2_ids *out, struct l2_err *err)
{
    const struct l2_vocab *v = e->v;
    if (n == 0)
        return L2_OK;
    if (v->byte_level)
        return encode_byte_level(e, text, n, out, err);
    if (v->prefix_once &&
        (text[0] == ' ' ||
         (n >= L2_SPACE_SYMBOL_LEN && memcmp(text, L2_SPACE_SYMBOL, L2_SPACE_SYMBOL_LEN) == 0)))
        continuation = true;
    return e->cache ? encode_words(e, text, n, continuation, out, err)
                    : encode_whole(e, text, n, continuation, out, err);
}

int l2_encode(struct l2_encoder *e, const char *text, size_t n, unsigned flags, struct l2_ids *out,
              struct l2_err *err)
{
    bool continuation = flags & L2_ENCODE_CONTINUE;
    size_t from = 0, len;
    int r = L2_OK;
    if (n == 0)
        text = ""; /* may be NULL */
    for (size_t i = 0; i < n && e->v->user_cuts && e->v->has_user_defined && r == L2_OK; i += len) {
        uint32_t id;
        len = e->user_first[(uint8_t)text[i]] ? l2_bpe_match_user(&e->v->bpe, text + i, n - i, &id)
                                              : 0;
        if (len > 0) {
            r = encode_section(e, text + from, i - from, continuation, out, err);
            if (r == L2_OK)
                r = l2_ids_append(out, id, err);
            from = i + len;
            continuation = (flags & L2_ENCODE_CONTINUE) || e->v->prefix_once;
        }
        len = len > 0 ? len : 1;
    }
    return r == L2_OK ? encode_section(e, text + from, n - from, continuation, out, err) : r;
}
