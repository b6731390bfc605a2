/* Which chat template a model was made with. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "text/template.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/gguf.h"
#include "util/jsonfile.h"

#define MAX_TEMPLATE ((size_t)1 << 20)
#define MAX_CONFIG   ((size_t)16 << 20)
#define MAX_ATOMS    9

/* ---- recognising ----
 * A Jinja text puts out its literals, the messages' contents and BOS and EOS. It stands for one of
 * our templates when its literals can be put together from that template's atoms alone, all of the
 * first n_needed atoms occur, and it strips contents where the template does. A default system
 * prompt, dates, tools and further roles are literals that are no atoms. */

struct known {
    const char *name;
    size_t n_needed;
    const char *atoms[MAX_ATOMS];
    bool strips;
};

static const struct known knowns[] = {
    {"chatml", 2, {"<|im_start|>", "<|im_end|>", "\n"}, false},
    {"llama2", 4, {"[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", " ", "\n"}, true},
    {"llama3", 3, {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "\n"}, true},
    {"mistral", 2, {"[INST]", "[/INST]", " "}, false},
    {"zephyr", 3, {"<|system|>", "<|user|>", "<|assistant|>", "\n"}, false},
};

/* Roles and keys: put out as roles, or only compared with. */
static const char *const words[] = {"role", "content", "system", "user", "assistant"};

/* Which atoms of a template have been seen; false once something else has. */
struct match {
    const struct known *k;
    bool fits;
    bool seen[MAX_ATOMS];
};

static size_t match_word(const char *s, size_t n)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i]);
        if (len <= n && memcmp(s, words[i], len) == 0)
            return len;
    }
    return 0;
}

/* A literal, its escapes resolved. */
static void match_literal(struct match *m, const char *s, size_t n)
{
    for (size_t i = 0; i < n && m->fits;) {
        size_t len = 0;
        for (size_t a = 0; a < MAX_ATOMS && m->k->atoms[a] && len == 0; a++) {
            size_t atom = strlen(m->k->atoms[a]);
            if (atom <= n - i && memcmp(s + i, m->k->atoms[a], atom) == 0) {
                m->seen[a] = true;
                len = atom;
            }
        }
        if (len == 0)
            len = match_word(s + i, n - i);
        m->fits = len > 0;
        i += len;
    }
}

/* Reads the literal whose quote is at s[i] into out[0..*n_out), which has room for it; returns
 * where it ends, or 0. */
static size_t read_literal(const char *s, size_t n, size_t i, char *out, size_t *n_out)
{
    char quote = s[i];
    *n_out = 0;
    for (i++; i < n && s[i] != quote; i++) {
        char c = s[i];
        if (c == '\\') {
            if (++i == n || (s[i] != 'n' && s[i] != '\\' && s[i] != '\'' && s[i] != '"'))
                return 0;
            c = s[i] == 'n' ? '\n' : s[i];
        }
        out[(*n_out)++] = c;
    }
    return i < n ? i + 1 : 0;
}

static bool ends_with(const char *s, size_t n, const char *what)
{
    size_t len = strlen(what);
    while (n > 0 && isspace((unsigned char)s[n - 1]))
        n--;
    return n >= len && memcmp(s + n - len, what, len) == 0;
}

/* What is between {{ and }} or {% and %} from i; returns where it ends, or 0. */
static size_t match_code(struct match *m, const char *s, size_t n, size_t i, char *room)
{
    for (; i + 1 < n; i++) {
        if ((s[i] == '}' || s[i] == '%') && s[i + 1] == '}')
            return i + 2;
        if (s[i] != '\'' && s[i] != '"')
            continue;
        size_t len, end = read_literal(s, n, i, room, &len);
        if (end == 0)
            return 0;
        if (!ends_with(s, i, "raise_exception(")) /* is no output */
            match_literal(m, room, len);
        i = end - 1;
    }
    return 0;
}

/* Whether code or a comment begins at s[i]. */
static bool begins_code(const char *s, size_t n, size_t i)
{
    return s[i] == '{' && i + 1 < n && (s[i + 1] == '{' || s[i + 1] == '%' || s[i + 1] == '#');
}

static bool fits(const struct known *k, const char *s, size_t n, char *room)
{
    struct match m = {.k = k, .fits = true};
    for (size_t i = 0; i < n && m.fits;) {
        bool code = begins_code(s, n, i);
        if (code && s[i + 1] == '#') { /* a comment */
            while (i + 1 < n && !(s[i] == '#' && s[i + 1] == '}'))
                i++;
            i += 2;
        } else if (code) {
            i = match_code(&m, s, n, i + 2, room);
            m.fits = m.fits && i > 0;
        } else {
            size_t from = i;
            while (i < n && !begins_code(s, n, i))
                i++;
            while (from < i && isspace((unsigned char)s[from]))
                from++;
            size_t end = i;
            while (end > from && isspace((unsigned char)s[end - 1]))
                end--;
            match_literal(&m, s + from, end - from);
        }
    }
    for (size_t a = 0; a < k->n_needed; a++)
        m.fits = m.fits && m.seen[a];
    return m.fits;
}

static bool contains(const char *s, size_t n, const char *what)
{
    size_t len = strlen(what);
    for (size_t i = 0; i + len <= n; i++)
        if (memcmp(s + i, what, len) == 0)
            return true;
    return false;
}

const struct l2_template *l2_template_recognise(const char *jinja, size_t n)
{
    const struct l2_template *found = NULL;
    bool strips = contains(jinja, n, "trim") || contains(jinja, n, "strip()");
    char *room = malloc(n + 1);
    if (!room)
        return NULL;
    for (size_t i = 0; i < sizeof knowns / sizeof *knowns && !found; i++)
        if (knowns[i].strips == strips && fits(&knowns[i], jinja, n, room))
            found = l2_template_find(knowns[i].name);
    free(room);
    return found;
}

/* ---- finding ---- */

/* Where a template comes from and goes to. */
struct search {
    struct l2_buf *text;
    bool found;
};

static int take(struct search *s, const char *text, size_t n, const char *file, struct l2_err *err)
{
    if (n > MAX_TEMPLATE)
        return l2_err_at(err, L2_LIMIT, file, -1, "its chat template has %zu bytes, more than %zu",
                         n, MAX_TEMPLATE);
    s->found = true;
    return l2_buf_append(s->text, text, n, err);
}

static int from_gguf(struct search *s, const struct l2_map *m, struct l2_err *err)
{
    struct l2_gguf g;
    struct l2_gguf_str text;
    bool found;
    int r = l2_gguf_read(&g, m, err);
    if (r != L2_OK)
        return r;
    r = l2_gguf_get_str(&g, "tokenizer.chat_template", &text, &found, err);
    if (r == L2_OK && found)
        r = take(s, text.s, text.n, m->name, err);
    l2_gguf_release(&g);
    return r;
}

/* The template of a tokenizer_config.json: a string, or a list of named ones of which "default"
 * counts. */
static int from_config(struct search *s, const char *path, struct l2_err *err)
{
    json_t *root;
    int r = l2_jsonfile_read_reals(path, MAX_CONFIG, &root, err);
    if (r != L2_OK)
        return r;
    const json_t *t = json_object_get(root, "chat_template"), *one = json_is_string(t) ? t : NULL;
    for (size_t i = 0; i < json_array_size(t) && !one; i++) {
        const json_t *e = json_array_get(t, i);
        const char *name = json_string_value(json_object_get(e, "name"));
        if (name && strcmp(name, "default") == 0)
            one = json_object_get(e, "template");
    }
    if (json_is_string(one))
        r = take(s, json_string_value(one), json_string_length(one), path, err);
    else if (t && !json_is_null(t))
        r = l2_err_at(err, L2_UNSUPPORTED, path, -1,
                      "chat_template: want a string or a list with a default");
    json_decref(root);
    return r;
}

static int from_jinja(struct search *s, const char *path, struct l2_err *err)
{
    struct l2_map m;
    int r = l2_map_open(&m, path, err);
    if (r != L2_OK)
        return r;
    r = take(s, (const char *)m.data, m.size, path, err);
    l2_map_release(&m);
    return r;
}

static int from_directory(struct search *s, const char *dir, size_t n, struct l2_err *err)
{
    static const struct {
        const char *name;
        int (*read)(struct search *s, const char *path, struct l2_err *err);
    } files[] = {{"chat_template.jinja", from_jinja}, {"tokenizer_config.json", from_config}};
    int r = L2_OK;
    for (size_t i = 0; i < sizeof files / sizeof *files && r == L2_OK && !s->found; i++) {
        struct l2_buf path = {0};
        struct stat st;
        r = l2_buf_printf(&path, err, "%.*s/%s", (int)n, dir, files[i].name);
        if (r == L2_OK)
            r = l2_buf_append_byte(&path, '\0', err);
        if (r == L2_OK && stat((const char *)path.data, &st) == 0)
            r = files[i].read(s, (const char *)path.data, err);
        l2_buf_release(&path);
    }
    return r;
}

int l2_template_text(struct l2_buf *out, bool *found, const char *path, struct l2_err *err)
{
    const char *slash = strrchr(path, '/');
    struct search s = {.text = out};
    struct stat st;
    struct l2_map m;
    int r = L2_OK;
    bool gguf = false, directory = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    *found = false;
    if (!directory) {
        r = l2_map_open(&m, path, err);
        if (r != L2_OK)
            return r;
        gguf = l2_gguf_detect(&m);
        if (gguf)
            r = from_gguf(&s, &m, err);
        l2_map_release(&m);
    }
    if (directory)
        r = from_directory(&s, path, strlen(path), err);
    else if (!gguf && r == L2_OK)
        r = slash ? from_directory(&s, path, (size_t)(slash - path), err)
                  : from_directory(&s, ".", 1, err);
    *found = s.found;
    return r;
}

int l2_template_of_vocab(const struct l2_template **out, const char *path, struct l2_err *err)
{
    struct l2_buf text = {0};
    bool found;
    *out = NULL;
    int r = l2_template_text(&text, &found, path, err);
    if (r == L2_OK && found) {
        *out = l2_template_recognise((const char *)text.data, text.len);
        if (!*out)
            r = l2_err_at(err, L2_UNSUPPORTED, path, -1,
                          "its chat template is none of %s: say with --template which to use",
                          l2_template_names());
    }
    l2_buf_release(&text);
    return r;
}
