/* The steps of cleaning, in order. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "clean/cleaner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clean/charclass.h"
#include "clean/cleaner_state.h"
#include "clean/scrub.h"
#include "util/input.h"
#include "util/utf8.h"

/* ---- making one ---- */

static const struct l2_effect builtin[L2_N_BUILTIN] = {
    [L2_EFFECT_INVALID] = {.name = "not UTF-8", .kind = "text"},
    [L2_EFFECT_UNICODE] = {.name = "normal form", .kind = "text"},
    [L2_EFFECT_MARKUP] = {.name = "markup", .kind = "text"},
    [L2_EFFECT_CONTROLS] = {.name = "control characters", .kind = "text"},
    [L2_EFFECT_SPACES] = {.name = "spaces", .kind = "text"},
    [L2_EFFECT_REPEATED_LINE] = {.name = "repeated line", .kind = "line"},
    [L2_EFFECT_EMPTY] = {.name = "nothing left", .kind = "document"},
    [L2_EFFECT_DUPLICATE] = {.name = "duplicate document", .kind = "document"},
    [L2_EFFECT_NEAR] = {.name = "near duplicate", .kind = "document"},
    [L2_EFFECT_CONTAMINATED] = {.name = "evaluation sample", .kind = "document"},
};

static struct l2_effect *name_effects(struct l2_effect *e, const struct l2_rule_list *list,
                                      const char *kind)
{
    for (size_t i = 0; i < list->n; i++)
        e[i] = (struct l2_effect){.name = list->v[i].name, .kind = kind, .line = list->v[i].line};
    return e + list->n;
}

static int make_effects(struct l2_cleaner *c, struct l2_err *err)
{
    const struct l2_rules *rules = c->s.rules;
    c->n_effects = L2_N_BUILTIN + rules->replace.n + rules->lines.n + rules->documents.n;
    c->effects = calloc(c->n_effects, sizeof *c->effects);
    if (!c->effects)
        return l2_err_memory(err, c->n_effects * sizeof *c->effects);
    memcpy(c->effects, builtin, sizeof builtin);
    c->replace = c->effects + L2_N_BUILTIN;
    c->lines = name_effects(c->replace, &rules->replace, "replace");
    c->documents = name_effects(c->lines, &rules->lines, "line");
    (void)name_effects(c->documents, &rules->documents, "document");
    return L2_OK;
}

static int make_terms(struct l2_cleaner *c, struct l2_err *err)
{
    size_t n = c->s.rules->n_groups;
    c->groups = calloc(n + 1, sizeof *c->groups);
    c->terms = calloc(n + 1, sizeof *c->terms);
    if (!c->groups || !c->terms)
        return l2_err_memory(err, (n + 1) * sizeof *c->groups);
    for (size_t i = 0; i < n; i++) {
        c->terms[i] = calloc(c->s.rules->groups[i].terms.n, sizeof **c->terms);
        if (!c->terms[i])
            return l2_err_memory(err, c->s.rules->groups[i].terms.n * sizeof **c->terms);
    }
    return L2_OK;
}

/* Memory is divided by what a text has of each: many lines of 8 bytes, some hundreds of bytes for a
 * signature. */
static int make_tables(struct l2_cleaner *c, struct l2_err *err)
{
    const struct l2_rules *rules = c->s.rules;
    uint64_t lines = rules->drop_lines ? 4 : 0, documents = rules->drop_documents ? 1 : 0,
             near = rules->near ? 8 : 0, parts = lines + documents + near;
    uint64_t part = parts > 0 ? c->s.memory / parts : 0;
    int r = L2_OK;
    if (lines > 0)
        r = l2_seen_init(&c->seen_lines, part * lines, err);
    if (r == L2_OK && documents > 0)
        r = l2_seen_init(&c->seen_documents, part * documents, err);
    if (r == L2_OK && near > 0) {
        struct l2_near_settings s = {.ngram = rules->near_ngram,
                                     .bands = rules->bands,
                                     .rows = rules->rows,
                                     .similarity = rules->similarity,
                                     .seed = c->s.seed,
                                     .bytes = part * near};
        r = l2_near_new(&c->near, &s, err);
    }
    return r;
}

int l2_cleaner_new(struct l2_cleaner **out, const struct l2_cleaner_settings *s, struct l2_err *err)
{
    *out = NULL;
    if (s->rules->unicode != L2_UNICODE_NONE && !l2_scrub_has_unicode())
        return l2_err_set(err, L2_UNSUPPORTED,
                          "unicode normal forms want a build with utf8proc, this one is without");
    struct l2_cleaner *c = calloc(1, sizeof *c);
    if (!c)
        return l2_err_memory(err, sizeof *c);
    c->s = *s;
    if (c->s.examples > L2_MAX_EXAMPLES)
        c->s.examples = L2_MAX_EXAMPLES;
    int r = make_effects(c, err);
    if (r == L2_OK)
        r = make_terms(c, err);
    if (r == L2_OK)
        r = make_tables(c, err);
    if (r == L2_OK)
        r = l2_measurer_new(&c->measurer, err);
    if (r != L2_OK) {
        l2_cleaner_free(c);
        return r;
    }
    *out = c;
    return L2_OK;
}

void l2_cleaner_free(struct l2_cleaner *c)
{
    if (!c)
        return;
    for (size_t i = 0; c->effects && i < c->n_effects; i++)
        free(c->effects[i].examples);
    for (size_t i = 0; c->terms && i < c->s.rules->n_groups; i++)
        free(c->terms[i]);
    free(c->effects);
    free(c->terms);
    free(c->groups);
    free(c->tokens);
    l2_measurer_free(c->measurer);
    l2_seen_release(&c->seen_lines);
    l2_seen_release(&c->seen_documents);
    l2_near_free(c->near);
    l2_buf_release(&c->buf[0]);
    l2_buf_release(&c->buf[1]);
    free(c);
}

static int describe_table(struct l2_buf *out, const char *name, uint64_t bytes, uint64_t room,
                          struct l2_err *err)
{
    return l2_buf_printf(out, err, "%s%s %.1f MiB (room for %llu)", out->len > 0 ? ", " : "", name,
                         (double)bytes / 1048576, (unsigned long long)room);
}

int l2_cleaner_describe(const struct l2_cleaner *c, struct l2_buf *out, struct l2_err *err)
{
    const struct l2_rules *rules = c->s.rules;
    int r = L2_OK;
    if (rules->drop_lines)
        r = describe_table(out, "lines", c->seen_lines.n_slots * sizeof(uint64_t),
                           l2_seen_room(&c->seen_lines), err);
    if (r == L2_OK && rules->drop_documents)
        r = describe_table(out, "documents", c->seen_documents.n_slots * sizeof(uint64_t),
                           l2_seen_room(&c->seen_documents), err);
    if (r == L2_OK && c->near)
        r = describe_table(out, "near duplicates", l2_near_bytes(c->near), l2_near_room(c->near),
                           err);
    if (r == L2_OK && c->s.contam)
        r = l2_buf_printf(out, err, "%sevaluation sets %.1f MiB", out->len > 0 ? ", " : "",
                          (double)l2_contam_bytes(c->s.contam) / 1048576);
    return r;
}

/* ---- effects ---- */

/* A copy of what fits of s, cut between characters; what is no UTF-8 becomes '?', line ends and
 * tabs spaces. */
static void excerpt(char *out, size_t room, const char *s, size_t n)
{
    size_t i = 0, used = 0;
    while (i < n) {
        size_t len = l2_utf8_length(s + i, n - i);
        if (used + (len > 0 ? len : 1) + 4 > room) {
            memcpy(out + used, "...", 3);
            used += 3;
            break;
        }
        if (len > 1 || (len == 1 && (uint8_t)s[i] >= ' ' && s[i] != 0x7f)) {
            memcpy(out + used, s + i, len);
            used += len;
        } else {
            out[used++] = s[i] == '\n' || s[i] == '\t' ? ' ' : '?';
        }
        i += len > 0 ? len : 1;
    }
    out[used] = '\0';
}

static int add_example(struct l2_cleaner *c, struct l2_effect *e, const char *text, size_t n,
                       struct l2_err *err)
{
    if (e->n_examples >= c->s.examples)
        return L2_OK;
    if (!e->examples) {
        e->examples = calloc(c->s.examples, sizeof *e->examples);
        if (!e->examples)
            return l2_err_memory(err, c->s.examples * sizeof *e->examples);
    }
    struct l2_example *x = &e->examples[e->n_examples++];
    excerpt(x->id, sizeof x->id, c->id, strlen(c->id));
    excerpt(x->text, sizeof x->text, text, n);
    return L2_OK;
}

/* The document was touched by the rule, counted once. */
static void touch(struct l2_cleaner *c, struct l2_effect *e)
{
    e->documents += e->turn != c->read;
    e->turn = c->read;
}

static int drop_document(struct l2_cleaner *c, struct l2_effect *e, struct l2_cleaned *out,
                         struct l2_err *err)
{
    e->documents++;
    e->bytes += out->n;
    out->keep = false;
    out->why = e->name;
    return add_example(c, e, out->text, out->n, err);
}

/* A rule could not be decided: the text stays. Other errors are passed on. */
static int gave_up(struct l2_cleaner *c, struct l2_effect *e, int r, struct l2_cleaned *out)
{
    if (r != L2_LIMIT)
        return r;
    if (e->gave_up++ == 0 && !out->gave_up) {
        out->gave_up = e->name;
        out->gave_up_line = e->line;
    }
    c->n_gave_up++;
    return L2_OK;
}

/* ---- changes ---- */

/* The buffer that the present text is not in, emptied. */
static struct l2_buf *other(struct l2_cleaner *c, const struct l2_cleaned *now)
{
    struct l2_buf *b = (const char *)c->buf[0].data == now->text ? &c->buf[1] : &c->buf[0];
    b->len = 0;
    return b;
}

/* The present text is what b holds, where that is something else. */
static void take(struct l2_cleaner *c, struct l2_effect *e, const struct l2_buf *b,
                 uint64_t changes, struct l2_cleaned *out)
{
    if (b->len == out->n && (b->len == 0 || memcmp(b->data, out->text, b->len) == 0))
        return;
    touch(c, e);
    e->changes += changes;
    e->bytes += b->len < out->n ? out->n - b->len : 0;
    out->text = b->len > 0 ? (const char *)b->data : "";
    out->n = b->len;
    out->changed = true;
}

static int fix_invalid(struct l2_cleaner *c, struct l2_cleaned *out, struct l2_err *err)
{
    struct l2_effect *e = &c->effects[L2_EFFECT_INVALID];
    uint64_t count;
    if (l2_utf8_valid(out->text, out->n, NULL))
        return L2_OK;
    if (!c->s.rules->replace_invalid)
        return drop_document(c, e, out, err);
    struct l2_buf *b = other(c, out);
    int r = l2_scrub_invalid(out->text, out->n, b, &count, err);
    if (r == L2_OK)
        r = add_example(c, e, out->text, out->n, err);
    if (r == L2_OK)
        take(c, e, b, count, out);
    return r;
}

static int change_text(struct l2_cleaner *c, struct l2_cleaned *out, struct l2_err *err)
{
    const struct l2_rules *rules = c->s.rules;
    uint64_t count = 0;
    int r = L2_OK;
    if (rules->remove_markup) {
        struct l2_buf *b = other(c, out);
        r = l2_scrub_markup(out->text, out->n, b, &count, err);
        if (r == L2_OK)
            take(c, &c->effects[L2_EFFECT_MARKUP], b, count, out);
    }
    if (r == L2_OK && rules->remove_controls) {
        struct l2_buf *b = other(c, out);
        r = l2_scrub_controls(out->text, out->n, b, &count, err);
        if (r == L2_OK)
            take(c, &c->effects[L2_EFFECT_CONTROLS], b, count, out);
    }
    if (r == L2_OK && rules->unicode != L2_UNICODE_NONE) {
        struct l2_buf *b = other(c, out);
        r = l2_scrub_unicode(out->text, out->n, rules->unicode == L2_UNICODE_NFKC, b, err);
        if (r == L2_OK)
            take(c, &c->effects[L2_EFFECT_UNICODE], b, 1, out);
    }
    if (r == L2_OK && rules->collapse_spaces) {
        struct l2_buf *b = other(c, out);
        r = l2_scrub_spaces(out->text, out->n, b, err);
        if (r == L2_OK)
            take(c, &c->effects[L2_EFFECT_SPACES], b, 1, out);
    }
    return r;
}

/* Some characters before a place, where one begins: an example shows what stands around it. */
static size_t before(const char *text, size_t at)
{
    at -= at < 40 ? at : 40;
    while (at > 0 && ((uint8_t)text[at] & 0xc0) == 0x80)
        at--;
    return at;
}

static int replace_matches(struct l2_cleaner *c, struct l2_cleaned *out, struct l2_err *err)
{
    const struct l2_rule_list *list = &c->s.rules->replace;
    for (size_t i = 0; i < list->n; i++) {
        const char *with = list->v[i].with ? list->v[i].with : "";
        struct l2_effect *e = &c->replace[i];
        struct l2_buf *b = other(c, out);
        uint64_t count;
        size_t first;
        int r = l2_pattern_replace(list->v[i].pattern, out->text, out->n, with, strlen(with), b,
                                   &count, &first, err);
        if (r == L2_OK && count > 0) {
            first = before(out->text, first);
            r = add_example(c, e, out->text + first, out->n - first, err);
            take(c, e, b, count, out);
        }
        r = gave_up(c, e, r, out);
        if (r != L2_OK)
            return r;
    }
    return L2_OK;
}

/* ---- lines ---- */

/* *e is set to what drops the line; NULL: nothing does. */
static int judge_line(struct l2_cleaner *c, const char *line, size_t n, struct l2_effect **e,
                      struct l2_cleaned *out, struct l2_err *err)
{
    const struct l2_rules *rules = c->s.rules;
    struct l2_counts counts = {0};
    *e = NULL;
    for (size_t i = 0; i < rules->lines.n; i++) {
        const struct l2_rule *rule = &rules->lines.v[i];
        double value;
        int r = l2_measure(c->measurer, rule, line, n, &counts, &value, err);
        if (r == L2_OK && (value < rule->min || value > rule->max)) {
            *e = &c->lines[i];
            return L2_OK;
        }
        r = gave_up(c, &c->lines[i], r, out);
        if (r != L2_OK)
            return r;
    }
    if (!rules->drop_lines || n < rules->min_line)
        return L2_OK;
    size_t chars = 0;
    for (size_t i = 0; i < n; i++)
        chars += ((uint8_t)line[i] & 0xc0) != 0x80;
    if (chars >= rules->min_line && l2_seen_add(&c->seen_lines, l2_text_hash(line, n, 1)))
        *e = &c->effects[L2_EFFECT_REPEATED_LINE];
    return L2_OK;
}

static int drop_lines(struct l2_cleaner *c, struct l2_cleaned *out, struct l2_err *err)
{
    struct l2_buf *b;
    size_t done = 0;
    int r = L2_OK;
    if (c->s.rules->lines.n == 0 && !c->s.rules->drop_lines)
        return L2_OK;
    b = other(c, out);
    for (size_t i = 0; i < out->n && r == L2_OK;) {
        const char *newline = memchr(out->text + i, '\n', out->n - i);
        size_t end = newline ? (size_t)(newline - out->text) : out->n;
        struct l2_effect *e = NULL;
        if (!l2_line_is_blank(out->text + i, end - i)) /* those part paragraphs */
            r = judge_line(c, out->text + i, end - i, &e, out, err);
        if (r == L2_OK && e) {
            r = l2_buf_append(b, out->text + done, i - done, err);
            if (r == L2_OK)
                r = add_example(c, e, out->text + i, end - i, err);
            touch(c, e);
            e->lines++;
            e->bytes += end - i;
            done = end + (newline ? 1 : 0);
        }
        i = end + 1;
    }
    if (r != L2_OK || done == 0)
        return r;
    r = l2_buf_append(b, out->text + done, out->n - done, err);
    out->text = b->len > 0 ? (const char *)b->data : "";
    out->n = b->len;
    out->changed = true;
    return r;
}

/* ---- documents ---- */

/* The example is what there was at first. */
static int drop_empty(struct l2_cleaner *c, struct l2_cleaned *out, struct l2_err *err)
{
    out->text = c->given;
    out->n = c->given_n;
    return drop_document(c, &c->effects[L2_EFFECT_EMPTY], out, err);
}

static int judge_document(struct l2_cleaner *c, struct l2_cleaned *out, struct l2_err *err)
{
    const struct l2_rule_list *list = &c->s.rules->documents;
    struct l2_counts counts = {0};
    if (out->changed && out->n == 0)
        return drop_empty(c, out, err);
    for (size_t i = 0; i < list->n; i++) {
        double value;
        int r = l2_measure(c->measurer, &list->v[i], out->text, out->n, &counts, &value, err);
        if (r == L2_OK && (value < list->v[i].min || value > list->v[i].max))
            return drop_document(c, &c->documents[i], out, err);
        r = gave_up(c, &c->documents[i], r, out);
        if (r != L2_OK)
            return r;
    }
    return L2_OK;
}

int l2_contam_tokens(struct l2_encoder *encoder, const char *text, size_t n, uint64_t **v,
                     size_t *cap, size_t *n_tokens, struct l2_err *err)
{
    struct l2_ids ids = {0};
    struct l2_words w;
    size_t want = n / 2 + 2; /* words are parted, and ideographs have two bytes and more */
    *n_tokens = 0;
    if (encoder) {
        int r = l2_encode(encoder, text, n, 0, &ids, err);
        if (r != L2_OK) {
            l2_ids_release(&ids);
            return r;
        }
        want = ids.n + 1;
    }
    if (want > *cap) {
        uint64_t *grown = realloc(*v, want * sizeof **v);
        if (!grown) {
            l2_ids_release(&ids);
            return l2_err_memory(err, want * sizeof **v);
        }
        *v = grown;
        *cap = want;
    }
    for (size_t i = 0; i < ids.n; i++)
        (*v)[(*n_tokens)++] = ids.v[i];
    if (!encoder)
        for (l2_words_init(&w, text, n); l2_words_next(&w);)
            (*v)[(*n_tokens)++] = w.hash;
    l2_ids_release(&ids);
    return L2_OK;
}

static int drop_contaminated(struct l2_cleaner *c, struct l2_cleaned *out, struct l2_err *err)
{
    size_t n, set;
    uint64_t sample;
    double share;
    int r = l2_contam_tokens(c->s.encoder, out->text, out->n, &c->tokens, &c->tokens_cap, &n, err);
    if (r == L2_OK)
        r = l2_contam_check(c->s.contam, c->tokens, n, &share, &set, &sample, err);
    if (r == L2_OK && share > 0 && share >= c->s.rules->share)
        r = drop_document(c, &c->effects[L2_EFFECT_CONTAMINATED], out, err);
    return r;
}

static int drop_duplicate(struct l2_cleaner *c, struct l2_cleaned *out, struct l2_err *err)
{
    int64_t like = -1;
    double similarity;
    if (c->s.rules->drop_documents &&
        l2_seen_add(&c->seen_documents, l2_text_hash(out->text, out->n, 2)))
        return drop_document(c, &c->effects[L2_EFFECT_DUPLICATE], out, err);
    if (c->near)
        l2_near_add(c->near, out->text, out->n, &like, &similarity);
    return like >= 0 ? drop_document(c, &c->effects[L2_EFFECT_NEAR], out, err) : L2_OK;
}

static int mentions(struct l2_pattern *p, const char *text, size_t n, bool *found,
                    struct l2_term_count *count, struct l2_err *err)
{
    size_t pos = 0, begin, end;
    int r = l2_pattern_next(p, text, n, &pos, &begin, &end, err);
    *found = r == L2_OK;
    if (r == L2_LIMIT)
        count->gave_up++;
    return r == L2_END || r == L2_LIMIT ? L2_OK : r;
}

static int count_terms(struct l2_cleaner *c, const struct l2_cleaned *out, struct l2_err *err)
{
    for (size_t g = 0; g < c->s.rules->n_groups; g++) {
        const struct l2_rule_list *terms = &c->s.rules->groups[g].terms;
        bool any = false;
        for (size_t t = 0; t < terms->n; t++) {
            struct l2_term_count *count = &c->terms[g][t];
            uint64_t before = count->gave_up;
            bool found;
            int r = mentions(terms->v[t].pattern, out->text, out->n, &found, count, err);
            if (r != L2_OK)
                return r;
            c->n_gave_up += count->gave_up - before;
            count->documents += found;
            any = any || found;
        }
        c->groups[g].documents += any;
    }
    return L2_OK;
}

int l2_cleaner_clean(struct l2_cleaner *c, const char *id, const char *text, size_t n,
                     struct l2_cleaned *out, struct l2_err *err)
{
    typedef int step(struct l2_cleaner *, struct l2_cleaned *, struct l2_err *);
    static step *const steps[] = {fix_invalid, change_text, replace_matches, drop_lines,
                                  judge_document};
    int r = L2_OK;
    *out = (struct l2_cleaned){.keep = true, .text = text, .n = n};
    c->id = id;
    c->given = text;
    c->given_n = n;
    c->read++;
    c->bytes_read += n;
    for (size_t i = 0; i < sizeof steps / sizeof *steps && r == L2_OK && out->keep; i++)
        r = steps[i](c, out, err);
    if (r == L2_OK && out->keep && c->s.contam)
        r = drop_contaminated(c, out, err);
    if (r == L2_OK && out->keep)
        r = drop_duplicate(c, out, err);
    if (r == L2_OK && out->keep) {
        c->kept++;
        c->bytes_kept += out->n;
        r = count_terms(c, out, err);
    }
    return r;
}

uint64_t l2_cleaner_n_gave_up(const struct l2_cleaner *c)
{
    return c->n_gave_up;
}

bool l2_cleaner_was_full(const struct l2_cleaner *c)
{
    return c->seen_lines.missed > 0 || c->seen_documents.missed > 0 ||
           (c->near && l2_near_missed(c->near) > 0);
}
