/* Pre-prompts by category: reading them, and choosing among them. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "rlhf/preprompt.h"

#include <stdlib.h>
#include <string.h>

#include "stream/fields.h"
#include "util/grow.h"
#include "util/philox.h"
#include "util/yamldoc.h"

/* Sampled tokens are drawn for the completions' numbers; this one is no completion's. */
#define DRAWS_OF_PREPROMPTS (UINT64_MAX - 1)

/* Aliases can stand for one text many times; texts count with TEXT_COST bytes more than they have.
 */
enum { MAX_CATEGORIES = 1024, MAX_BYTES = 16 << 20, TEXT_COST = 64 };

struct category {
    const char *name;
    size_t first, n; /* of all */
};

struct l2_preprompts {
    struct l2_arena arena; /* of the strings */
    struct l2_preprompt *all;
    size_t n, cap;
    size_t bytes; /* of the texts */
    struct category *categories;
    size_t n_categories, categories_cap;
    char *file; /* in arena */
};

static int add_text(struct l2_preprompts *p, const char *text, struct l2_err *err)
{
    const struct category *c = &p->categories[p->n_categories - 1];
    struct l2_buf name = {0};
    int r = l2_grow(&p->all, p->n, &p->cap, 1, sizeof *p->all, err);
    if (r == L2_OK)
        r = l2_buf_printf(&name, err, "%s/%zu", c->name, c->n + 1);
    if (r == L2_OK) {
        char *kept = l2_arena_strdup(&p->arena, name.data, name.len, err);
        char *copy = l2_arena_strdup(&p->arena, text, strlen(text), err);
        p->all[p->n] = (struct l2_preprompt){.name = kept, .text = copy};
        r = kept && copy ? L2_OK : L2_MEMORY;
    }
    if (r == L2_OK) {
        p->n++;
        p->categories[p->n_categories - 1].n++;
    }
    l2_buf_release(&name);
    return r;
}

static int take_text(const struct l2_yaml *y, void *to, const yaml_node_t *item, struct l2_err *err)
{
    struct l2_preprompts *p = to;
    const char *text;
    int r = l2_yaml_text(y, item, "pre-prompt", &text, err);
    if (r != L2_OK)
        return r;
    if (strspn(text, " \t\r\n") == strlen(text))
        return l2_yaml_at(y, item, err, "want the text of a pre-prompt, got nothing");
    p->bytes += strlen(text) + TEXT_COST; /* a text is shorter than the file */
    if (p->bytes > MAX_BYTES)
        return l2_yaml_at(y, item, err, "pre-prompts of more than %d MiB", MAX_BYTES >> 20);
    return add_text(p, text, err);
}

static int add_category(struct l2_preprompts *p, const char *name, struct l2_err *err)
{
    int r =
        l2_grow(&p->categories, p->n_categories, &p->categories_cap, 1, sizeof *p->categories, err);
    if (r != L2_OK)
        return r;
    char *copy = l2_arena_strdup(&p->arena, name, strlen(name), err);
    if (!copy)
        return L2_MEMORY;
    p->categories[p->n_categories++] = (struct category){.name = copy, .first = p->n};
    return L2_OK;
}

static int take_category(const struct l2_yaml *y, void *to, const char *key,
                         const yaml_node_t *value, struct l2_err *err)
{
    struct l2_preprompts *p = to;
    if (p->n_categories == MAX_CATEGORIES)
        return l2_yaml_at(y, value, err, "more than %d categories", MAX_CATEGORIES);
    int r = add_category(p, key, err);
    if (r != L2_OK)
        return r;
    r = value->type == YAML_SEQUENCE_NODE ? l2_yaml_list(y, value, key, take_text, p, err)
                                          : take_text(y, p, value, err);
    if (r == L2_OK && p->categories[p->n_categories - 1].n == 0)
        r = l2_yaml_at(y, value, err, "%.64s: want one pre-prompt at least", key);
    return r;
}

static int new_preprompts(struct l2_preprompts **out, const char *file, struct l2_err *err)
{
    struct l2_preprompts *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p)
        return l2_err_memory(err, sizeof *p);
    p->file = l2_arena_strdup(&p->arena, file, strlen(file), err);
    if (!p->file) {
        free(p);
        return L2_MEMORY;
    }
    *out = p;
    return L2_OK;
}

int l2_preprompts_read(struct l2_preprompts **out, const char *text, size_t n, const char *file,
                       struct l2_err *err)
{
    struct l2_yaml y;
    *out = NULL;
    int r = l2_yaml_open(&y, text, n, file, err);
    if (r != L2_OK)
        return r;
    r = new_preprompts(out, file, err);
    if (r == L2_OK && y.root)
        r = l2_yaml_mapping(&y, y.root, "pre-prompts", take_category, *out, err);
    if (r == L2_OK && (*out)->n == 0)
        r = l2_err_at(err, L2_CORRUPT, file, -1, "no pre-prompts: want categories with texts");
    l2_yaml_close(&y);
    if (r != L2_OK) {
        l2_preprompts_free(*out);
        *out = NULL;
    }
    return r;
}

int l2_preprompts_of_text(struct l2_preprompts **out, const char *text, struct l2_err *err)
{
    int r = new_preprompts(out, "", err);
    if (r == L2_OK)
        r = add_category(*out, L2_PREPROMPT_GENERIC, err);
    if (r == L2_OK)
        r = add_text(*out, text, err);
    if (r != L2_OK) {
        l2_preprompts_free(*out);
        *out = NULL;
    }
    return r;
}

void l2_preprompts_free(struct l2_preprompts *p)
{
    if (!p)
        return;
    free(p->all);
    free(p->categories);
    l2_arena_release(&p->arena);
    free(p);
}

const struct l2_preprompt *l2_preprompts_all(const struct l2_preprompts *p, size_t *n)
{
    *n = p->n;
    return p->all;
}

static const struct category *find(const struct l2_preprompts *p, const char *name, size_t n)
{
    for (size_t i = 0; i < p->n_categories; i++)
        if (strlen(p->categories[i].name) == n && memcmp(p->categories[i].name, name, n) == 0)
            return &p->categories[i];
    return NULL;
}

int l2_preprompts_choose(struct l2_preprompts *p, const struct l2_record *rec, const char *field,
                         uint64_t seed, struct l2_preprompt **out, bool *unknown,
                         struct l2_err *err)
{
    const struct category *c = NULL;
    struct l2_cbor_item item;
    struct l2_buf label = {0};
    uint8_t id[32];
    bool found = false;
    int r = L2_OK;
    if (field && rec->has_meta)
        r = l2_fields_find(&rec->meta, field, &found, &item, err);
    if (r == L2_OK && found)
        r = l2_fields_label(&rec->meta, field, &label, err);
    if (r == L2_OK && found)
        c = find(p, label.data ? (const char *)label.data : "", label.len);
    *unknown = found && !c;
    if (r == L2_OK && !c)
        c = find(p, L2_PREPROMPT_GENERIC, strlen(L2_PREPROMPT_GENERIC));
    if (r == L2_OK && !c && found)
        r = l2_err_set(err, L2_FORMAT,
                       "meta field %s: %s has no pre-prompt for category %.*s, and no generic one",
                       field, p->file, label.len < 64 ? (int)label.len : 64, (char *)label.data);
    else if (r == L2_OK && !c)
        r = l2_err_set(err, L2_FORMAT, "it has no category, and %s no generic pre-prompt", p->file);
    l2_buf_release(&label);
    if (r != L2_OK)
        return r;
    l2_id_hash(&rec->id, id);
    double u = l2_philox_uniform(l2_philox_key_for(seed, id), DRAWS_OF_PREPROMPTS, 0);
    *out = &p->all[c->first + (size_t)(u * (double)c->n)];
    return L2_OK;
}
