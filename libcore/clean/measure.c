/* Counting characters, words, lines and what repeats. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "clean/measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clean/charclass.h"
#include "util/utf8.h"

/* A table of hashes with counts that is emptied by raising `turn`. */
struct cell {
    uint64_t hash;
    uint32_t turn, count;
};

struct l2_measurer {
    struct cell *cells; /* (n_cells), a power of two; owned */
    size_t n_cells, used;
    uint32_t turn;
};

int l2_measurer_new(struct l2_measurer **out, struct l2_err *err)
{
    struct l2_measurer *m = calloc(1, sizeof *m);
    *out = m;
    return m ? L2_OK : l2_err_memory(err, sizeof *m);
}

void l2_measurer_free(struct l2_measurer *m)
{
    if (m)
        free(m->cells);
    free(m);
}

/* Empties the table, with room for n hashes: at least twice as many cells. */
static int begin_table(struct l2_measurer *m, size_t n, struct l2_err *err)
{
    size_t want = 256;
    while (want < n * 2 && want <= SIZE_MAX / 64)
        want *= 2;
    if (want > m->n_cells) {
        struct cell *cells = calloc(want, sizeof *cells);
        if (!cells)
            return l2_err_memory(err, want * sizeof *cells);
        free(m->cells);
        m->cells = cells;
        m->n_cells = want;
        m->turn = 0;
    }
    if (++m->turn == 0) {
        memset(m->cells, 0, m->n_cells * sizeof *m->cells);
        m->turn = 1;
    }
    return L2_OK;
}

/* How often the hash was counted, this time included. */
static uint32_t count_hash(struct l2_measurer *m, uint64_t hash)
{
    for (size_t i = (size_t)hash & (m->n_cells - 1);; i = (i + 1) & (m->n_cells - 1)) {
        struct cell *c = &m->cells[i];
        if (c->turn != m->turn)
            *c = (struct cell){hash, m->turn, 0};
        if (c->hash == hash)
            return ++c->count;
    }
}

static bool is_upper(uint32_t cp)
{
    return l2_char_fold(cp) != cp;
}

static void count_char(struct l2_counts *c, uint32_t cp, enum l2_char_class class)
{
    switch (class) {
    case L2_CHAR_BLANK:
        c->blanks++;
        break;
    case L2_CHAR_LETTER:
    case L2_CHAR_IDEOGRAPH:
        c->letters++;
        c->upper += is_upper(cp);
        break;
    case L2_CHAR_DIGIT:
        c->digits++;
        break;
    default:
        c->symbols++;
    }
}

static void make_counts(struct l2_counts *c, const char *text, size_t n)
{
    bool in_word = false, full = false;
    uint64_t in_line = 0;
    c->made = true;
    for (size_t i = 0; i < n;) {
        uint32_t cp = (uint8_t)text[i];
        size_t len = cp < 0x80 ? 1 : l2_utf8_decode(text + i, n - i, &cp);
        i += len > 0 ? len : 1;
        c->chars++;
        if (cp == '\n') {
            c->lines++;
            c->full_lines += full;
            c->line_chars += full ? in_line : 0;
            in_line = 0;
            full = in_word = false;
            c->blanks++;
            continue;
        }
        enum l2_char_class class = l2_char_class(cp);
        bool part = class == L2_CHAR_LETTER || class == L2_CHAR_DIGIT;
        count_char(c, cp, class);
        in_line++;
        full = full || class != L2_CHAR_BLANK;
        c->words += (part && !in_word) || class == L2_CHAR_IDEOGRAPH;
        c->word_chars += part || class == L2_CHAR_IDEOGRAPH;
        in_word = part;
    }
    c->lines += n > 0 && text[n - 1] != '\n';
    c->full_lines += full;
    c->line_chars += full ? in_line : 0;
}

static double share(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

static int repeated_lines(struct l2_measurer *m, const char *text, size_t n, uint64_t lines,
                          double *value, struct l2_err *err)
{
    uint64_t full = 0, again = 0;
    int r = begin_table(m, (size_t)lines, err);
    for (size_t i = 0; i < n && r == L2_OK;) {
        const char *end = memchr(text + i, '\n', n - i);
        size_t len = end ? (size_t)(end - (text + i)) : n - i;
        if (len > 0) {
            full++;
            again += count_hash(m, l2_text_hash(text + i, len, 0)) > 1;
        }
        i += len + 1;
    }
    *value = share(again, full);
    return r;
}

static int ngrams(struct l2_measurer *m, const struct l2_rule *rule, const char *text, size_t n,
                  uint64_t words, double *value, struct l2_err *err)
{
    struct l2_words w;
    struct l2_rolling roll;
    uint64_t h, grams = 0, again = 0;
    uint32_t most = 0;
    int r = begin_table(m, (size_t)words, err);
    if (r != L2_OK)
        return r;
    l2_words_init(&w, text, n);
    l2_rolling_init(&roll, rule->ngram);
    while (l2_words_next(&w)) {
        if (!l2_rolling_add(&roll, w.hash, &h))
            continue;
        uint32_t count = count_hash(m, h);
        grams++;
        again += count > 1;
        most = count > most ? count : most;
    }
    if (rule->measure == L2_MEASURE_REPEATED_NGRAMS)
        *value = share(again, grams);
    else
        *value = most > 1 ? share((uint64_t)most * rule->ngram, words) : 0;
    *value = *value > 1 ? 1 : *value; /* runs of one word overlap */
    return L2_OK;
}

static uint64_t stop_words(const struct l2_rule *rule, const char *text, size_t n)
{
    struct l2_words w;
    uint64_t found = 0;
    l2_words_init(&w, text, n);
    while (l2_words_next(&w)) {
        size_t low = 0, high = rule->n_words;
        while (low < high) {
            size_t mid = low + (high - low) / 2;
            if (rule->words[mid] < w.hash)
                low = mid + 1;
            else
                high = mid;
        }
        found += low < rule->n_words && rule->words[low] == w.hash;
    }
    return found;
}

/* Matches, or the characters in them that are not blank. Matches are counted only until they decide
 * the rule. */
static int matches(const struct l2_rule *rule, const char *text, size_t n, uint64_t full,
                   double *value, struct l2_err *err)
{
    bool shares = rule->measure == L2_MEASURE_MATCH_SHARE;
    double enough = rule->max < HUGE_VAL ? rule->max + 1 : rule->min;
    size_t pos = 0, begin, end, done = 0;
    uint64_t count = 0, chars = 0;
    int r;
    while ((r = l2_pattern_next(rule->pattern, text, n, &pos, &begin, &end, err)) == L2_OK) {
        count++;
        if (!shares && (double)count >= enough)
            break;
        if (shares && begin >= done) {
            struct l2_counts c = {0};
            make_counts(&c, text + begin, end - begin);
            chars += c.chars - c.blanks;
            done = end;
        }
    }
    *value = shares ? share(chars, full) : (double)count;
    return r == L2_END ? L2_OK : r;
}

int l2_measure(struct l2_measurer *m, const struct l2_rule *rule, const char *text, size_t n,
               struct l2_counts *c, double *value, struct l2_err *err)
{
    *value = 0;
    if (rule->measure == L2_MEASURE_MATCHES)
        return matches(rule, text, n, 0, value, err);
    if (!c->made)
        make_counts(c, text, n);
    uint64_t full = c->chars - c->blanks;
    switch (rule->measure) {
    case L2_MEASURE_CHARS:
        *value = (double)c->chars;
        break;
    case L2_MEASURE_WORDS:
        *value = (double)c->words;
        break;
    case L2_MEASURE_LINES:
        *value = (double)c->lines;
        break;
    case L2_MEASURE_WORD_LENGTH:
        *value = share(c->word_chars, c->words);
        break;
    case L2_MEASURE_LINE_LENGTH:
        *value = share(c->line_chars, c->full_lines);
        break;
    case L2_MEASURE_LETTER_SHARE:
        *value = share(c->letters, full);
        break;
    case L2_MEASURE_DIGIT_SHARE:
        *value = share(c->digits, full);
        break;
    case L2_MEASURE_SYMBOL_SHARE:
        *value = share(c->symbols, full);
        break;
    case L2_MEASURE_UPPER_SHARE:
        *value = share(c->upper, c->letters);
        break;
    case L2_MEASURE_REPEATED_LINES:
        return repeated_lines(m, text, n, c->lines, value, err);
    case L2_MEASURE_REPEATED_NGRAMS:
    case L2_MEASURE_TOP_NGRAM:
        return ngrams(m, rule, text, n, c->words, value, err);
    case L2_MEASURE_STOP_WORDS:
        *value = (double)stop_words(rule, text, n);
        break;
    case L2_MEASURE_STOP_SHARE:
        *value = share(stop_words(rule, text, n), c->words);
        break;
    default:
        return matches(rule, text, n, full, value, err);
    }
    return L2_OK;
}
