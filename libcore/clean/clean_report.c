/* What a cleaner did, as JSON and as a table. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "clean/cleaner.h"
#include "clean/cleaner_state.h"

static json_t *count(uint64_t n)
{
    return json_integer((json_int_t)(n <= INT64_MAX ? n : INT64_MAX));
}

static double share(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

/* Sets key, taking v; false: out of memory. */
static bool set(json_t *o, const char *key, json_t *v)
{
    return json_object_set_new(o, key, v) == 0;
}

static json_t *examples(const struct l2_effect *e)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < e->n_examples; i++)
        (void)json_array_append_new(
            list, json_pack("{s:s,s:s}", "id", e->examples[i].id, "text", e->examples[i].text));
    return list;
}

/* Built-in effects that did nothing are left out; rules are not. */
static json_t *effects(const struct l2_cleaner *c)
{
    json_t *list = json_array();
    for (size_t i = 0; i < c->n_effects; i++) {
        const struct l2_effect *e = &c->effects[i];
        if (i < L2_N_BUILTIN && e->documents == 0)
            continue;
        json_t *o = json_pack("{s:s,s:s}", "rule", e->name, "kind", e->kind);
        (void)set(o, "documents", count(e->documents));
        if (strcmp(e->kind, "line") == 0)
            (void)set(o, "lines", count(e->lines));
        if (e->changes > 0)
            (void)set(o, "changes", count(e->changes));
        (void)set(o, "bytes", count(e->bytes));
        if (e->gave_up > 0)
            (void)set(o, "gave_up", count(e->gave_up));
        if (e->n_examples > 0)
            (void)set(o, "examples", examples(e));
        (void)json_array_append_new(list, o);
    }
    return list;
}

static json_t *table(uint64_t bytes, uint64_t room, uint64_t n, uint64_t missed)
{
    json_t *o = json_object();
    (void)set(o, "bytes", count(bytes));
    (void)set(o, "room", count(room));
    (void)set(o, "remembered", count(n));
    (void)set(o, "not_remembered", count(missed));
    return o;
}

static json_t *seen_table(const struct l2_seen *s)
{
    return table(s->n_slots * sizeof *s->slots, l2_seen_room(s), s->n, s->missed);
}

static json_t *tables(const struct l2_cleaner *c)
{
    json_t *o = json_object();
    if (c->s.rules->drop_lines)
        (void)set(o, "lines", seen_table(&c->seen_lines));
    if (c->s.rules->drop_documents)
        (void)set(o, "documents", seen_table(&c->seen_documents));
    if (c->near)
        (void)set(o, "near_duplicates",
                  table(l2_near_bytes(c->near), l2_near_room(c->near), l2_near_size(c->near),
                        l2_near_missed(c->near)));
    return o;
}

static json_t *contamination(const struct l2_cleaner *c)
{
    json_t *list = json_array();
    for (size_t i = 0; i < l2_contam_n_sets(c->s.contam); i++) {
        struct l2_contam_set s;
        json_t *o = json_object();
        l2_contam_set(c->s.contam, i, &s);
        (void)set(o, "set", json_string(s.name));
        (void)set(o, "samples", count(s.samples));
        (void)set(o, "tokens", count(s.tokens));
        (void)set(o, "contaminated_tokens", count(s.contaminated_tokens));
        (void)set(o, "samples_found", count(s.touched));
        (void)set(o, "clean", count(s.clean));
        (void)set(o, "not_clean", count(s.not_clean));
        (void)set(o, "not_dirty", count(s.not_dirty));
        (void)set(o, "dirty", count(s.dirty));
        (void)set(o, "too_short", count(s.short_samples));
        (void)json_array_append_new(list, o);
    }
    return list;
}

/* Table 9: a group's share of all documents, a term's share of the group's. */
static json_t *terms(const struct l2_cleaner *c)
{
    json_t *list = json_array();
    for (size_t g = 0; g < c->s.rules->n_groups; g++) {
        const struct l2_term_group *group = &c->s.rules->groups[g];
        uint64_t in_group = c->groups[g].documents;
        json_t *o = json_pack("{s:s}", "group", group->name), *sub = json_array();
        (void)set(o, "documents", count(in_group));
        (void)set(o, "share", json_real(share(in_group, c->kept)));
        for (size_t t = 0; t < group->terms.n; t++) {
            const struct l2_term_count *n = &c->terms[g][t];
            json_t *term = json_pack("{s:s}", "term", group->terms.v[t].name);
            (void)set(term, "documents", count(n->documents));
            (void)set(term, "share_of_group", json_real(share(n->documents, in_group)));
            if (n->gave_up > 0)
                (void)set(term, "gave_up", count(n->gave_up));
            (void)json_array_append_new(sub, term);
        }
        (void)set(o, "terms", sub);
        (void)json_array_append_new(list, o);
    }
    return list;
}

json_t *l2_cleaner_report(const struct l2_cleaner *c)
{
    json_t *report = json_object(), *d = json_object();
    bool good = set(d, "read", count(c->read)) && set(d, "kept", count(c->kept)) &&
                set(d, "bytes_read", count(c->bytes_read)) &&
                set(d, "bytes_kept", count(c->bytes_kept)) && set(report, "documents", d) &&
                set(report, "rules", effects(c)) && set(report, "tables", tables(c));
    if (good && c->s.contam)
        good = set(report, "contamination", contamination(c));
    if (good && c->s.rules->n_groups > 0)
        good = set(report, "terms", terms(c));
    if (good)
        return report;
    json_decref(report);
    return NULL;
}

/* ---- as a table ---- */

static unsigned long long number(const json_t *o, const char *key)
{
    return (unsigned long long)json_integer_value(json_object_get(o, key));
}

static const char *string(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* Characters, as far as columns are concerned. */
static int width(const char *s)
{
    int n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static int put_name(struct l2_buf *out, const char *name, int columns, struct l2_err *err)
{
    int pad = columns - width(name);
    return l2_buf_printf(out, err, "%s%*s", name, pad > 0 ? pad : 0, "");
}

static int put_rules(const json_t *rules, struct l2_buf *out, struct l2_err *err)
{
    const json_t *o, *x;
    size_t i, k;
    int r = l2_buf_printf(out, err, "%-32s %-9s %12s %12s %12s %14s\n", "rule", "of", "documents",
                          "lines", "changes", "bytes");
    json_array_foreach(rules, i, o)
    {
        if (r == L2_OK)
            r = put_name(out, string(o, "rule"), 32, err);
        if (r == L2_OK)
            r = l2_buf_printf(out, err, " %-9s %12llu %12llu %12llu %14llu\n", string(o, "kind"),
                              number(o, "documents"), number(o, "lines"), number(o, "changes"),
                              number(o, "bytes"));
        if (r == L2_OK && json_object_get(o, "gave_up"))
            r = l2_buf_printf(out, err, "    met its match limits %llu times\n",
                              number(o, "gave_up"));
        json_array_foreach(json_object_get(o, "examples"), k, x) if (r == L2_OK) r =
            l2_buf_printf(out, err, "    %s: %s\n", string(x, "id"), string(x, "text"));
        if (r != L2_OK)
            return r;
    }
    return r;
}

static int put_tables(const json_t *all, struct l2_buf *out, struct l2_err *err)
{
    const char *key;
    json_t *o;
    int r = L2_OK;
    json_object_foreach((json_t *)(uintptr_t)all, key, o) if (r == L2_OK) r =
        l2_buf_printf(out, err, "table of %s: %.1f MiB, %llu of %llu, %llu did not fit\n", key,
                      (double)number(o, "bytes") / 1048576, number(o, "remembered"),
                      number(o, "room"), number(o, "not_remembered"));
    return r;
}

static int put_contamination(const json_t *sets, struct l2_buf *out, struct l2_err *err)
{
    const json_t *o;
    size_t i;
    int r =
        l2_buf_printf(out, err, "\n%-32s %9s %9s %9s %9s %9s %9s %9s\n", "evaluation set",
                      "samples", "found", "clean", "not clean", "not dirty", "dirty", "too short");
    json_array_foreach(sets, i, o)
    {
        if (r == L2_OK)
            r = put_name(out, string(o, "set"), 32, err);
        if (r == L2_OK)
            r = l2_buf_printf(out, err, " %9llu %9llu %9llu %9llu %9llu %9llu %9llu\n",
                              number(o, "samples"), number(o, "samples_found"), number(o, "clean"),
                              number(o, "not_clean"), number(o, "not_dirty"), number(o, "dirty"),
                              number(o, "too_short"));
    }
    return r;
}

static double percent(const json_t *o, const char *key)
{
    return 100 * json_real_value(json_object_get(o, key));
}

static int put_terms(const json_t *groups, struct l2_buf *out, struct l2_err *err)
{
    const json_t *g, *t;
    size_t i, k;
    int r =
        l2_buf_append_str(out, "\nterms: share of documents; of the documents of its group\n", err);
    json_array_foreach(groups, i, g)
    {
        if (r == L2_OK)
            r = put_name(out, string(g, "group"), 32, err);
        if (r == L2_OK)
            r = l2_buf_printf(out, err, " %12llu %8.2f%%\n", number(g, "documents"),
                              percent(g, "share"));
        json_array_foreach(json_object_get(g, "terms"), k, t)
        {
            if (r == L2_OK)
                r = l2_buf_append_str(out, "    ", err);
            if (r == L2_OK)
                r = put_name(out, string(t, "term"), 28, err);
            if (r == L2_OK)
                r = l2_buf_printf(out, err, " %12llu %8.2f%%\n", number(t, "documents"),
                                  percent(t, "share_of_group"));
        }
    }
    return r;
}

static int put_sources(const json_t *sources, struct l2_buf *out, struct l2_err *err)
{
    const json_t *o;
    size_t i;
    int r = l2_buf_printf(out, err, "\n%-40s %8s %12s %12s %12s %14s\n", "source", "weight", "read",
                          "kept", "written", "bytes");
    json_array_foreach(sources, i, o)
    {
        if (r == L2_OK)
            r = put_name(out, string(o, "source"), 40, err);
        if (r == L2_OK)
            r = l2_buf_printf(out, err, " %8.3g %12llu %12llu %12llu %14llu\n",
                              json_number_value(json_object_get(o, "weight")), number(o, "read"),
                              number(o, "kept"), number(o, "written"), number(o, "bytes_written"));
    }
    return r;
}

int l2_clean_table(const json_t *report, struct l2_buf *out, struct l2_err *err)
{
    const json_t *d = json_object_get(report, "documents"), *part;
    int r = l2_buf_printf(
        out, err, "documents: %llu read, %llu kept; bytes: %llu read, %llu kept\n",
        number(d, "read"), number(d, "kept"), number(d, "bytes_read"), number(d, "bytes_kept"));
    if (r == L2_OK)
        r = put_tables(json_object_get(report, "tables"), out, err);
    if (r == L2_OK)
        r = l2_buf_append_byte(out, '\n', err);
    if (r == L2_OK)
        r = put_rules(json_object_get(report, "rules"), out, err);
    if (r == L2_OK && (part = json_object_get(report, "contamination")))
        r = put_contamination(part, out, err);
    if (r == L2_OK && (part = json_object_get(report, "terms")))
        r = put_terms(part, out, err);
    if (r == L2_OK && (part = json_object_get(report, "sources")))
        r = put_sources(part, out, err);
    return r;
}
