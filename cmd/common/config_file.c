/* Reading configuration files: the options of the suite's programs as YAML, through libyaml. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "common/config_file.h"
#include "common/rows.h"

/* The programs whose sections may stand in a file. */
static const char *const programs[] = {
    "l2-cat",   "l2-clean",    "l2-embed", "l2-eval",  "l2-gatt",      "l2-generate",
    "l2-model", "l2-plot",     "l2-ppo",   "l2-prefs", "l2-preprompt", "l2-rsample",
    "l2-score", "l2-tokenize", "l2-train", "l2-vocab", NULL,
};

struct reader {
    struct l2_options *options;
    const struct l2_program *program;
    const struct l2_subcommand *sub; /* or NULL */
    const char *path;
    yaml_document_t *doc;
};

static int at_node(const struct reader *rd, const yaml_node_t *node, struct l2_err *err,
                   const char *fmt, ...) L2_PRINTF(4, 5);

static int at_node(const struct reader *rd, const yaml_node_t *node, struct l2_err *err,
                   const char *fmt, ...)
{
    char text[sizeof err->text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return l2_err_at_line(err, L2_ARGUMENT, rd->path, (int64_t)node->start_mark.line + 1,
                          (int64_t)node->start_mark.column + 1, "%s", text);
}

static yaml_node_t *node_of(const struct reader *rd, int index)
{
    return yaml_document_get_node(rd->doc, index);
}

/* The text of a scalar, or NULL (with err set) for anything else. */
static const char *scalar_text(const struct reader *rd, const yaml_node_t *node, const char *key,
                               struct l2_err *err)
{
    if (node->type != YAML_SCALAR_NODE) {
        (void)at_node(rd, node, err, "%s: want a single value", key);
        return NULL;
    }
    const char *text = (const char *)node->data.scalar.value;
    if (strlen(text) != node->data.scalar.length) {
        (void)at_node(rd, node, err, "%s: value holds a NUL character", key);
        return NULL;
    }
    bool plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (plain && (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0)) {
        (void)at_node(rd, node, err, "%s: want a value, got none", key);
        return NULL;
    }
    return text;
}

/* value as it goes to the option: a copy, relative paths put behind the file's directory. */
static const char *own_value(const struct reader *rd, const struct l2_opt *row, const char *value,
                             struct l2_err *err)
{
    const char *slash = strrchr(rd->path, '/');
    size_t dir = 0;
    if (row->is_path && slash && value[0] != '/' && value[0] != '\0' && strcmp(value, "-") != 0)
        dir = (size_t)(slash - rd->path) + 1;
    size_t len = strlen(value);
    char *copy = l2_arena_alloc(&rd->options->arena, dir + len + 1, 1, err);
    if (copy) {
        memcpy(copy, rd->path, dir);
        memcpy(copy + dir, value, len + 1);
    }
    return copy;
}

static int set_scalar(const struct reader *rd, const struct l2_opt *row, const yaml_node_t *node,
                      struct l2_err *err)
{
    const char *text = scalar_text(rd, node, row->name, err);
    if (!text || !(text = own_value(rd, row, text, err)))
        return err->code;
    struct l2_err why;
    int r = l2_options_set(rd->options, row, text, &why);
    if (r == L2_ARGUMENT && !why.file[0])
        return at_node(rd, node, err, "%s: %s", row->name, why.text);
    if (r < 0)
        *err = why;
    return r;
}

static int set_option(const struct reader *rd, const struct l2_opt *row, const yaml_node_t *node,
                      struct l2_err *err)
{
    bool many = row->kind == L2_OPT_LIST || row->kind == L2_OPT_CALL;
    if (row->kind == L2_OPT_LIST)
        *(struct l2_strings *)row->target = (struct l2_strings){0};
    if (node->type != YAML_SEQUENCE_NODE || !many)
        return set_scalar(rd, row, node, err);
    const yaml_node_item_t *item = node->data.sequence.items.start;
    for (; item < node->data.sequence.items.top; item++) {
        int r = set_scalar(rd, row, node_of(rd, *item), err);
        if (r < 0)
            return r;
    }
    return L2_OK;
}

static bool table_has(const struct l2_opt *table, const char *name)
{
    return table && l2_opt_find((const struct l2_opt *const[]){table, NULL}, name);
}

/* True when the program, with any subcommand, has an option of that name. */
static bool program_has(const struct l2_program *program, const char *name)
{
    if (table_has(program->options, name) || l2_rows_is_shared(name))
        return true;
    for (const struct l2_subcommand *s = program->subcommands; s && s->name; s++)
        if (table_has(s->options, name))
            return true;
    return false;
}

static bool is_subcommand(const struct l2_program *program, const char *name)
{
    for (const struct l2_subcommand *s = program->subcommands; s && s->name; s++)
        if (strcmp(s->name, name) == 0)
            return true;
    return false;
}

static bool is_program(const char *name)
{
    for (size_t i = 0; programs[i]; i++)
        if (strcmp(programs[i], name) == 0)
            return true;
    return false;
}

enum level { TOP, PROGRAM, SUBCOMMAND };

/* What a key may be at a level of the file. */
enum key_kind { KEY_UNKNOWN, KEY_OPTION, KEY_SECTION };

static enum key_kind key_kind(const struct reader *rd, enum level level, const char *key)
{
    switch (level) {
    case TOP:
        return is_program(key) ? KEY_SECTION : l2_rows_is_shared(key) ? KEY_OPTION : KEY_UNKNOWN;
    case PROGRAM:
        if (is_subcommand(rd->program, key))
            return KEY_SECTION;
        return program_has(rd->program, key) ? KEY_OPTION : KEY_UNKNOWN;
    case SUBCOMMAND:
        return table_has(rd->sub->options, key) || l2_rows_is_shared(key) ? KEY_OPTION
                                                                          : KEY_UNKNOWN;
    }
    return KEY_UNKNOWN;
}

static bool is_empty(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE && node->data.scalar.length == 0;
}

/* Sets the options of one mapping and finds the section that comes next (NULL: there is none). Keys
 * that belong to another program or subcommand are passed over; keys of nobody, and keys given
 * twice, are errors. */
static int read_level(const struct reader *rd, enum level level, const yaml_node_t *map,
                      const yaml_node_t **next, struct l2_err *err)
{
    const char *wanted = level == TOP ? rd->program->name : rd->sub ? rd->sub->name : "";

    *next = NULL;
    if (is_empty(map))
        return L2_OK;
    if (map->type != YAML_MAPPING_NODE)
        return at_node(rd, map, err, "want keys with values");
    const yaml_node_pair_t *first = map->data.mapping.pairs.start;
    for (const yaml_node_pair_t *pair = first; pair < map->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key_node = node_of(rd, pair->key), *value = node_of(rd, pair->value);
        const char *key = scalar_text(rd, key_node, "key", err);
        if (!key)
            return err->code;
        for (const yaml_node_pair_t *p = first; p < pair; p++)
            if (strcmp((const char *)node_of(rd, p->key)->data.scalar.value, key) == 0)
                return at_node(rd, key_node, err, "key '%s' is given twice", key);

        const struct l2_opt *row = l2_opt_find(rd->options->tables, key);
        if (row && row->not_in_config)
            return at_node(rd, key_node, err, "'%s' is for the command line only", key);
        switch (key_kind(rd, level, key)) {
        case KEY_UNKNOWN:
            return at_node(rd, key_node, err, "unknown key '%s'%s", key,
                           level == TOP ? " (here stand options that all programs share, and "
                                          "sections of programs)"
                                        : "");
        case KEY_SECTION:
            if (strcmp(key, wanted) == 0)
                *next = value;
            else if (value->type != YAML_MAPPING_NODE && !is_empty(value))
                return at_node(rd, value, err, "%s: want keys with values", key);
            break;
        case KEY_OPTION:
            if (row) {
                int r = set_option(rd, row, value, err);
                if (r < 0)
                    return r;
            }
            break;
        }
    }
    return L2_OK;
}

static int read_document(const struct reader *rd, struct l2_err *err)
{
    const yaml_node_t *map = yaml_document_get_root_node(rd->doc);
    enum level last = rd->sub ? SUBCOMMAND : PROGRAM;
    for (enum level level = TOP; map && level <= last; level++) {
        const yaml_node_t *next;
        int r = read_level(rd, level, map, &next, err);
        if (r < 0)
            return r;
        map = next;
    }
    return L2_OK;
}

static int yaml_error(const yaml_parser_t *parser, const char *path, struct l2_err *err)
{
    if (parser->error == YAML_MEMORY_ERROR)
        return l2_err_memory(err, 0);
    if (parser->error == YAML_READER_ERROR && errno != 0)
        return l2_err_sys(err, errno, path, "cannot read");
    if (parser->error == YAML_READER_ERROR)
        return l2_err_at(err, L2_FORMAT, path, (int64_t)parser->problem_offset, "not YAML: %s",
                         parser->problem);
    return l2_err_at_line(err, L2_FORMAT, path, (int64_t)parser->problem_mark.line + 1,
                          (int64_t)parser->problem_mark.column + 1, "not YAML: %s",
                          parser->problem);
}

int l2_config_load(struct l2_options *o, const char *path, const struct l2_program *program,
                   const struct l2_subcommand *sub, struct l2_err *err)
{
    yaml_parser_t parser;
    yaml_document_t doc, more;
    struct reader rd = {o, program, sub, path, &doc};

    FILE *f = fopen(path, "rb");
    if (!f)
        return l2_err_sys(err, errno, path, "cannot open");
    if (!yaml_parser_initialize(&parser)) {
        fclose(f);
        return l2_err_memory(err, sizeof parser);
    }
    yaml_parser_set_input_file(&parser, f);
    errno = 0;
    int r;
    if (!yaml_parser_load(&parser, &doc)) {
        r = yaml_error(&parser, path, err);
        goto out;
    }
    r = read_document(&rd, err);
    if (r == L2_OK && yaml_document_get_root_node(&doc)) {
        if (!yaml_parser_load(&parser, &more)) {
            r = yaml_error(&parser, path, err);
        } else {
            const yaml_node_t *root = yaml_document_get_root_node(&more);
            if (root)
                r = at_node(&rd, root, err, "a second document");
            yaml_document_delete(&more);
        }
    }
    yaml_document_delete(&doc);
out:
    yaml_parser_delete(&parser);
    fclose(f);
    return r;
}
