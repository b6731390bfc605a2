/* Expressions over scores: a recursive-descent parser that makes a tree in an arena, and a walk
 * over that tree. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "rlhf/expr.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util/num.h"

#define MAX_DEPTH 200 /* of the tree: parser and walk recurse this deep */

enum op {
    OP_NUMBER,
    OP_SCORE, /* a quoted name */
    OP_NAME,  /* a bare name: a score or a builtin */
    OP_COND,  /* ?: */
    OP_OR,
    OP_AND,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_EQ,
    OP_NE,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_NEGATE,
    OP_NOT,
    OP_MIN,
    OP_MAX,
    OP_ABS,
    OP_EXP,
    OP_LOG,
    OP_LOGIT,
    OP_SIGMOID,
    OP_LLAMA2
};

struct node {
    enum op op;
    unsigned depth; /* of the tree below, 1 for a leaf */
    double number;
    const char *name;
    const struct node *arg[3];
};

struct l2_expr {
    struct l2_arena arena;
    const struct node *root;
};

struct parser {
    struct l2_arena *arena;
    const char *text;
    const char *at;
    unsigned depth; /* of calls */
    int code;       /* the first failure */
    struct l2_err *err;
};

static bool goes_by_safety(double safety, bool tagged)
{
    return tagged || safety < L2_SAFETY_THRESHOLD;
}

double l2_combined_reward(double safety, double helpfulness, bool tagged)
{
    return goes_by_safety(safety, tagged) ? safety : helpfulness;
}

/* Always NULL. */
static const struct node *fail(struct parser *p, const char *wanted)
{
    size_t place = (size_t)(p->at - p->text);
    if (p->code < 0)
        return NULL;
    if (*p->at == '\0')
        p->code = l2_err_set(p->err, L2_ARGUMENT, "want %s at the end", wanted);
    else
        p->code =
            l2_err_set(p->err, L2_ARGUMENT, "byte %zu: want %s, got '%.20s'", place, wanted, p->at);
    return NULL;
}

static unsigned depth_of(const struct node *n)
{
    return n ? n->depth : 0;
}

static const struct node *new_node(struct parser *p, struct node n)
{
    struct node *out;
    for (int i = 0; i < 3; i++)
        if (depth_of(n.arg[i]) >= n.depth)
            n.depth = depth_of(n.arg[i]) + 1;
    if (n.depth == 0)
        n.depth = 1;
    if (n.depth > MAX_DEPTH)
        return fail(p, "an expression that is not so deep");
    out = l2_arena_alloc(p->arena, 1, sizeof *out, p->err);
    if (out)
        *out = n;
    else
        p->code = L2_MEMORY;
    return out;
}

static const struct node *binary(struct parser *p, enum op op, const struct node *a,
                                 const struct node *b)
{
    return a && b ? new_node(p, (struct node){.op = op, .arg = {a, b}}) : NULL;
}

static void skip_space(struct parser *p)
{
    p->at += strspn(p->at, " \t\r\n");
}

/* Takes the symbol, where it is next. */
static bool take(struct parser *p, const char *symbol)
{
    size_t n = strlen(symbol);
    skip_space(p);
    if (strncmp(p->at, symbol, n) != 0)
        return false;
    p->at += n;
    return true;
}

static bool is_name_byte(char c, bool first)
{
    return isalpha((unsigned char)c) || c == '_' ||
           (!first && (isdigit((unsigned char)c) || c == '.'));
}

static const struct node *parse_expression(struct parser *p);

static const struct node *parse_number(struct parser *p)
{
    char digits[64];
    size_t n = strspn(p->at, "0123456789.");
    double value;
    if (p->at[n] == 'e' || p->at[n] == 'E') {
        n++;
        if (p->at[n] == '+' || p->at[n] == '-')
            n++;
        n += strspn(p->at + n, "0123456789");
    }
    if (n >= sizeof digits)
        return fail(p, "a number of less than 64 digits");
    memcpy(digits, p->at, n);
    digits[n] = '\0';
    if (!l2_parse_f64(digits, &value))
        return fail(p, "a number");
    p->at += n;
    return new_node(p, (struct node){.op = OP_NUMBER, .number = value});
}

/* A name between double quotes, in which two of them stand for one. */
static const struct node *parse_quoted(struct parser *p)
{
    const char *s = p->at + 1;
    char *name = l2_arena_alloc(p->arena, strlen(s) + 1, 1, p->err);
    size_t n = 0;
    if (!name) {
        p->code = L2_MEMORY;
        return NULL;
    }
    for (;; s++) {
        if (*s == '"' && *++s != '"')
            break;
        if (*s == '\0') {
            p->at = s;
            return fail(p, "a double quote after the name of a score");
        }
        name[n++] = *s;
    }
    name[n] = '\0';
    if (n == 0)
        return fail(p, "the name of a score");
    p->at = s;
    return new_node(p, (struct node){.op = OP_SCORE, .name = name});
}

/* From the parenthesis that opens to the one that closes. */
static const struct node *parse_call(struct parser *p, const char *name)
{
    static const struct {
        const char *name;
        enum op op;
        size_t args; /* 0: one or more, folded from the left */
    } functions[] = {{"min", OP_MIN, 0},         {"max", OP_MAX, 0},      {"abs", OP_ABS, 1},
                     {"exp", OP_EXP, 1},         {"log", OP_LOG, 1},      {"logit", OP_LOGIT, 1},
                     {"sigmoid", OP_SIGMOID, 1}, {"llama2", OP_LLAMA2, 2}};
    size_t n_functions = sizeof functions / sizeof *functions, f = 0, n = 1;
    const struct node *args[2] = {NULL, NULL};
    while (f < n_functions && strcmp(functions[f].name, name) != 0)
        f++;
    if (f == n_functions)
        return fail(p, "one of the functions min, max, abs, exp, log, logit, sigmoid and llama2 "
                       "before the parenthesis");
    p->at++;
    args[0] = parse_expression(p);
    while (args[0] && (functions[f].args == 0 || n < functions[f].args)) {
        if (!take(p, ",")) {
            if (functions[f].args == 0)
                break;
            return fail(p, "a comma and a second argument");
        }
        args[1] = parse_expression(p);
        if (functions[f].args == 0)
            args[0] = binary(p, functions[f].op, args[0], args[1]);
        n++;
        if (!args[1])
            return NULL;
    }
    if (!args[0])
        return NULL;
    if (!take(p, ")"))
        return fail(p, "a closing parenthesis");
    if (functions[f].args == 0)
        return args[0];
    return new_node(p, (struct node){.op = functions[f].op, .arg = {args[0], args[1]}});
}

static const struct node *parse_name(struct parser *p)
{
    const char *begin = p->at;
    char *name;
    while (is_name_byte(*p->at, p->at == begin))
        p->at++;
    name = l2_arena_strdup(p->arena, begin, (size_t)(p->at - begin), p->err);
    if (!name) {
        p->code = L2_MEMORY;
        return NULL;
    }
    skip_space(p);
    if (*p->at == '(')
        return parse_call(p, name);
    return new_node(p, (struct node){.op = OP_NAME, .name = name});
}

static const struct node *parse_primary(struct parser *p)
{
    skip_space(p);
    if (isdigit((unsigned char)*p->at) || *p->at == '.')
        return parse_number(p);
    if (*p->at == '"')
        return parse_quoted(p);
    if (is_name_byte(*p->at, true))
        return parse_name(p);
    if (take(p, "(")) {
        const struct node *inner = parse_expression(p);
        if (inner && !take(p, ")"))
            return fail(p, "a closing parenthesis");
        return inner;
    }
    return fail(p, "a number, the name of a score or a parenthesis");
}

static const struct node *parse_unary(struct parser *p)
{
    enum op ops[MAX_DEPTH];
    size_t n = 0;
    const struct node *out;
    for (skip_space(p); *p->at == '-' || *p->at == '!' || *p->at == '+'; skip_space(p)) {
        if (n == MAX_DEPTH)
            return fail(p, "fewer signs");
        if (*p->at != '+')
            ops[n++] = *p->at == '-' ? OP_NEGATE : OP_NOT;
        p->at++;
    }
    out = parse_primary(p);
    while (out && n > 0)
        out = new_node(p, (struct node){.op = ops[--n], .arg = {out}});
    return out;
}

/* The operators, the loosest first; of one level they group from the left. */
#define N_LEVELS 5
static const struct operator
{
    const char *symbol;
    enum op op;
    int level;
}
operators[] = {{"||", OP_OR, 0}, {"&&", OP_AND, 1}, {"<=", OP_LE, 2}, {">=", OP_GE, 2},
               {"==", OP_EQ, 2}, {"!=", OP_NE, 2},  {"<", OP_LT, 2},  {">", OP_GT, 2},
               {"+", OP_ADD, 3}, {"-", OP_SUB, 3},  {"*", OP_MUL, 4}, {"/", OP_DIV, 4}};

static const struct operator* take_operator(struct parser *p, int level)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (operators[i].level == level && take(p, operators[i].symbol))
            return &operators[i];
    return NULL;
}

static const struct node *parse_level(struct parser *p, int level)
{
    const struct node *left;
    const struct operator* o;
    if (level == N_LEVELS)
        return parse_unary(p);
    left = parse_level(p, level + 1);
    while (left && (o = take_operator(p, level)))
        left = binary(p, o->op, left, parse_level(p, level + 1));
    return left;
}

static const struct node *parse_expression(struct parser *p)
{
    const struct node *out, *yes, *no;
    if (p->depth == MAX_DEPTH)
        return fail(p, "an expression that is not so deep");
    p->depth++;
    out = parse_level(p, 0);
    if (out && take(p, "?")) {
        yes = parse_expression(p);
        if (yes && !take(p, ":"))
            return fail(p, "':' and what holds otherwise");
        no = yes ? parse_expression(p) : NULL;
        out = no ? new_node(p, (struct node){.op = OP_COND, .arg = {out, yes, no}}) : NULL;
    }
    p->depth--;
    return out;
}

static int new_expr(struct l2_expr **out, struct l2_err *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return l2_err_memory(err, sizeof **out);
    l2_arena_init(&(*out)->arena);
    return L2_OK;
}

int l2_expr_parse(struct l2_expr **out, const char *text, struct l2_err *err)
{
    struct parser p = {.text = text, .at = text, .err = err};
    int rc = new_expr(out, err);
    if (rc < 0)
        return rc;
    p.arena = &(*out)->arena;
    (*out)->root = parse_expression(&p);
    skip_space(&p);
    if ((*out)->root && *p.at != '\0')
        (*out)->root = fail(&p, "an operator or the end");
    if ((*out)->root)
        return L2_OK;
    l2_expr_free(*out);
    *out = NULL;
    return p.code;
}

int l2_expr_llama2(struct l2_expr **out, const char *safety, const char *helpfulness,
                   struct l2_err *err)
{
    struct parser p = {.err = err};
    const struct node *a, *b;
    int rc = new_expr(out, err);
    if (rc < 0)
        return rc;
    p.arena = &(*out)->arena;
    a = new_node(&p, (struct node){.op = OP_SCORE,
                                   .name = l2_arena_strdup(p.arena, safety, strlen(safety), err)});
    b = new_node(
        &p, (struct node){.op = OP_SCORE,
                          .name = l2_arena_strdup(p.arena, helpfulness, strlen(helpfulness), err)});
    (*out)->root = binary(&p, OP_LLAMA2, a, b);
    if ((*out)->root && a->name && b->name)
        return L2_OK;
    l2_expr_free(*out);
    *out = NULL;
    return L2_MEMORY;
}

void l2_expr_free(struct l2_expr *e)
{
    if (!e)
        return;
    l2_arena_release(&e->arena);
    free(e);
}

struct scope {
    const struct l2_completion *c;
    bool tagged;
    const char *missing; /* the first name that was needed and is not there */
};

static double evaluate(const struct node *n, struct scope *s);

static double sum_of_logprobs(const struct l2_f32s *v)
{
    double sum = 0;
    for (size_t i = 0; i < v->n; i++)
        sum += (double)v->v[i];
    return sum;
}

static double value_of_name(const struct node *n, struct scope *s)
{
    const double *score = l2_completion_score(s->c, n->name);
    if (score)
        return *score;
    if (n->op == OP_NAME && strcmp(n->name, "length") == 0 && s->c->tokens.v)
        return (double)s->c->tokens.n;
    if (n->op == OP_NAME && strcmp(n->name, "logprob") == 0 && s->c->series[L2_LOGPROBS].v)
        return sum_of_logprobs(&s->c->series[L2_LOGPROBS]);
    if (n->op == OP_NAME && strcmp(n->name, "tagged") == 0)
        return s->tagged;
    if (!s->missing)
        s->missing = n->name;
    return 0;
}

/* What looks at its second and third argument only when it must. */
static double evaluate_lazily(const struct node *n, struct scope *s)
{
    double a = evaluate(n->arg[0], s);
    switch (n->op) {
    case OP_COND:
        return evaluate(n->arg[a != 0 ? 1 : 2], s);
    case OP_OR:
        return a != 0 || evaluate(n->arg[1], s) != 0;
    case OP_AND:
        return a != 0 && evaluate(n->arg[1], s) != 0;
    default: /* OP_LLAMA2 */
        return goes_by_safety(a, s->tagged) ? a : evaluate(n->arg[1], s);
    }
}

static double evaluate(const struct node *n, struct scope *s)
{
    double a, b;
    if (s->missing)
        return 0;
    switch (n->op) {
    case OP_NUMBER:
        return n->number;
    case OP_SCORE:
    case OP_NAME:
        return value_of_name(n, s);
    case OP_COND:
    case OP_OR:
    case OP_AND:
    case OP_LLAMA2:
        return evaluate_lazily(n, s);
    default:
        break;
    }
    a = evaluate(n->arg[0], s);
    b = n->arg[1] ? evaluate(n->arg[1], s) : 0;
    switch (n->op) {
    case OP_LT:
        return a < b;
    case OP_LE:
        return a <= b;
    case OP_GT:
        return a > b;
    case OP_GE:
        return a >= b;
    case OP_EQ:
        return a == b;
    case OP_NE:
        return a != b;
    case OP_ADD:
        return a + b;
    case OP_SUB:
        return a - b;
    case OP_MUL:
        return a * b;
    case OP_DIV:
        return a / b;
    case OP_NEGATE:
        return -a;
    case OP_NOT:
        return a == 0;
    case OP_MIN:
        return b < a ? b : a;
    case OP_MAX:
        return b > a ? b : a;
    case OP_ABS:
        return fabs(a);
    case OP_EXP:
        return exp(a);
    case OP_LOG:
        return log(a);
    case OP_LOGIT:
        return log(a) - log1p(-a);
    default: /* OP_SIGMOID */
        return a >= 0 ? 1 / (1 + exp(-a)) : exp(a) / (1 + exp(a));
    }
}

bool l2_expr_value(const struct l2_expr *e, const struct l2_completion *c, bool tagged,
                   double *value, const char **missing)
{
    struct scope s = {c, tagged, NULL};
    *value = evaluate(e->root, &s);
    *missing = s.missing;
    return !s.missing;
}
