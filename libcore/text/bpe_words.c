/* Counting the words of training text: what merges happen inside of. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "text/bpe_words.h"

#include <stdlib.h>
#include <string.h>

#include "text/vocab_impl.h"
#include "util/num.h"
#include "util/utf8.h"

enum kind { SPACE, DIGIT, LETTER, OTHER };

/* Letters and what is written with them; scripts are not told apart. U+2000 to U+2BFF and U+3000 to
 * U+303F are punctuation and symbols. */
static enum kind kind_of(uint32_t cp)
{
    if (cp == ' ')
        return SPACE;
    if (cp >= '0' && cp <= '9')
        return DIGIT;
    if ((cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z'))
        return LETTER;
    if (cp < 0xC0 || cp == 0xD7 || cp == 0xF7 || (cp >= 0x2000 && cp < 0x2C00) ||
        (cp >= 0x3000 && cp < 0x3040))
        return OTHER;
    return LETTER;
}

static uint64_t hash_bytes(const uint8_t *s, size_t n)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ s[i]) * 0x100000001B3u;
    return h ^ h >> 29;
}

static int grow_table(struct l2_bpe_words *w, struct l2_err *err)
{
    size_t n_slots = w->n_slots ? w->n_slots * 2 : 1 << 12;
    uint32_t *slots = malloc(n_slots * sizeof *slots);
    if (!slots)
        return l2_err_memory(err, n_slots * sizeof *slots);
    memset(slots, 0xFF, n_slots * sizeof *slots);
    for (size_t i = 0; i < w->n; i++) {
        size_t at = w->v[i].hash & (n_slots - 1);
        while (slots[at] != UINT32_MAX)
            at = (at + 1) & (n_slots - 1);
        slots[at] = (uint32_t)i;
    }
    free(w->slots);
    w->slots = slots;
    w->n_slots = n_slots;
    return L2_OK;
}

static int append_word(struct l2_bpe_words *w, const uint8_t *s, size_t n, uint64_t hash,
                       struct l2_err *err)
{
    if (w->n == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 1024, size;
        struct l2_bpe_word *v = l2_mul_size(cap, sizeof *v, &size) ? realloc(w->v, size) : NULL;
        if (!v)
            return l2_err_memory(err, cap);
        w->v = v;
        w->cap = cap;
    }
    if (w->n == UINT32_MAX - 1)
        return l2_err_set(err, L2_LIMIT, "more than %u different words", UINT32_MAX - 1);
    w->v[w->n++] = (struct l2_bpe_word){.text = w->text.len, .len = n, .hash = hash, .count = 1};
    return l2_buf_append(&w->text, s, n, err);
}

static int count_word(struct l2_bpe_words *w, struct l2_err *err)
{
    const uint8_t *s = w->word.data;
    size_t n = w->word.len;
    if (n == 0)
        return L2_OK;
    if (w->n * 2 >= w->n_slots) {
        int r = grow_table(w, err);
        if (r != L2_OK)
            return r;
    }
    uint64_t hash = hash_bytes(s, n);
    size_t at = hash & (w->n_slots - 1);
    for (; w->slots[at] != UINT32_MAX; at = (at + 1) & (w->n_slots - 1)) {
        struct l2_bpe_word *known = &w->v[w->slots[at]];
        if (known->hash == hash && known->len == n &&
            memcmp(w->text.data + known->text, s, n) == 0) {
            known->count++;
            w->word.len = 0;
            return L2_OK;
        }
    }
    w->slots[at] = (uint32_t)w->n;
    int r = append_word(w, s, n, hash, err);
    w->word.len = 0;
    return r;
}

/* The word ends before its last spaces, `keep` of them, which begin the next one. */
static int end_word(struct l2_bpe_words *w, size_t keep, struct l2_err *err)
{
    w->word.len -= keep * L2_SPACE_SYMBOL_LEN;
    int r = count_word(w, err);
    for (; keep > 0 && r == L2_OK; keep--)
        r = l2_buf_append(&w->word, L2_SPACE_SYMBOL, L2_SPACE_SYMBOL_LEN, err);
    return r;
}

/* spaces: how many the word ends with. */
static int add_space(struct l2_bpe_words *w, size_t *spaces, bool at_start, struct l2_err *err)
{
    int r = L2_OK;
    if (w->collapse_spaces && (*spaces > 0 || at_start))
        return L2_OK;
    if (!w->across_spaces && !(w->space_runs && *spaces > 0)) {
        r = end_word(w, 0, err);
        *spaces = 0;
    }
    ++*spaces;
    return r == L2_OK ? l2_buf_append(&w->word, L2_SPACE_SYMBOL, L2_SPACE_SYMBOL_LEN, err) : r;
}

/* A word begins at a space, which belongs to it, where the kind of character changes, at every
 * digit where those are split, and behind bytes that are not UTF-8, which belong to none. Where
 * words go across spaces, those before a change of kind belong to what is behind it. */
int l2_bpe_words_add(struct l2_bpe_words *w, const char *text, size_t n, struct l2_err *err)
{
    enum kind before = SPACE;
    size_t spaces = w->dummy_prefix && n > 0;
    bool at_start = true;
    int r = spaces ? l2_buf_append(&w->word, L2_SPACE_SYMBOL, L2_SPACE_SYMBOL_LEN, err) : L2_OK;
    for (size_t i = 0; i < n && r == L2_OK;) {
        uint32_t cp;
        size_t len = l2_utf8_decode(text + i, n - i, &cp);
        if (len == 0 || cp == 0) {
            w->n_invalid++;
            r = count_word(w, err);
            before = OTHER;
            spaces = 0;
            at_start = false;
            i++;
            continue;
        }
        enum kind now = kind_of(cp);
        if (now == SPACE) {
            r = add_space(w, &spaces, at_start, err);
            before = w->across_spaces ? before : SPACE;
        } else {
            if (now == DIGIT && w->split_digits)
                r = end_word(w, 0, err);
            else if (w->space_runs && spaces > 1)
                r = end_word(w, 1, err);
            else if (now != before && before != SPACE)
                r = end_word(w, spaces, err);
            if (r == L2_OK)
                r = l2_buf_append(&w->word, text + i, len, err);
            before = now;
            spaces = 0;
            at_start = false;
        }
        i += len;
    }
    w->n_bytes += n;
    if (w->collapse_spaces && !at_start)
        w->word.len -= spaces * L2_SPACE_SYMBOL_LEN;
    return r == L2_OK ? count_word(w, err) : r;
}

void l2_bpe_words_release(struct l2_bpe_words *w)
{
    free(w->v);
    free(w->slots);
    l2_buf_release(&w->text);
    l2_buf_release(&w->word);
    memset(w, 0, sizeof *w);
}
