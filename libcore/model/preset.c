/* Hyper-parameters from YAML, by libyaml's events: one mapping of plain scalars and nothing else.
 */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/preset.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "util/num.h"

enum kind { COUNT, TOKEN, SINGLE, REAL, SWITCH };

struct field {
    const char *name;
    enum kind kind;
    void *target;
    bool seen;
};

struct reader {
    yaml_parser_t parser;
    const char *path;
    struct field *fields;
    size_t n_fields;
};

static int at(const struct reader *rd, yaml_mark_t mark, enum l2_code code, struct l2_err *err,
              const char *what, const char *which)
{
    return l2_err_at_line(err, code, rd->path, (int64_t)mark.line + 1, (int64_t)mark.column + 1,
                          "%s%.200s", what, which);
}

/* The next event, which the caller deletes. */
static int next_event(struct reader *rd, yaml_event_t *event, struct l2_err *err)
{
    if (yaml_parser_parse(&rd->parser, event))
        return L2_OK;
    const char *problem = rd->parser.problem ? rd->parser.problem : "cannot be read";
    if (rd->parser.error == YAML_MEMORY_ERROR)
        return l2_err_set(err, L2_MEMORY, "out of memory");
    return at(rd, rd->parser.problem_mark, L2_CORRUPT, err, "not YAML: ", problem);
}

static bool set_value(const struct field *f, const char *s)
{
    double real;
    uint64_t whole;
    switch (f->kind) {
    case COUNT:
        if (!l2_parse_u64(s, &whole) || whole == 0 || whole > INT32_MAX)
            return false;
        *(uint32_t *)f->target = (uint32_t)whole;
        return true;
    case TOKEN:
        if (!l2_parse_u64(s, &whole) || whole > INT32_MAX)
            return false;
        *(uint32_t *)f->target = (uint32_t)whole;
        return true;
    case SINGLE:
        if (!l2_parse_f64(s, &real))
            return false;
        *(float *)f->target = (float)real;
        return true;
    case REAL:
        return l2_parse_f64(s, f->target);
    case SWITCH:
        *(bool *)f->target = strcmp(s, "true") == 0;
        return strcmp(s, "true") == 0 || strcmp(s, "false") == 0;
    }
    return false;
}

static int read_value(struct reader *rd, struct field *f, struct l2_err *err)
{
    yaml_event_t event;
    int r = next_event(rd, &event, err);
    if (r != L2_OK)
        return r;
    if (event.type != YAML_SCALAR_EVENT || !set_value(f, (const char *)event.data.scalar.value))
        r = at(rd, event.start_mark, L2_CORRUPT, err,
               f->kind == SWITCH  ? "want true or false for "
               : f->kind == COUNT ? "want a number above 0 for "
                                  : "want a number for ",
               f->name);
    yaml_event_delete(&event);
    return r;
}

static int read_field(struct reader *rd, const yaml_event_t *key, struct l2_err *err)
{
    const char *name = (const char *)key->data.scalar.value;
    for (size_t i = 0; i < rd->n_fields; i++) {
        struct field *f = &rd->fields[i];
        if (strcmp(name, f->name) != 0)
            continue;
        if (f->seen)
            return at(rd, key->start_mark, L2_CORRUPT, err, "repeated field ", name);
        f->seen = true;
        return read_value(rd, f, err);
    }
    return at(rd, key->start_mark, L2_UNSUPPORTED, err, "unknown field ", name);
}

/* stream start, document start, mapping start, (scalar, scalar)..., and the three ends. */
static int read_mapping(struct reader *rd, struct l2_err *err)
{
    static const yaml_event_type_t frame[] = {YAML_STREAM_START_EVENT,  YAML_DOCUMENT_START_EVENT,
                                              YAML_MAPPING_START_EVENT, YAML_MAPPING_END_EVENT,
                                              YAML_DOCUMENT_END_EVENT,  YAML_STREAM_END_EVENT};
    for (size_t i = 0; i < sizeof frame / sizeof frame[0];) {
        yaml_event_t event;
        int r = next_event(rd, &event, err);
        if (r != L2_OK)
            return r;
        if (i == 3 && event.type == YAML_SCALAR_EVENT)
            r = read_field(rd, &event, err);
        else if (event.type == frame[i])
            i++;
        else
            r = at(rd, event.start_mark, L2_FORMAT, err, "want one mapping of fields to values",
                   "");
        yaml_event_delete(&event);
        if (r != L2_OK)
            return r;
    }
    return L2_OK;
}

int l2_preset_read(const char *path, struct l2_hparams *hp, struct l2_err *err)
{
    struct field fields[] = {
        {"dim", COUNT, &hp->dim, false},
        {"hidden", COUNT, &hp->hidden, false},
        {"n_layers", COUNT, &hp->n_layers, false},
        {"n_heads", COUNT, &hp->n_heads, false},
        {"n_kv_heads", COUNT, &hp->n_kv_heads, false},
        {"head_dim", COUNT, &hp->head_dim, false},
        {"vocab_size", COUNT, &hp->vocab_size, false},
        {"context", COUNT, &hp->context, false},
        {"norm_eps", SINGLE, &hp->norm_eps, false},
        {"rope_theta", REAL, &hp->rope_theta, false},
        {"tied", SWITCH, &hp->tied, false},
        {"bos", TOKEN, &hp->bos, false},
        {"eos", TOKEN, &hp->eos[0], false},
    };
    struct reader rd = {
        .path = path, .fields = fields, .n_fields = sizeof fields / sizeof fields[0]};
    *hp = (struct l2_hparams){
        .norm_eps = 1e-5f, .rope_theta = 10000.0, .bos = 1, .eos = {2}, .n_eos = 1};
    FILE *f = fopen(path, "rb");
    if (!f)
        return l2_err_sys(err, errno, path, "cannot open");
    if (!yaml_parser_initialize(&rd.parser)) {
        fclose(f);
        return l2_err_set(err, L2_MEMORY, "out of memory");
    }
    yaml_parser_set_input_file(&rd.parser, f);
    int r = read_mapping(&rd, err);
    if (r == L2_OK && ferror(f))
        r = l2_err_sys(err, errno, path, "cannot read");
    yaml_parser_delete(&rd.parser);
    fclose(f);
    return r;
}

int l2_preset_finish(struct l2_hparams *hp, const char *name, struct l2_err *err)
{
    if (hp->n_kv_heads == 0)
        hp->n_kv_heads = hp->n_heads;
    if (hp->head_dim == 0 && hp->n_heads > 0) {
        if (hp->dim % hp->n_heads != 0)
            return l2_err_at(err, L2_CORRUPT, name, -1,
                             "dim %u is not a multiple of %u heads, and head_dim is not given",
                             (unsigned)hp->dim, (unsigned)hp->n_heads);
        hp->head_dim = hp->dim / hp->n_heads;
    }
    return l2_hparams_check(hp, name, err);
}
