/* Rows of JSON taken apart. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "data/row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/hh.h"

static const char *const form_names[L2_N_FORMS] = {
    [L2_FORM_TEXT] = "text",
    [L2_FORM_PROMPT] = "prompt",
    [L2_FORM_PROMPT_COMPLETION] = "prompt+completion",
    [L2_FORM_PROMPT_COMPLETIONS] = "prompt+completions",
    [L2_FORM_MESSAGES] = "messages",
    [L2_FORM_PROMPT_PAIR] = "prompt+chosen+rejected",
    [L2_FORM_PAIR] = "chosen+rejected",
};

static const char *const style_names[L2_N_STYLES] = {
    [L2_STYLE_PLAIN] = "",
    [L2_STYLE_MESSAGES] = "messages",
    [L2_STYLE_HH] = "hh",
    [L2_STYLE_TURN] = "turn",
};

static bool equals(const char *s, size_t n, const char *name)
{
    return strlen(name) == n && memcmp(s, name, n) == 0;
}

bool l2_shape_parse(const char *s, size_t n, enum l2_form *form, enum l2_style *style)
{
    if (!s)
        return false;
    const char *colon = memchr(s, ':', n);
    size_t len = colon ? (size_t)(colon - s) : n;
    int f = 0, y = L2_STYLE_PLAIN;
    while (f < L2_N_FORMS && !equals(s, len, form_names[f]))
        f++;
    if (f == L2_N_FORMS && equals(s, n, "lines"))
        f = L2_FORM_TEXT;
    if (colon)
        for (y = L2_STYLE_PLAIN + 1; y < L2_N_STYLES; y++)
            if (equals(colon + 1, n - len - 1, style_names[y]))
                break;
    if (f == L2_N_FORMS || y == L2_N_STYLES)
        return false;
    *form = (enum l2_form)f;
    *style = (enum l2_style)y;
    return true;
}

void l2_shape_format(enum l2_form form, enum l2_style style, char *out)
{
    snprintf(out, L2_SHAPE_MAX, "%s%s%s", form_names[form], style == L2_STYLE_PLAIN ? "" : ":",
             style_names[style]);
}

/* ---- values ---- */

static const char *type_name(const json_t *j)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object",   [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "an integer", [JSON_REAL] = "a real",    [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",        [JSON_NULL] = "null",
    };
    return j ? names[json_typeof(j)] : "nothing";
}

static int want_string(const char *list, size_t i, const char *key, const json_t *turn,
                       struct l2_err *err)
{
    const json_t *value = json_object_get(turn, key);
    if (json_is_string(value))
        return L2_OK;
    return l2_err_set(err, L2_FORMAT, "%s[%zu].%s: want a string, got %s", list, i, key,
                      type_name(value));
}

static int check_turns(const char *list, const json_t *turns, struct l2_err *err)
{
    for (size_t i = 0; i < json_array_size(turns); i++) {
        const json_t *turn = json_array_get(turns, i);
        if (!json_is_object(turn))
            return l2_err_set(err, L2_FORMAT, "%s[%zu]: want an object, got %s", list, i,
                              type_name(turn));
        int r = want_string(list, i, "role", turn, err);
        if (r == L2_OK)
            r = want_string(list, i, "content", turn, err);
        if (r != L2_OK)
            return r;
    }
    return L2_OK;
}

/* A new array of array's elements [begin, end). */
static json_t *slice(const json_t *array, size_t begin, size_t end, struct l2_err *err)
{
    json_t *out = json_array();
    for (size_t i = begin; i < end && out; i++) {
        if (json_array_append(out, json_array_get(array, i)) != 0) {
            json_decref(out);
            out = NULL;
        }
    }
    if (!out)
        (void)l2_err_memory(err, 1);
    return out;
}

/* A new array of one turn. */
static json_t *one_turn(const char *role, const char *s, size_t n, struct l2_err *err)
{
    json_t *turns = json_array(), *turn = json_object();
    if (json_object_set_new(turn, "role", json_string(role)) != 0 ||
        json_object_set_new(turn, "content", json_stringn(s, n)) != 0) {
        json_decref(turn);
        turn = NULL;
    }
    if (!turn || json_array_append_new(turns, turn) != 0) {
        json_decref(turns);
        turns = NULL;
        (void)l2_err_memory(err, n);
    }
    return turns;
}

/* Sets a side to text, and to turns where the row's style wants them. */
static int set_text(struct l2_row *r, struct l2_side *side, const char *s, size_t n,
                    struct l2_err *err)
{
    bool answer = side != &r->prompt;
    side->s = s;
    side->n = n;
    if (r->style == L2_STYLE_PLAIN)
        return L2_OK;
    side->turns = r->style == L2_STYLE_HH ? l2_hh_turns(s, n, answer, err)
                                          : one_turn(answer ? "assistant" : "user", s, n, err);
    return side->turns ? L2_OK : L2_MEMORY;
}

static int set_string(struct l2_row *r, struct l2_side *side, const json_t *j, struct l2_err *err)
{
    return set_text(r, side, json_string_value(j), json_string_length(j), err);
}

static int set_turns(struct l2_side *side, const json_t *array, size_t begin, size_t end,
                     struct l2_err *err)
{
    side->turns = slice(array, begin, end, err);
    return side->turns ? L2_OK : L2_MEMORY;
}

/* A side that is a string or a list, as the row's style says. */
static int set_value(struct l2_row *r, struct l2_side *side, const char *key, const json_t *j,
                     struct l2_err *err)
{
    bool list = r->style == L2_STYLE_MESSAGES;
    if (list ? !json_is_array(j) : !json_is_string(j))
        return l2_err_set(err, L2_FORMAT, "%s: want %s, got %s", key,
                          list ? "a list of messages, like the other fields" : "a string",
                          type_name(j));
    if (!list)
        return set_string(r, side, j, err);
    int code = check_turns(key, j, err);
    return code == L2_OK ? set_turns(side, j, 0, json_array_size(j), err) : code;
}

static int add_completions(struct l2_row *r, size_t n, struct l2_err *err)
{
    r->completions = calloc(n > 0 ? n : 1, sizeof *r->completions);
    if (!r->completions)
        return l2_err_memory(err, n * sizeof *r->completions);
    r->n_completions = n;
    return L2_OK;
}

/* The style of a row by the value that leads it. */
static int choose_style(struct l2_row *r, const char *key, const json_t *lead, bool templated,
                        struct l2_err *err)
{
    if (json_is_array(lead)) {
        if (!templated)
            return l2_err_set(err, L2_FORMAT,
                              "%s is a list of messages: say with --template how to render it",
                              key);
        r->style = L2_STYLE_MESSAGES;
    } else if (!json_is_string(lead)) {
        return l2_err_set(err, L2_FORMAT, "%s: want a string or a list of messages, got %s", key,
                          type_name(lead));
    } else if (!templated) {
        r->style = L2_STYLE_PLAIN;
    } else if (l2_hh_is(json_string_value(lead), json_string_length(lead))) {
        r->style = L2_STYLE_HH;
    } else {
        r->style = L2_STYLE_TURN;
    }
    return L2_OK;
}

/* ---- forms ---- */

static int parse_text(struct l2_row *r, const json_t *row, bool templated, struct l2_err *err)
{
    (void)templated; /* a text is no dialogue */
    int code = add_completions(r, 1, err);
    return code == L2_OK
               ? set_value(r, &r->completions[0], "text", json_object_get(row, "text"), err)
               : code;
}

static int parse_prompt(struct l2_row *r, const json_t *row, bool templated, struct l2_err *err)
{
    const json_t *prompt = json_object_get(row, "prompt");
    int code = choose_style(r, "prompt", prompt, templated, err);
    return code == L2_OK ? set_value(r, &r->prompt, "prompt", prompt, err) : code;
}

/* prompt, and fields with one completion each */
static int parse_fields(struct l2_row *r, const json_t *row, bool templated,
                        const char *const *keys, size_t n, struct l2_err *err)
{
    int code = parse_prompt(r, row, templated, err);
    if (code == L2_OK)
        code = add_completions(r, n, err);
    for (size_t i = 0; i < n && code == L2_OK; i++)
        code = set_value(r, &r->completions[i], keys[i], json_object_get(row, keys[i]), err);
    return code;
}

static int parse_completion(struct l2_row *r, const json_t *row, bool templated, struct l2_err *err)
{
    static const char *const keys[] = {"completion"};
    return parse_fields(r, row, templated, keys, 1, err);
}

static int parse_prompt_pair(struct l2_row *r, const json_t *row, bool templated,
                             struct l2_err *err)
{
    static const char *const keys[] = {"chosen", "rejected"};
    return parse_fields(r, row, templated, keys, 2, err);
}

/* One of l2's own completions: a string, or an object with text or messages. */
static int parse_element(struct l2_row *r, size_t i, json_t *e, struct l2_err *err)
{
    struct l2_side *side = &r->completions[i];
    char name[64];
    if (json_is_string(e) && r->style != L2_STYLE_MESSAGES)
        return set_string(r, side, e, err);
    const json_t *text = json_object_get(e, "text"), *messages = json_object_get(e, "messages");
    if (json_is_object(e))
        side->notes = e;
    else if (json_is_string(e))
        text = e;
    if (json_is_string(text) && r->style != L2_STYLE_MESSAGES)
        return set_string(r, side, text, err);
    if (json_is_string(text)) {
        side->s = json_string_value(text);
        side->n = json_string_length(text);
        side->turns = one_turn("assistant", side->s, side->n, err);
        return side->turns ? L2_OK : L2_MEMORY;
    }
    if (!json_is_array(messages) || r->style != L2_STYLE_MESSAGES)
        return l2_err_set(err, L2_FORMAT, "completions[%zu]: want a string or an object with text",
                          i);
    snprintf(name, sizeof name, "completions[%zu].messages", i);
    int code = check_turns(name, messages, err);
    return code == L2_OK ? set_turns(side, messages, 0, json_array_size(messages), err) : code;
}

static int parse_completions(struct l2_row *r, const json_t *row, bool templated,
                             struct l2_err *err)
{
    const json_t *list = json_object_get(row, "completions");
    if (!json_is_array(list))
        return l2_err_set(err, L2_FORMAT, "completions: want an array, got %s", type_name(list));
    if (json_object_get(row, "labels"))
        return l2_err_set(err, L2_FORMAT,
                          "completions with labels are the steps of one answer: want alternatives");
    int code = parse_prompt(r, row, templated, err);
    if (code == L2_OK)
        code = add_completions(r, json_array_size(list), err);
    for (size_t i = 0; i < r->n_completions && code == L2_OK; i++)
        code = parse_element(r, i, json_array_get(list, i), err);
    return code;
}

static bool is_role(const json_t *turns, size_t i, const char *role)
{
    const char *s = json_string_value(json_object_get(json_array_get(turns, i), "role"));
    return s && strcmp(s, role) == 0;
}

/* The last answer is the completion; where there is none, all of it is the prompt. key is the field
 * that the list came in. */
static int split_messages(struct l2_row *r, const char *key, const json_t *list, struct l2_err *err)
{
    size_t n = json_array_size(list);
    int code = check_turns(key, list, err);
    bool answered = code == L2_OK && n > 0 && is_role(list, n - 1, "assistant");
    if (code == L2_OK)
        code = set_turns(&r->prompt, list, 0, n - answered, err);
    if (code == L2_OK)
        code = add_completions(r, answered, err);
    if (code == L2_OK && answered)
        code = set_turns(&r->completions[0], list, n - 1, n, err);
    return code;
}

/* A field that can only be a list. */
static int want_list(struct l2_row *r, const char *key, const json_t *list, bool templated,
                     struct l2_err *err)
{
    int code = choose_style(r, key, list, templated, err);
    if (code == L2_OK && r->style != L2_STYLE_MESSAGES)
        code =
            l2_err_set(err, L2_FORMAT, "%s: want a list of messages, got %s", key, type_name(list));
    return code;
}

static int parse_messages(struct l2_row *r, const json_t *row, bool templated, struct l2_err *err)
{
    const json_t *list = json_object_get(row, "messages");
    int code = want_list(r, "messages", list, templated, err);
    return code == L2_OK ? split_messages(r, "messages", list, err) : code;
}

/* ShareGPT's names of roles. */
static const char *role_of(const char *from)
{
    static const char *const roles[][2] = {{"system", "system"},     {"human", "user"},
                                           {"user", "user"},         {"gpt", "assistant"},
                                           {"chatgpt", "assistant"}, {"assistant", "assistant"}};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strcmp(roles[i][0], from) == 0)
            return roles[i][1];
    return NULL;
}

/* One of ShareGPT's turns {from, value} as a message appended to list. */
static int append_turn(json_t *list, size_t i, const json_t *turn, struct l2_err *err)
{
    int code = want_string("conversations", i, "from", turn, err);
    if (code == L2_OK)
        code = want_string("conversations", i, "value", turn, err);
    if (code != L2_OK)
        return code;
    const char *from = json_string_value(json_object_get(turn, "from")), *role = role_of(from);
    if (!role)
        return l2_err_set(err, L2_FORMAT,
                          "conversations[%zu].from: want system, human or gpt, got %.64s", i, from);
    json_t *message = json_object();
    int bad = json_object_set_new(message, "role", json_string(role));
    bad |= json_object_set(message, "content", json_object_get(turn, "value"));
    bad |= json_array_append_new(list, message);
    return bad ? l2_err_memory(err, 1) : L2_OK;
}

/* Other fields of turns, weights for instance, would be lost: they are an error. */
static int parse_conversations(struct l2_row *r, const json_t *row, bool templated,
                               struct l2_err *err)
{
    const json_t *turns = json_object_get(row, "conversations");
    int code = want_list(r, "conversations", turns, templated, err);
    json_t *list = code == L2_OK ? json_array() : NULL;
    if (code == L2_OK && !list)
        code = l2_err_memory(err, 1);
    for (size_t i = 0; i < json_array_size(turns) && code == L2_OK; i++) {
        const json_t *turn = json_array_get(turns, i);
        code = append_turn(list, i, turn, err);
        if (code == L2_OK && json_object_size(turn) != 2)
            code = l2_err_set(err, L2_FORMAT, "conversations[%zu]: want from and value alone", i);
    }
    if (code == L2_OK)
        code = split_messages(r, "conversations", list, err);
    json_decref(list);
    return code;
}

/* The prompt is what both begin with, up to the last of the user's turns. */
static int split_lists(struct l2_row *r, const json_t *a, const json_t *b, struct l2_err *err)
{
    size_t na = json_array_size(a), nb = json_array_size(b), same = 0;
    int code = check_turns("chosen", a, err);
    if (code == L2_OK)
        code = check_turns("rejected", b, err);
    if (code != L2_OK)
        return code;
    while (same < na && same < nb && json_equal(json_array_get(a, same), json_array_get(b, same)))
        same++;
    while (same > 0 && !is_role(a, same - 1, "user"))
        same--;
    if (same == 0)
        return l2_err_set(err, L2_FORMAT, "chosen and rejected begin with no common user turn");
    if (same == na || same == nb)
        return l2_err_set(err, L2_FORMAT, "%s: no answer after the turns in common",
                          same == na ? "chosen" : "rejected");
    code = set_turns(&r->prompt, a, 0, same, err);
    if (code == L2_OK)
        code = set_turns(&r->completions[0], a, same, na, err);
    return code == L2_OK ? set_turns(&r->completions[1], b, same, nb, err) : code;
}

/* Dialogues as text share a prompt up to a turn's boundary; other texts share nothing. */
static int split_texts(struct l2_row *r, const json_t *a, const json_t *b, struct l2_err *err)
{
    const char *sa = json_string_value(a), *sb = json_string_value(b);
    size_t na = json_string_length(a), nb = json_string_length(b), at = 0;
    if (l2_hh_is(sa, na) && l2_hh_is(sb, nb))
        at = l2_hh_boundary(sa, na, sb, nb);
    if (at == 0 && r->style != L2_STYLE_PLAIN)
        return l2_err_set(err, L2_FORMAT,
                          "chosen and rejected are texts without a prompt in common: want HH "
                          "dialogues, or no template");
    int code = set_text(r, &r->prompt, sa, at, err);
    if (code == L2_OK)
        code = set_text(r, &r->completions[0], sa + at, na - at, err);
    return code == L2_OK ? set_text(r, &r->completions[1], sb + at, nb - at, err) : code;
}

static int parse_pair(struct l2_row *r, const json_t *row, bool templated, struct l2_err *err)
{
    const json_t *a = json_object_get(row, "chosen"), *b = json_object_get(row, "rejected");
    int code = choose_style(r, "chosen", a, templated, err);
    if (code == L2_OK && json_is_array(a) != json_is_array(b))
        code = l2_err_set(err, L2_FORMAT, "rejected: want what chosen is, %s, got %s", type_name(a),
                          type_name(b));
    if (code == L2_OK && !json_is_array(b) && !json_is_string(b))
        code = l2_err_set(err, L2_FORMAT, "rejected: want a string, got %s", type_name(b));
    if (code == L2_OK)
        code = add_completions(r, 2, err);
    if (code != L2_OK)
        return code;
    return json_is_array(a) ? split_lists(r, a, b, err) : split_texts(r, a, b, err);
}

/* ---- the row ---- */

#define MAX_KEYS 3

/* The first form all of whose keys are there is taken. */
static const struct {
    enum l2_form form;
    const char *keys[MAX_KEYS];
    int (*parse)(struct l2_row *r, const json_t *row, bool templated, struct l2_err *err);
} forms[] = {
    {L2_FORM_PROMPT_PAIR, {"prompt", "chosen", "rejected"}, parse_prompt_pair},
    {L2_FORM_PAIR, {"chosen", "rejected"}, parse_pair},
    {L2_FORM_MESSAGES, {"messages"}, parse_messages},
    {L2_FORM_PROMPT_COMPLETION, {"prompt", "completion"}, parse_completion},
    {L2_FORM_PROMPT_COMPLETIONS, {"prompt", "completions"}, parse_completions},
    {L2_FORM_PROMPT, {"prompt"}, parse_prompt},
    {L2_FORM_MESSAGES, {"conversations"}, parse_conversations},
    {L2_FORM_TEXT, {"text"}, parse_text},
};

/* Beside a text prompt, lists that begin with the user's turn are whole dialogues: the prompt only
 * repeats a part of them, and is kept like any other field. */
static bool repeats_prompt(const json_t *row)
{
    return json_is_string(json_object_get(row, "prompt")) &&
           !is_role(json_object_get(row, "chosen"), 0, "assistant") &&
           json_is_array(json_object_get(row, "chosen"));
}

static int find_form(const json_t *row, size_t *out, struct l2_err *err)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        bool all = true;
        for (size_t k = 0; k < MAX_KEYS && forms[i].keys[k]; k++)
            all = all && json_object_get(row, forms[i].keys[k]);
        if (all && !(forms[i].form == L2_FORM_PROMPT_PAIR && repeats_prompt(row))) {
            *out = i;
            return L2_OK;
        }
    }
    return l2_err_set(err, L2_FORMAT,
                      "no known shape: want text, prompt, prompt and completion, messages, "
                      "conversations, or chosen and rejected");
}

/* What -d writes beside the texts: one object without text for each completion. */
static bool take_notes(struct l2_row *r, const json_t *row)
{
    const json_t *list = json_object_get(row, "completions");
    if (r->form == L2_FORM_PROMPT_COMPLETIONS)
        return true;
    if (!json_is_array(list) || json_array_size(list) != r->n_completions || r->n_completions == 0)
        return false;
    for (size_t i = 0; i < r->n_completions; i++) {
        const json_t *e = json_array_get(list, i);
        if (!json_is_object(e) || json_object_get(e, "text") || json_object_get(e, "messages"))
            return false;
    }
    for (size_t i = 0; i < r->n_completions; i++)
        r->completions[i].notes = json_array_get(list, i);
    return true;
}

static bool take_margin(struct l2_row *r, const json_t *row)
{
    json_t *margin = json_object_get(row, "margin");
    bool pair = r->form == L2_FORM_PAIR || r->form == L2_FORM_PROMPT_PAIR ||
                r->form == L2_FORM_PROMPT_COMPLETIONS;
    if (!pair || !margin || json_is_null(margin))
        return false;
    r->margin = margin;
    return true;
}

static int add_meta(struct l2_row *r, const char *key, json_t *value, struct l2_err *err)
{
    if (!r->meta)
        r->meta = json_object();
    if (json_object_get(r->meta, key))
        return l2_err_set(err, L2_FORMAT, "both the row and its meta have a field \"%.64s\"", key);
    return json_object_set(r->meta, key, value) == 0 ? L2_OK : l2_err_memory(err, 1);
}

/* Every field that was not taken goes to meta, after the members of an object of that name. */
static int gather_meta(struct l2_row *r, const json_t *row, size_t form, struct l2_err *err)
{
    json_t *object = (json_t *)(uintptr_t)row; /* jansson's iterators are not const */
    json_t *meta = json_object_get(row, "meta"), *value;
    const char *key;
    bool notes = take_notes(r, row), margin = take_margin(r, row);
    int code = L2_OK;
    if (json_is_object(meta))
        json_object_foreach(meta, key, value) if (code == L2_OK) code =
            add_meta(r, key, value, err);
    json_object_foreach(object, key, value)
    {
        bool taken = strcmp(key, "id") == 0 || (json_is_object(meta) && value == meta) ||
                     (notes && strcmp(key, "completions") == 0) ||
                     (margin && strcmp(key, "margin") == 0);
        for (size_t k = 0; k < MAX_KEYS && forms[form].keys[k]; k++)
            taken = taken || strcmp(key, forms[form].keys[k]) == 0;
        if (!taken && code == L2_OK)
            code = add_meta(r, key, value, err);
    }
    return code;
}

int l2_row_parse(struct l2_row *r, const json_t *row, bool templated, struct l2_err *err)
{
    size_t form = 0;
    *r = (struct l2_row){0};
    if (!json_is_object(row))
        return l2_err_set(err, L2_FORMAT, "want an object, got %s", type_name(row));
    int code = find_form(row, &form, err);
    if (code != L2_OK)
        return code;
    r->form = forms[form].form;
    code = forms[form].parse(r, row, templated, err);
    return code == L2_OK ? gather_meta(r, row, form, err) : code;
}

void l2_row_release(struct l2_row *r)
{
    json_decref(r->prompt.turns);
    for (size_t i = 0; i < r->n_completions; i++)
        json_decref(r->completions[i].turns);
    free(r->completions);
    json_decref(r->meta);
    *r = (struct l2_row){0};
}
