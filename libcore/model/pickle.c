/* A restricted unpickler: a stack machine whose only values are numbers, strings, tuples,
 * dictionaries, storages and tensors (opcodes: CPython's pickletools). */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "model/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "util/num.h"

enum kind {
    MARK,
    NONE, /* also truth values, floats and lists, which no tensor depends on */
    INT,
    STRING,
    TUPLE,
    DICT,
    GLOBAL,
    STORAGE,
    TENSOR
};

enum global {
    ORDERED_DICT,
    REBUILD_TENSOR,
    REBUILD_PARAMETER,
    F32_STORAGE,
    F16_STORAGE,
    BF16_STORAGE
};

static const struct {
    const char *module, *name;
} globals[] = {
    [ORDERED_DICT] = {"collections", "OrderedDict"},
    [REBUILD_TENSOR] = {"torch._utils", "_rebuild_tensor_v2"},
    [REBUILD_PARAMETER] = {"torch._utils", "_rebuild_parameter"},
    [F32_STORAGE] = {"torch", "FloatStorage"},
    [F16_STORAGE] = {"torch", "HalfStorage"},
    [BF16_STORAGE] = {"torch", "BFloat16Storage"},
};

struct value {
    enum kind kind;
    int64_t number; /* INT; DICT: its number; GLOBAL: which; STORAGE, TENSOR: index of the tensor */
    const char *text; /* STRING */
    size_t n;         /* STRING: bytes; TUPLE: items, from tuples[number] on */
};

/* dict[name] = value */
struct item {
    int64_t dict;
    struct value name, value;
};

struct machine {
    const uint8_t *p;
    size_t n, pos;
    const char *file;
    struct l2_err *err;
    /* Growing arrays, all owned. An opcode adds no more than one value, or as many as it takes from
     * the stack, so that they stay in proportion to the pickle. */
    struct value *stack, *memo, *tuples;
    size_t n_stack, cap_stack, n_memo, cap_memo, n_tuples, cap_tuples;
    struct item *items;
    size_t n_items, cap_items;
    struct l2_pickle_tensor *tensors; /* storages, too */
    size_t n_tensors, cap_tensors;
    int64_t n_dicts;
};

static int corrupt(struct machine *m, const char *what)
{
    return l2_err_at(m->err, L2_CORRUPT, m->file, -1, "data.pkl: byte %zu: %s", m->pos, what);
}

/* The array with room for one more of size bytes each, or NULL; then it stays as it was. */
static void *grow(struct machine *m, void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return array;
    size_t want = *cap ? 2 * *cap : 64, bytes;
    void *grown = l2_mul_size(want, size, &bytes) ? realloc(array, bytes) : NULL;
    if (grown)
        *cap = want;
    else
        (void)l2_err_memory(m->err, bytes);
    return grown;
}

static int push(struct machine *m, struct value v)
{
    void *grown = grow(m, m->stack, m->n_stack, &m->cap_stack, sizeof *m->stack);
    if (!grown)
        return L2_MEMORY;
    m->stack = grown;
    m->stack[m->n_stack++] = v;
    return L2_OK;
}

static int push_kind(struct machine *m, enum kind kind, int64_t number)
{
    return push(m, (struct value){.kind = kind, .number = number});
}

/* The bytes of an operand, or NULL. */
static const uint8_t *operand(struct machine *m, size_t n)
{
    if (n > m->n - m->pos)
        return NULL;
    m->pos += n;
    return m->p + m->pos - n;
}

static int cut(struct machine *m)
{
    return l2_err_at(m->err, L2_TRUNCATED, m->file, -1, "data.pkl ends inside an operand");
}

static int push_string(struct machine *m, size_t length_size)
{
    const uint8_t *length = operand(m, length_size);
    if (!length)
        return cut(m);
    size_t n = length_size == 1 ? length[0] : l2_get_u32le(length);
    const uint8_t *text = operand(m, n);
    if (!text)
        return cut(m);
    return push(m, (struct value){.kind = STRING, .text = (const char *)text, .n = n});
}

/* A line of a GLOBAL: up to the newline. */
static struct value line(struct machine *m)
{
    const uint8_t *end = memchr(m->p + m->pos, '\n', m->n - m->pos);
    struct value v = {.kind = NONE};
    if (!end)
        return v;
    v.kind = STRING;
    v.text = (const char *)m->p + m->pos;
    v.n = (size_t)(end - m->p) - m->pos;
    m->pos += v.n + 1;
    return v;
}

static bool is_text(const struct value *v, const char *text)
{
    return v->kind == STRING && v->n == strlen(text) && memcmp(v->text, text, v->n) == 0;
}

static int push_global(struct machine *m, struct value module, struct value name)
{
    if (module.kind != STRING || name.kind != STRING)
        return corrupt(m, "a global without a name");
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++)
        if (is_text(&module, globals[i].module) && is_text(&name, globals[i].name))
            return push_kind(m, GLOBAL, (int64_t)i);
    return l2_err_at(m->err, L2_UNSUPPORTED, m->file, -1,
                     "data.pkl: byte %zu: the pickle wants %.*s.%.*s, which is refused", m->pos,
                     (int)(module.n < 80 ? module.n : 80), module.text,
                     (int)(name.n < 80 ? name.n : 80), name.text);
}

/* The number of values above the topmost mark, which stays; SIZE_MAX where there is none. */
static size_t above_mark(const struct machine *m)
{
    for (size_t i = m->n_stack; i > 0; i--)
        if (m->stack[i - 1].kind == MARK)
            return m->n_stack - i;
    return SIZE_MAX;
}

/* The topmost n values become a tuple; with mark the mark below them goes, too. */
static int make_tuple(struct machine *m, size_t n, bool mark)
{
    if (n == SIZE_MAX || n + mark > m->n_stack)
        return corrupt(m, "a tuple of more than there is");
    struct value v = {.kind = TUPLE, .number = (int64_t)m->n_tuples, .n = n};
    for (size_t i = m->n_stack - n; i < m->n_stack; i++) {
        void *grown = grow(m, m->tuples, m->n_tuples, &m->cap_tuples, sizeof *m->tuples);
        if (!grown)
            return L2_MEMORY;
        m->tuples = grown;
        if (m->stack[i].kind == MARK)
            return corrupt(m, "a mark inside a tuple");
        m->tuples[m->n_tuples++] = m->stack[i];
    }
    m->n_stack -= n + mark;
    return push(m, v);
}

/* The topmost n values are keys and values of the dictionary below them (and the mark). */
static int set_items(struct machine *m, size_t n, bool mark)
{
    if (n == SIZE_MAX || n % 2 != 0 || n + mark + 1 > m->n_stack)
        return corrupt(m, "items without a dictionary");
    const struct value *dict = &m->stack[m->n_stack - n - mark - 1];
    for (size_t i = 0; i < n && dict->kind == DICT; i += 2) {
        const struct value *pair = &m->stack[m->n_stack - n + i];
        if (pair[0].kind != STRING || (pair[1].kind != TENSOR && pair[1].kind != DICT))
            continue; /* nothing asks for it */
        void *grown = grow(m, m->items, m->n_items, &m->cap_items, sizeof *m->items);
        if (!grown)
            return L2_MEMORY;
        m->items = grown;
        m->items[m->n_items++] = (struct item){dict->number, pair[0], pair[1]};
    }
    if (dict->kind != DICT && dict->kind != NONE)
        return corrupt(m, "items without a dictionary");
    m->n_stack -= n + mark;
    return L2_OK;
}

static const struct value *tuple_item(const struct machine *m, const struct value *tuple, size_t i)
{
    return &m->tuples[(size_t)tuple->number + i];
}

static int push_tensor(struct machine *m, enum kind kind, const struct l2_pickle_tensor *t)
{
    void *grown = grow(m, m->tensors, m->n_tensors, &m->cap_tensors, sizeof *m->tensors);
    if (!grown)
        return L2_MEMORY;
    m->tensors = grown;
    m->tensors[m->n_tensors] = *t;
    return push_kind(m, kind, (int64_t)m->n_tensors++);
}

/* ('storage', type, key, location, number of values) */
static int load_persistent(struct machine *m)
{
    if (m->n_stack == 0)
        return corrupt(m, "a storage from nothing");
    const struct value id = m->stack[--m->n_stack];
    if (id.kind != TUPLE || id.n != 5 || !is_text(tuple_item(m, &id, 0), "storage") ||
        tuple_item(m, &id, 1)->kind != GLOBAL || tuple_item(m, &id, 2)->kind != STRING ||
        tuple_item(m, &id, 4)->kind != INT || tuple_item(m, &id, 4)->number < 0)
        return corrupt(m, "a persistent object that is no storage");
    int64_t type = tuple_item(m, &id, 1)->number;
    if (type < F32_STORAGE)
        return corrupt(m, "a storage without a type");
    const struct l2_pickle_tensor t = {.dtype = type == F32_STORAGE   ? L2_F32
                                                : type == F16_STORAGE ? L2_F16
                                                                      : L2_BF16,
                                       .key = tuple_item(m, &id, 2)->text,
                                       .key_len = tuple_item(m, &id, 2)->n,
                                       .numel = (uint64_t)tuple_item(m, &id, 4)->number};
    return push_tensor(m, STORAGE, &t);
}

/* Non-negative numbers of a tuple. */
static bool read_sizes(const struct machine *m, const struct value *tuple, uint64_t *out, size_t *n)
{
    if (tuple->kind != TUPLE || tuple->n > L2_PICKLE_DIMS)
        return false;
    *n = tuple->n;
    for (size_t i = 0; i < tuple->n; i++) {
        const struct value *v = tuple_item(m, tuple, i);
        if (v->kind != INT || v->number < 0)
            return false;
        out[i] = (uint64_t)v->number;
    }
    return true;
}

/* (storage, offset, shape, stride, requires_grad, hooks, ...) */
static int rebuild_tensor(struct machine *m, const struct value *args)
{
    struct l2_pickle_tensor t;
    size_t n_strides;
    if (args->n < 6 || tuple_item(m, args, 0)->kind != STORAGE ||
        tuple_item(m, args, 1)->kind != INT || tuple_item(m, args, 1)->number < 0)
        return corrupt(m, "a tensor without a storage");
    t = m->tensors[tuple_item(m, args, 0)->number];
    t.offset = (uint64_t)tuple_item(m, args, 1)->number;
    if (!read_sizes(m, tuple_item(m, args, 2), t.shape, &t.n_dims) ||
        !read_sizes(m, tuple_item(m, args, 3), t.stride, &n_strides) || n_strides != t.n_dims)
        return corrupt(m, "a tensor without a shape of up to 4 dimensions");
    return push_tensor(m, TENSOR, &t);
}

/* callable(arguments), for the three callables that there are. */
static int reduce(struct machine *m)
{
    if (m->n_stack < 2)
        return corrupt(m, "a call of nothing");
    const struct value args = m->stack[m->n_stack - 1], what = m->stack[m->n_stack - 2];
    if (what.kind != GLOBAL || args.kind != TUPLE)
        return corrupt(m, "a call of something that cannot be called");
    m->n_stack -= 2;
    if (what.number == ORDERED_DICT && args.n == 0)
        return push_kind(m, DICT, m->n_dicts++);
    if (what.number == REBUILD_TENSOR)
        return rebuild_tensor(m, &args);
    if (what.number == REBUILD_PARAMETER && args.n >= 1 && tuple_item(m, &args, 0)->kind == TENSOR)
        return push(m, *tuple_item(m, &args, 0));
    return corrupt(m, "a call with arguments that make no sense");
}

/* Memos are numbered one after the other: an opcode for each. */
static int put_memo(struct machine *m, uint64_t index)
{
    if (m->n_stack == 0 || index > m->pos)
        return corrupt(m, "a memo of nothing, or numbered higher than there are opcodes");
    while (m->n_memo <= index) {
        void *grown = grow(m, m->memo, m->n_memo, &m->cap_memo, sizeof *m->memo);
        if (!grown)
            return L2_MEMORY;
        m->memo = grown;
        m->memo[m->n_memo++] = (struct value){.kind = MARK};
    }
    m->memo[index] = m->stack[m->n_stack - 1];
    return L2_OK;
}

static int get_memo(struct machine *m, uint64_t index)
{
    if (index >= m->n_memo || m->memo[index].kind == MARK)
        return corrupt(m, "a memo that was never made");
    return push(m, m->memo[index]);
}

/* Drops values that no tensor depends on: with their mark, where a list's items are meant. */
static int drop(struct machine *m, size_t n, bool mark)
{
    if (n == SIZE_MAX || n + mark + 1 > m->n_stack)
        return corrupt(m, "more is taken than there is");
    m->n_stack -= n + mark;
    return L2_OK;
}

/* An integer of up to 8 bytes, two's complement. */
static int push_long(struct machine *m)
{
    const uint8_t *n = operand(m, 1), *p = n ? operand(m, n[0]) : NULL;
    uint64_t v = 0;
    if (!p)
        return cut(m);
    if (n[0] > 8)
        return corrupt(m, "an integer of more than 64 bits");
    for (unsigned i = 0; i < n[0]; i++)
        v |= (uint64_t)p[i] << 8 * i;
    if (n[0] > 0 && n[0] < 8 && p[n[0] - 1] & 0x80)
        v |= UINT64_MAX << 8 * n[0];
    return push_kind(m, INT, (int64_t)v);
}

/* An opcode whose operand is a number of that many bytes. */
static int step_number(struct machine *m, uint8_t op, size_t size)
{
    const uint8_t *p = operand(m, size);
    if (!p)
        return cut(m);
    uint64_t v = size == 1 ? p[0] : size == 2 ? l2_get_u16le(p) : l2_get_u32le(p);
    switch (op) {
    case 'q': /* BINPUT, LONG_BINPUT */
    case 'r':
        return put_memo(m, v);
    case 'h': /* BINGET, LONG_BINGET */
    case 'j':
        return get_memo(m, v);
    case 'J': /* BININT is signed */
        return push_kind(m, INT, (int32_t)v);
    default:
        return push_kind(m, INT, (int64_t)v);
    }
}

static int step(struct machine *m, uint8_t op)
{
    switch (op) {
    case 0x80: /* PROTO */
        return operand(m, 1) ? L2_OK : cut(m);
    case 0x95: /* FRAME */
        return operand(m, 8) ? L2_OK : cut(m);
    case 'G': /* BINFLOAT */
        return operand(m, 8) ? push_kind(m, NONE, 0) : cut(m);
    case '(':
        return push_kind(m, MARK, 0);
    case 'N':
    case 0x88: /* NEWTRUE */
    case 0x89: /* NEWFALSE */
    case ']':  /* EMPTY_LIST */
        return push_kind(m, NONE, 0);
    case '}': /* EMPTY_DICT */
        return push_kind(m, DICT, m->n_dicts++);
    case ')':
        return make_tuple(m, 0, false);
    case 't':
        return make_tuple(m, above_mark(m), true);
    case 0x85: /* TUPLE1 to TUPLE3 */
    case 0x86:
    case 0x87:
        return make_tuple(m, op - 0x84u, false);
    case 'K': /* BININT1, BINPUT, BINGET */
    case 'q':
    case 'h':
        return step_number(m, op, 1);
    case 'M': /* BININT2 */
        return step_number(m, op, 2);
    case 'J':
    case 'r':
    case 'j':
        return step_number(m, op, 4);
    case 0x8a: /* LONG1 */
        return push_long(m);
    case 'X': /* BINUNICODE */
        return push_string(m, 4);
    case 0x8c: /* SHORT_BINUNICODE */
        return push_string(m, 1);
    case 0x94: /* MEMOIZE */
        return put_memo(m, m->n_memo);
    case 'Q': /* BINPERSID */
        return load_persistent(m);
    case 'R':
        return reduce(m);
    case 's':
        return set_items(m, 2, false);
    case 'u':
        return set_items(m, above_mark(m), true);
    case 'a': /* APPEND, APPENDS: to a list, which is nothing */
        return drop(m, 1, false);
    case 'e':
        return drop(m, above_mark(m), true);
    case 'b': /* BUILD: attributes of a dictionary, its _metadata */
        return drop(m, 1, false);
    case 'c': {
        struct value module = line(m), name = line(m);
        return push_global(m, module, name);
    }
    case 0x93: /* STACK_GLOBAL */
        if (m->n_stack < 2)
            return corrupt(m, "a global without a name");
        m->n_stack -= 2;
        return push_global(m, m->stack[m->n_stack], m->stack[m->n_stack + 1]);
    default:
        return l2_err_at(m->err, L2_UNSUPPORTED, m->file, -1,
                         "data.pkl: byte %zu: opcode 0x%02x is refused: it is not of a dictionary "
                         "of tensors",
                         m->pos - 1, (unsigned)op);
    }
}

static int run(struct machine *m)
{
    while (m->pos < m->n) {
        uint8_t op = m->p[m->pos++];
        if (op == '.')
            return m->n_stack == 1 && m->stack[0].kind == DICT
                       ? L2_OK
                       : corrupt(m, "the result is no dictionary");
        int r = step(m, op);
        if (r != L2_OK)
            return r;
    }
    return l2_err_at(m->err, L2_TRUNCATED, m->file, -1, "data.pkl ends before its end");
}

/* The dictionary that holds the tensors. */
static int64_t find_dict(const struct machine *m)
{
    int64_t dict = m->stack[0].number;
    for (size_t i = 0; i < m->n_items; i++)
        if (m->items[i].dict == dict && m->items[i].value.kind == DICT &&
            is_text(&m->items[i].name, "model"))
            return m->items[i].value.number;
    return dict;
}

static int collect(const struct machine *m, struct l2_pickle_tensor **out, size_t *n)
{
    int64_t dict = find_dict(m);
    *out = calloc(m->n_items + 1, sizeof **out);
    if (!*out)
        return l2_err_memory(m->err, m->n_items * sizeof **out);
    for (size_t i = 0; i < m->n_items; i++) {
        const struct item *item = &m->items[i];
        if (item->dict != dict || item->value.kind != TENSOR)
            continue;
        (*out)[*n] = m->tensors[item->value.number];
        (*out)[*n].name = item->name.text;
        (*out)[*n].name_len = item->name.n;
        ++*n;
    }
    return L2_OK;
}

int l2_pickle_read(struct l2_pickle_tensor **out, size_t *n_out, const uint8_t *pickle, size_t n,
                   const char *file, struct l2_err *err)
{
    struct machine m = {.p = pickle, .n = n, .file = file, .err = err};
    *out = NULL;
    *n_out = 0;
    int r = run(&m);
    if (r == L2_OK)
        r = collect(&m, out, n_out);
    free(m.stack);
    free(m.memo);
    free(m.tuples);
    free(m.items);
    free(m.tensors);
    return r;
}
