/* Training a BPE vocabulary in SentencePiece's form from counted words. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "text/bpe_train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/bpe_pairs.h"
#include "text/vocab_impl.h"
#include "util/num.h"
#include "util/utf8.h"

#define N_CODE_POINTS 0x110000u

struct character {
    uint32_t cp;
    uint64_t count;
};

struct trainer {
    const struct l2_bpe_words *words;
    const struct l2_bpe_settings *settings;
    struct l2_vocab *v;
    struct l2_bpe_symbols symbols;
    struct l2_bpe_pairs pairs;
    struct character *chars; /* (n_chars), the most frequent first; owned */
    size_t n_chars;
    uint32_t *char_symbols; /* (N_CODE_POINTS) symbols, or L2_NO_ID; owned */
    uint32_t *seq;          /* the words as symbols, L2_NO_ID where a character has none; owned */
    size_t *seq_at;         /* (words->n) where each word is in seq; owned */
    uint32_t *seq_len;      /* (words->n); owned */
};

static int by_count(const void *a, const void *b)
{
    const struct character *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return x->cp < y->cp ? -1 : x->cp > y->cp;
}

/* Counts characters, and keeps the most frequent until they cover what is wanted of the text. */
static int choose_characters(struct trainer *t, struct l2_err *err)
{
    uint64_t total = 0, covered = 0;
    size_t n = 0;
    uint64_t *counts = calloc(N_CODE_POINTS, sizeof *counts);
    if (!counts)
        return l2_err_memory(err, N_CODE_POINTS * sizeof *counts);
    for (size_t i = 0; i < t->words->n; i++) {
        const struct l2_bpe_word *w = &t->words->v[i];
        const char *s = (const char *)t->words->text.data + w->text;
        uint32_t cp;
        for (size_t at = 0; at < w->len; at += l2_utf8_decode(s + at, w->len - at, &cp)) {
            l2_utf8_decode(s + at, w->len - at, &cp);
            n += counts[cp] == 0;
            counts[cp] += w->count;
            total += w->count;
        }
    }
    t->chars = malloc((n ? n : 1) * sizeof *t->chars);
    if (t->chars) {
        n = 0;
        for (uint32_t cp = 0; cp < N_CODE_POINTS; cp++)
            if (counts[cp])
                t->chars[n++] = (struct character){cp, counts[cp]};
        qsort(t->chars, n, sizeof *t->chars, by_count);
        while (t->n_chars < n && (double)covered < t->settings->coverage * (double)total)
            covered += t->chars[t->n_chars++].count;
    }
    free(counts);
    return t->chars ? L2_OK : l2_err_memory(err, n * sizeof *t->chars);
}

static int add_special(struct trainer *t, const char *text, enum l2_piece_kind kind,
                       struct l2_err *err)
{
    uint32_t symbol;
    bool added;
    int r = l2_bpe_symbol_intern(&t->symbols, text, strlen(text), &symbol, &added, err);
    if (r == L2_OK && !added)
        return l2_err_set(err, L2_ARGUMENT, "the piece %s is there twice", text);
    return r == L2_OK ? l2_vocab_add(t->v, text, strlen(text), 0, kind, NULL, -1, err) : r;
}

static int add_specials(struct trainer *t, struct l2_err *err)
{
    const struct l2_bpe_settings *s = t->settings;
    char byte[8];
    int r = add_special(t, "<unk>", L2_PIECE_UNKNOWN, err);
    if (r == L2_OK)
        r = add_special(t, "<s>", L2_PIECE_CONTROL, err);
    if (r == L2_OK)
        r = add_special(t, "</s>", L2_PIECE_CONTROL, err);
    for (size_t i = 0; i < s->n_control && r == L2_OK; i++)
        r = add_special(t, s->control[i], L2_PIECE_CONTROL, err);
    for (size_t i = 0; i < s->n_symbols && r == L2_OK; i++)
        r = add_special(t, s->symbols[i], L2_PIECE_USER_DEFINED, err);
    for (unsigned i = 0; i < 256 && s->byte_fallback && r == L2_OK; i++) {
        snprintf(byte, sizeof byte, "<0x%02X>", i);
        r = add_special(t, byte, L2_PIECE_BYTE, err);
    }
    return r;
}

/* Interns the chosen characters. Those that are no special piece yet move to the front of chars. */
static int intern_characters(struct trainer *t, struct l2_err *err)
{
    size_t kept = 0;
    int r = L2_OK;
    t->char_symbols = malloc(N_CODE_POINTS * sizeof *t->char_symbols);
    if (!t->char_symbols)
        return l2_err_memory(err, N_CODE_POINTS * sizeof *t->char_symbols);
    memset(t->char_symbols, 0xFF, N_CODE_POINTS * sizeof *t->char_symbols);
    for (size_t i = 0; i < t->n_chars && r == L2_OK; i++) {
        char text[4];
        bool added;
        uint32_t cp = t->chars[i].cp;
        r = l2_bpe_symbol_intern(&t->symbols, text, l2_utf8_encode(cp, text), &t->char_symbols[cp],
                                 &added, err);
        if (added)
            t->chars[kept++] = t->chars[i];
    }
    t->n_chars = kept;
    return r;
}

/* The words as symbols, and their pairs counted. */
static int cut_words(struct trainer *t, struct l2_err *err)
{
    const struct l2_bpe_words *words = t->words;
    size_t n = 0, most = words->text.len + 1;
    if (words->n > SIZE_MAX / sizeof *t->seq_at || most > SIZE_MAX / sizeof *t->seq)
        return l2_err_memory(err, SIZE_MAX);
    t->seq = malloc(most * sizeof *t->seq);
    t->seq_at = malloc((words->n + 1) * sizeof *t->seq_at);
    t->seq_len = malloc((words->n + 1) * sizeof *t->seq_len);
    if (!t->seq || !t->seq_at || !t->seq_len)
        return l2_err_memory(err, most * sizeof *t->seq);
    int r = L2_OK;
    for (size_t i = 0; i < words->n && r == L2_OK; i++) {
        const struct l2_bpe_word *w = &words->v[i];
        const char *s = (const char *)words->text.data + w->text;
        uint32_t cp;
        t->seq_at[i] = n;
        for (size_t at = 0; at < w->len;) {
            at += l2_utf8_decode(s + at, w->len - at, &cp);
            t->seq[n++] = t->char_symbols[cp];
        }
        t->seq_len[i] = (uint32_t)(n - t->seq_at[i]);
        r = l2_bpe_pairs_count(&t->pairs, t->seq + t->seq_at[i], t->seq_len[i], (uint32_t)i,
                               (int64_t)w->count, L2_NO_ID, err);
    }
    return r == L2_OK ? l2_bpe_pairs_queue(&t->pairs, err) : r;
}

/* Merges left and right into symbol in one word; counts what that changes. */
static int merge_in_word(struct trainer *t, uint32_t word, uint32_t left, uint32_t right,
                         uint32_t symbol, struct l2_err *err)
{
    uint32_t *s = t->seq + t->seq_at[word], n = t->seq_len[word], to = 0;
    int64_t count = (int64_t)t->words->v[word].count;
    uint32_t first = 0;
    while (first + 1 < n && !(s[first] == left && s[first + 1] == right))
        first++;
    if (first + 1 >= n)
        return L2_OK;
    l2_bpe_pairs_uncount(&t->pairs, s, n, count);
    for (uint32_t i = 0; i < n; to++) {
        bool here = i + 1 < n && s[i] == left && s[i + 1] == right;
        s[to] = here ? symbol : s[i];
        i += here ? 2 : 1;
    }
    t->seq_len[word] = to;
    return l2_bpe_pairs_count(&t->pairs, s, to, word, count, symbol, err);
}

/* Merges the most frequent pair until n pieces were made of pairs. Equal counts: the pair of the
 * symbols that were there first. A text that other pairs have made before is no new piece. */
static int merge_pairs(struct trainer *t, size_t n, struct l2_err *err)
{
    struct l2_bpe_pair pair;
    struct l2_buf text = {0};
    size_t made = 0;
    int r = L2_OK;
    while (made < n && r == L2_OK) {
        uint32_t symbol;
        bool added = false;
        if (!l2_bpe_pairs_pop(&t->pairs, &pair)) {
            r = l2_err_set(err, L2_LIMIT, "the text gives %u pieces, want %u",
                           (unsigned)(t->v->n + t->n_chars), (unsigned)t->settings->size);
            break;
        }
        if (l2_bpe_symbol_chars(&t->symbols, pair.left) +
                l2_bpe_symbol_chars(&t->symbols, pair.right) >
            t->settings->max_chars)
            continue;
        text.len = 0;
        r = l2_bpe_symbol_text(&t->symbols, pair.left, &text, err);
        if (r == L2_OK)
            r = l2_bpe_symbol_text(&t->symbols, pair.right, &text, err);
        if (r == L2_OK)
            r = l2_bpe_symbol_intern(&t->symbols, (const char *)text.data, text.len, &symbol,
                                     &added, err);
        if (r == L2_OK && added)
            r = l2_vocab_add(t->v, (const char *)text.data, text.len, -(float)made++,
                             L2_PIECE_NORMAL, NULL, -1, err);
        for (uint32_t p = pair.postings; p != L2_NO_ID && r == L2_OK;) {
            uint32_t word = l2_bpe_pairs_posting(&t->pairs, &p);
            r = merge_in_word(t, word, pair.left, pair.right, symbol, err);
        }
        if (r == L2_OK)
            r = l2_bpe_pairs_queue(&t->pairs, err);
    }
    l2_buf_release(&text);
    return r;
}

static int train(struct trainer *t, struct l2_err *err)
{
    int r = choose_characters(t, err);
    if (r == L2_OK)
        r = add_specials(t, err);
    if (r == L2_OK)
        r = intern_characters(t, err);
    if (r != L2_OK)
        return r;
    size_t need = t->v->n + t->n_chars;
    if (need > t->settings->size)
        return l2_err_set(err, L2_LIMIT,
                          "%zu special pieces, bytes and characters do not fit into %u pieces",
                          need, (unsigned)t->settings->size);
    size_t n_merges = t->settings->size - need;
    r = cut_words(t, err);
    if (r == L2_OK)
        r = merge_pairs(t, n_merges, err);
    for (size_t i = 0; i < t->n_chars && r == L2_OK; i++) {
        char text[4];
        size_t len = l2_utf8_encode(t->chars[i].cp, text);
        r = l2_vocab_add(t->v, text, len, -(float)(n_merges + i), L2_PIECE_NORMAL, NULL, -1, err);
    }
    return r;
}

int l2_bpe_train(struct l2_vocab **out, const struct l2_bpe_words *words,
                 const struct l2_bpe_settings *settings, struct l2_err *err)
{
    struct trainer t = {.words = words, .settings = settings};
    *out = NULL;
    t.v = calloc(1, sizeof *t.v);
    if (!t.v)
        return l2_err_memory(err, sizeof *t.v);
    t.v->unk = 0;
    t.v->bos = 1;
    t.v->eos = 2;
    t.v->dummy_prefix = words->dummy_prefix;
    t.v->remove_extra_spaces = words->collapse_spaces;
    t.v->byte_fallback = settings->byte_fallback;
    t.v->has_user_defined = settings->n_symbols > 0;
    int r = train(&t, err);
    l2_bpe_symbols_release(&t.symbols);
    l2_bpe_pairs_release(&t.pairs);
    free(t.chars);
    free(t.char_symbols);
    free(t.seq);
    free(t.seq_at);
    free(t.seq_len);
    if (r == L2_OK)
        *out = t.v;
    else
        l2_vocab_free(t.v);
    return r;
}
