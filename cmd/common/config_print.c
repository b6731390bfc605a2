/* --print-config: the settings in force as YAML, through libyaml's emitter, which knows how to
 * quote. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "common/config_file.h"
#include "util/num.h"
#include "util/utf8.h"

/* The emitter with the first failure; after one, the functions below do nothing. */
struct printer {
    yaml_emitter_t emitter;
    bool failed;
    bool not_utf8; /* why: YAML has no way to say other bytes */
};

static void emit(struct printer *p, yaml_event_t *event, int initialized)
{
    if (p->failed || !initialized || !yaml_emitter_emit(&p->emitter, event))
        p->failed = true;
}

static void scalar(struct printer *p, const char *text, yaml_scalar_style_t style)
{
    yaml_event_t ev;
    size_t at;
    if (!l2_utf8_valid(text, strlen(text), &at))
        p->failed = p->not_utf8 = true;
    if (p->failed)
        return;
    emit(p, &ev,
         yaml_scalar_event_initialize(&ev, NULL, NULL, (const yaml_char_t *)text, (int)strlen(text),
                                      1, 1, style));
}

static void key(struct printer *p, const char *text)
{
    scalar(p, text, YAML_PLAIN_SCALAR_STYLE);
}

static void begin_map(struct printer *p)
{
    yaml_event_t ev;
    if (!p->failed)
        emit(p, &ev,
             yaml_mapping_start_event_initialize(&ev, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
}

static void end_map(struct printer *p)
{
    yaml_event_t ev;
    if (!p->failed)
        emit(p, &ev, yaml_mapping_end_event_initialize(&ev));
}

/* A string, always in quotes so that it stays one. A relative path is written as an absolute one,
 * since the printed file may be put anywhere. */
static void string(struct printer *p, const struct l2_opt *row, const char *text)
{
    char cwd[PATH_MAX];
    if (!row->is_path || text[0] == '/' || text[0] == '\0' || strcmp(text, "-") == 0) {
        scalar(p, text, YAML_DOUBLE_QUOTED_SCALAR_STYLE);
        return;
    }
    char *path = NULL;
    size_t n = 0;
    if (getcwd(cwd, sizeof cwd)) {
        n = strlen(cwd) + strlen(text) + 2;
        path = malloc(n);
    }
    if (!path) {
        p->failed = true;
        return;
    }
    snprintf(path, n, "%s/%s", cwd, text);
    scalar(p, path, YAML_DOUBLE_QUOTED_SCALAR_STYLE);
    free(path);
}

static void begin_list(struct printer *p)
{
    yaml_event_t ev;
    if (!p->failed)
        emit(p, &ev,
             yaml_sequence_start_event_initialize(&ev, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE));
}

static void end_list(struct printer *p)
{
    yaml_event_t ev;
    if (!p->failed)
        emit(p, &ev, yaml_sequence_end_event_initialize(&ev));
}

/* The values that were given to a CALL row. */
static void called(struct printer *p, const struct l2_options *o, const struct l2_opt *row)
{
    bool any = false;
    for (size_t i = 0; i < o->n_called; i++) {
        if (o->called[i].opt != row)
            continue;
        if (!any) {
            key(p, row->name);
            begin_list(p);
        }
        any = true;
        string(p, row, o->called[i].value);
    }
    if (any)
        end_list(p);
}

/* The text of a number, "" where the target holds none that can be given. */
static void number_text(const struct l2_opt *row, char *text, size_t size)
{
    int64_t i;
    text[0] = '\0';
    switch (row->kind) {
    case L2_OPT_INT:
        i = *(int64_t *)row->target;
        if ((row->min != 0 || row->max != 0) && ((double)i < row->min || (double)i > row->max))
            return; /* a default that stands for "not set" */
        snprintf(text, size, "%" PRId64, i);
        break;
    case L2_OPT_REAL:
        if (*(double *)row->target - *(double *)row->target == 0)
            l2_format_f64(text, *(double *)row->target);
        break;
    case L2_OPT_SEED:
    case L2_OPT_BYTES:
        snprintf(text, size, "%" PRIu64, *(uint64_t *)row->target);
        break;
    case L2_OPT_CHOICE:
        snprintf(text, size, "%s", row->choices[*(int *)row->target]);
        break;
    case L2_OPT_FLAG:
        snprintf(text, size, "%s", *(bool *)row->target ? "true" : "false");
        break;
    case L2_OPT_HEADING:
    case L2_OPT_STRING:
    case L2_OPT_LIST:
    case L2_OPT_CALL:
        break;
    }
}

static void print_row(struct printer *p, const struct l2_options *o, const struct l2_opt *row)
{
    char text[64];
    if (row->not_in_config || (row->given && !*row->given))
        return;
    if (row->kind == L2_OPT_CALL) {
        called(p, o, row);
    } else if (row->kind == L2_OPT_STRING) {
        const char *s = *(const char **)row->target;
        if (s) {
            key(p, row->name);
            string(p, row, s);
        }
    } else if (row->kind == L2_OPT_LIST) {
        const struct l2_strings *list = row->target;
        if (list->n == 0)
            return;
        key(p, row->name);
        begin_list(p);
        for (size_t i = 0; i < list->n; i++)
            string(p, row, list->v[i]);
        end_list(p);
    } else {
        number_text(row, text, sizeof text);
        if (text[0]) {
            key(p, row->name);
            scalar(p, text, YAML_PLAIN_SCALAR_STYLE);
        }
    }
}

/* A flag that is off has no effect. */
static bool has_effect(const struct l2_opt *row)
{
    return !row->no_effect && !(row->kind == L2_OPT_FLAG && !*(bool *)row->target);
}

static int append(void *out, unsigned char *bytes, size_t n)
{
    return l2_buf_append(out, bytes, n, NULL) == L2_OK;
}

int l2_config_print(const struct l2_options *o, const struct l2_program *program,
                    const struct l2_subcommand *sub, bool only_effective, struct l2_buf *out,
                    struct l2_err *err)
{
    struct printer p = {.failed = false};
    yaml_event_t ev;

    if (!yaml_emitter_initialize(&p.emitter))
        return l2_err_memory(err, sizeof p.emitter);
    yaml_emitter_set_output(&p.emitter, append, out);
    yaml_emitter_set_unicode(&p.emitter, 1);
    yaml_emitter_set_width(&p.emitter, -1);
    emit(&p, &ev, yaml_stream_start_event_initialize(&ev, YAML_UTF8_ENCODING));
    if (!p.failed)
        emit(&p, &ev, yaml_document_start_event_initialize(&ev, NULL, NULL, NULL, 1));

    begin_map(&p);
    key(&p, program->name);
    begin_map(&p);
    if (sub) {
        key(&p, sub->name);
        begin_map(&p);
    }
    for (const struct l2_opt *const *t = o->tables; *t; t++)
        for (const struct l2_opt *row = *t; row->name; row++)
            if (!only_effective || has_effect(row))
                print_row(&p, o, row);
    if (sub)
        end_map(&p);
    end_map(&p);
    end_map(&p);

    if (!p.failed)
        emit(&p, &ev, yaml_document_end_event_initialize(&ev, 1));
    if (!p.failed)
        emit(&p, &ev, yaml_stream_end_event_initialize(&ev));
    int r = L2_OK;
    if (p.not_utf8)
        r = l2_err_set(err, L2_ARGUMENT, "cannot write the settings as YAML: one is not UTF-8");
    else if (p.failed)
        r = l2_err_memory(err, out->len + 1);
    yaml_emitter_delete(&p.emitter);
    return r;
}
