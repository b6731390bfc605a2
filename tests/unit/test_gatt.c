/* Unit tests of Ghost Attention: constraints and their choice, dialogues turn by turn. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rlhf/gatt.h"
#include "spm_writer.h"
#include "tiny_model.h"

#define N_DIALOGUES 9
#define N_TURNS     3

static struct tiny_model tiny;
static struct l2_vocab *vocab;
static struct l2_encoder *encoder;
static struct l2_err err;
static const uint32_t eos[] = {2};

/* ---- constraints ---- */

static const char yaml[] = "constraints:\n"
                           "  - name: hobby\n"
                           "    instruction: do {}, {}\n"
                           "    brief: '{}'\n"
                           "    obeys: '^{}$'\n"
                           "    values: [a.b, {value: c, obeys: 'x{}y'}, ']']\n"
                           "  - {name: short, instruction: be brief, obeys: '\\A.{0,3}\\z'}\n"
                           "  - name: figure\n"
                           "    instruction: act as {}\n"
                           "    brief: be {}\n"
                           "    values: [z]\n"
                           "questions: [q one, q two]\n";

static void read_yaml(struct l2_constraints *c, const char *text)
{
    if (l2_constraints_read(c, text, strlen(text), "y", &err) != L2_OK)
        fail_msg("%s", err.text);
}

static struct l2_constraint_choice choice_of(uint32_t constraint, uint32_t value)
{
    struct l2_constraint_choice c = {.n = 1};
    c.picks[0].constraint = constraint;
    c.picks[0].value = value;
    return c;
}

static void check_text(const struct l2_constraints *c, const struct l2_constraint_choice *choice,
                       const char *full, const char *brief, const char *label)
{
    struct l2_buf b = {0};
    assert_int_equal(l2_constraints_text(c, choice, false, &b, &err), L2_OK);
    assert_int_equal(l2_buf_append_byte(&b, '|', &err), L2_OK);
    assert_int_equal(l2_constraints_text(c, choice, true, &b, &err), L2_OK);
    assert_int_equal(l2_buf_append_byte(&b, '|', &err), L2_OK);
    assert_int_equal(l2_constraints_label(c, choice, &b, &err), L2_OK);
    assert_int_equal(l2_buf_append_byte(&b, '\0', &err), L2_OK);
    char want[200];
    snprintf(want, sizeof want, "%s|%s|%s", full, brief, label);
    assert_string_equal((const char *)b.data, want);
    l2_buf_release(&b);
}

static void check_obeyed(const struct l2_constraints *c, uint32_t constraint, uint32_t value,
                         const char *text, bool want)
{
    struct l2_constraint_choice choice = choice_of(constraint, value);
    bool obeys;
    assert_int_equal(l2_constraints_obeyed(c, &choice, 0, text, strlen(text), &obeys, &err), L2_OK);
    assert_int_equal(obeys, want);
}

static void test_constraints(void **state)
{
    struct l2_constraints c;
    (void)state;
    read_yaml(&c, yaml);
    assert_int_equal(c.n, 3);
    assert_int_equal(c.n_questions, 2);
    struct l2_constraint_choice choice = choice_of(0, 1);
    check_text(&c, &choice, "do c, c", "c", "hobby: c");
    choice.n = 2;
    choice.picks[1].constraint = 1;
    choice.picks[1].value = 0;
    check_text(&c, &choice, "do c, c be brief", "c be brief", "hobby: c; short");
    check_obeyed(&c, 0, 0, "no\na.b\nno", true); /* ^ and $ match at lines */
    check_obeyed(&c, 0, 0, "axb", false);        /* a value stands for itself */
    check_obeyed(&c, 0, 1, "c", false);
    check_obeyed(&c, 0, 1, "-xcy-", true);
    check_obeyed(&c, 0, 2, "]", true);
    check_obeyed(&c, 1, 0, "abc", true);
    check_obeyed(&c, 1, 0, "abcd", false);
    check_obeyed(&c, 1, 0, "", true);
    assert_int_equal(l2_constraints_check_judged(&c, &err), L2_CORRUPT);
    assert_int_equal(err.line, 8);
    static const char *const wrong[] = {"hobby", "no"}, *const some[] = {"short", "hobby"};
    assert_int_equal(l2_constraints_keep(&c, wrong, 2, &err), L2_ARGUMENT);
    assert_int_equal(c.n, 3);
    assert_int_equal(l2_constraints_keep(&c, some, 2, &err), L2_OK);
    assert_int_equal(c.n, 2);
    assert_int_equal(l2_constraints_check_judged(&c, &err), L2_OK);
    l2_constraints_release(&c);
}

/* Numbers of constraints are as likely as each other, and so are constraints, values, and brief
 * ones their share. */
static void test_choice(void **state)
{
    enum { DRAWS = 30000 };
    struct l2_constraints c;
    struct l2_constraint_choice a, b;
    unsigned n[4] = {0}, first[3] = {0}, values[3] = {0}, hobbies = 0, brief = 0;
    (void)state;
    read_yaml(&c, yaml);
    for (uint64_t i = 0; i < DRAWS; i++) {
        struct l2_philox_key key = l2_philox_key_of(i);
        l2_constraints_choose(&c, 0, 0.25, key, &a);
        l2_constraints_choose(&c, 0, 0.25, key, &b);
        assert_true(a.n == b.n && a.brief == b.brief &&
                    memcmp(a.picks, b.picks, a.n * sizeof *a.picks) == 0);
        assert_true(a.n >= 1 && a.n <= 3);
        n[a.n]++;
        first[a.picks[0].constraint]++;
        brief += a.brief;
        for (size_t k = 0; k < a.n; k++) {
            assert_true(a.picks[k].value < c.v[a.picks[k].constraint].n_values);
            for (size_t m = 0; m < k; m++)
                assert_true(a.picks[k].constraint != a.picks[m].constraint);
            if (a.picks[k].constraint == 0) {
                hobbies++;
                values[a.picks[k].value]++;
            }
        }
        l2_constraints_choose(&c, 2, 0, key, &b);
        assert_true(b.n <= 2 && !b.brief);
    }
    for (int i = 0; i < 3; i++) { /* within 5 standard deviations */
        assert_true(fabs(n[i + 1] - DRAWS / 3.0) < 5 * sqrt(DRAWS * 2 / 9.0));
        assert_true(fabs(first[i] - DRAWS / 3.0) < 5 * sqrt(DRAWS * 2 / 9.0));
        assert_true(fabs(values[i] - hobbies / 3.0) < 5 * sqrt(hobbies * 2 / 9.0));
    }
    assert_true(fabs(brief - DRAWS * 0.25) < 5 * sqrt(DRAWS * 0.1875));
    l2_constraints_release(&c);
}

static void check_bad(const char *text, int code, int64_t line)
{
    struct l2_constraints c;
    assert_int_equal(l2_constraints_read(&c, text, strlen(text), "y", &err), code);
    assert_int_equal(err.line, line);
    assert_string_equal(err.file, "y");
    l2_constraints_release(&c);
}

static void test_bad_yaml(void **state)
{
    (void)state;
    check_bad("", L2_FORMAT, 0);
    check_bad("constraints: [", L2_FORMAT, 2);
    check_bad("\n- a\n", L2_CORRUPT, 2);
    check_bad("constraints:\n  - {name: a, instruction: b}\n  - {name: a, instruction: b}\n",
              L2_CORRUPT, 3);
    check_bad("constraints:\n  - {name: a, instruction: b, obeys: '['}\n", L2_CORRUPT, 2);
    check_bad("constraints:\n  - {name: a, instruction: 'b{}', values: [{obeys: x}]}\n", L2_CORRUPT,
              2);
    check_bad("constraints:\n  - {name: a, instruction: 'b{}', values: [{value: x, obeys: ''}]}\n",
              L2_CORRUPT, 2);
    check_bad("constraints:\n  - {name: \"a\\0b\", instruction: b}\n", L2_CORRUPT, 2);
    check_bad("constraints:\n  - {name: a, instruction: b, brief: 'c{}'}\n", L2_CORRUPT, 2);
    /* aliases do not make more of it than the limit */
    struct l2_buf b = {0};
    assert_int_equal(l2_buf_append_str(&b, "questions: &q [", &err), L2_OK);
    for (int i = 0; i < 10001; i++)
        assert_int_equal(l2_buf_append_str(&b, "x,", &err), L2_OK);
    assert_int_equal(l2_buf_append(&b, "]\n", 3, &err), L2_OK);
    check_bad((const char *)b.data, L2_CORRUPT, 1);
    /* nor patterns that grow */
    b.len = 0;
    assert_int_equal(l2_buf_append_str(&b,
                                       "constraints:\n  - name: a\n    instruction: '{}'\n"
                                       "    obeys: '(?:(?:aa|b){200}){9}{}'\n    values: [",
                                       &err),
                     L2_OK);
    for (int i = 0; i < 9999; i++)
        assert_int_equal(l2_buf_append_str(&b, "v,", &err), L2_OK);
    assert_int_equal(l2_buf_append(&b, "]\n", 3, &err), L2_OK);
    check_bad((const char *)b.data, L2_CORRUPT, 4);
    /* nor do long values in many places */
    b.len = 0;
    assert_int_equal(l2_buf_append_str(&b, "constraints:\n  - name: a\n    instruction: '", &err),
                     L2_OK);
    for (int i = 0; i < 300; i++)
        assert_int_equal(l2_buf_append_str(&b, "{}", &err), L2_OK);
    assert_int_equal(l2_buf_append_str(&b, "'\n    values: [short,\n", &err), L2_OK);
    for (int i = 0; i < 300; i++)
        assert_int_equal(l2_buf_append_str(&b, "v", &err), L2_OK);
    assert_int_equal(l2_buf_append(&b, "]\n", 3, &err), L2_OK);
    check_bad((const char *)b.data, L2_CORRUPT, 5);
    l2_buf_release(&b);
}

/* ---- dialogues ---- */

/* A user's words, which depend on dialogue and turn. */
static const char *words(int64_t id, size_t t, char out[16])
{
    snprintf(out, 16, "%c%c %c", (char)('a' + id % 26), (char)('a' + (unsigned)(id * 7 + 3) % 26),
             (char)('a' + t));
    return out;
}

static struct l2_record *dialogue(int64_t id, size_t n_turns, bool system)
{
    struct l2_record *r = malloc(sizeof *r);
    char text[16];
    assert_non_null(r);
    l2_record_init(r);
    r->id.number = id;
    r->messages = l2_arena_alloc(&r->arena, 2 * n_turns + 1, sizeof *r->messages, &err);
    assert_non_null(r->messages);
    if (system)
        r->messages[r->n_messages++] =
            (struct l2_message){.role = {"system", 6}, .content = {"kind", 4}};
    for (size_t t = 0; t < n_turns; t++) {
        struct l2_message *m = &r->messages[r->n_messages++];
        *m = (struct l2_message){.role = {"user", 4}};
        words(id, t, text);
        assert_int_equal(l2_record_str(r, text, strlen(text), &m->content, &err), L2_OK);
        if (t + 1 < n_turns)
            r->messages[r->n_messages++] =
                (struct l2_message){.role = {"assistant", 9}, .content = {"old", 3}};
    }
    return r;
}

static struct l2_generate_opts sampling(void)
{
    return (struct l2_generate_opts){.n_completions = 1,
                                     .max_new_tokens = 7,
                                     .sampler = l2_sampler_neutral(),
                                     .seed = 5,
                                     .eos = eos,
                                     .n_eos = 1,
                                     .vocab = vocab,
                                     .model_name = "tiny",
                                     .keep_logprobs = true};
}

static struct l2_gatt_opts gatt_opts(const struct l2_constraints *c)
{
    return (struct l2_gatt_opts){.constraints = c,
                                 .brief_share = 0.5,
                                 .every_turn = true,
                                 .dialogues = l2_template_find("llama2"),
                                 .generate = sampling()};
}

struct seen {
    struct l2_record *rec[N_DIALOGUES];
    struct l2_gatt_dialogue d[N_DIALOGUES]; /* borrowed from the records */
};

static void seen_free(struct seen *s)
{
    for (size_t i = 0; i < N_DIALOGUES; i++)
        tiny_record_free(s->rec[i]);
}

/* Runs dialogues of 1 to N_TURNS turns; of the third and so on the first turn is a system's. */
static void run(const struct l2_gatt_opts *o, uint32_t max_rows, struct seen *out)
{
    struct l2_engine *e = tiny_engine(&tiny, max_rows, max_rows, 0, NULL);
    struct l2_worker *w;
    size_t fed = 0, got = 0;
    assert_int_equal(l2_gatt_new(&w, e, o, &err), L2_OK);
    while (got < N_DIALOGUES) {
        struct l2_record *r;
        while (fed < N_DIALOGUES && w->ops->wants(w)) {
            r = dialogue((int64_t)fed, 1 + fed % N_TURNS, fed % 3 == 2);
            fed++;
            if (w->ops->add(w, r, &err) != L2_OK)
                fail_msg("add: %s", err.text);
        }
        assert_true(w->ops->busy(w));
        if (w->ops->step(w, &err) != L2_OK)
            fail_msg("step: %s", err.text);
        while ((r = w->ops->take(w))) {
            assert_int_equal(r->id.number, got);
            out->rec[got] = r;
            out->d[got++] = *l2_gatt_taken(w);
        }
    }
    assert_false(w->ops->busy(w));
    assert_int_equal(w->ops->faults(w)->records, 0);
    w->ops->free(w);
    l2_engine_free(e);
}

/* One answer, drawn by a generator alone. */
static struct l2_record *draw(int64_t id, uint64_t k, const struct l2_ids *prompt)
{
    struct l2_generate_opts o = sampling();
    struct l2_engine *e = tiny_engine_alone(&tiny, 8, 8, 0, NULL);
    struct l2_record *r = malloc(sizeof *r);
    struct l2_worker *w;
    assert_non_null(r);
    l2_record_init(r);
    r->id.number = id;
    r->prompt = (struct l2_u32s){prompt->v, prompt->n};
    if (k > 0) {
        struct l2_completion *c = l2_record_add_completion(r, &err);
        assert_non_null(c);
        c->gen.has_k = true;
        c->gen.k = k - 1;
    }
    assert_int_equal(l2_generator_new(&w, e, &o, &err), L2_OK);
    assert_int_equal(w->ops->add(w, r, &err), L2_OK);
    while (w->ops->busy(w))
        assert_int_equal(w->ops->step(w, &err), L2_OK);
    assert_ptr_equal(w->ops->take(w), r);
    w->ops->free(w);
    l2_engine_free(e);
    return r;
}

/* A user's turn with the instruction before it. */
static struct l2_turn user_turn(const char *instruction, const char *text, char *out, size_t size)
{
    int n = snprintf(out, size, "%s%s%s", instruction, *instruction ? "\n" : "", text);
    return (struct l2_turn){.role = "user", .content = out, .content_len = (size_t)n};
}

/* What d should be: the same dialogue by hand, rendering each prompt and drawing each answer. */
static void check_dialogue(const struct l2_gatt_opts *o, const struct l2_record *rec,
                           const struct l2_gatt_dialogue *d)
{
    int64_t id = rec->id.number;
    bool system = id % 3 == 2;
    size_t n = 1 + (size_t)id % N_TURNS;
    struct l2_turn turns[2 * N_TURNS + 1], once[2 * N_TURNS + 1];
    struct l2_record *answers[N_TURNS];
    char texts[2][N_TURNS][300], plain[16];
    struct l2_ids ids = {0};
    struct l2_buf full = {0};
    size_t at = 0;
    assert_int_equal(l2_constraints_text(o->constraints, &d->choice, false, &full, &err), L2_OK);
    assert_int_equal(l2_buf_append_byte(&full, '\0', &err), L2_OK);
    assert_int_equal(d->n, n);
    if (system)
        once[0] = turns[at++] = (struct l2_turn){"system", "kind", 4, NULL, 0};
    for (size_t t = 0; t < n; t++) {
        words(id, t, plain);
        once[at] = user_turn(t == 0 ? d->instruction.s : "", plain, texts[0][t], 300);
        turns[at] = user_turn((const char *)full.data, plain, texts[1][t], 300);
        at++;
        ids.n = 0;
        assert_int_equal(l2_template_prompt(o->dialogues, encoder, o->every_turn ? turns : once, at,
                                            &ids, NULL, &err),
                         L2_OK);
        answers[t] = draw(id, t, &ids);
        const struct l2_completion *c = &answers[t]->completions[t > 0];
        assert_int_equal(c->gen.k, t);
        assert_int_equal(d->answers[t].gen.k, t);
        assert_int_equal(d->answers[t].finish, c->finish);
        assert_int_equal(d->answers[t].tokens.n, c->tokens.n);
        assert_memory_equal(d->answers[t].tokens.v, c->tokens.v, 4 * c->tokens.n);
        assert_memory_equal(d->answers[t].series[L2_LOGPROBS].v, c->series[L2_LOGPROBS].v,
                            4 * c->tokens.n);
        once[at] = turns[at] =
            (struct l2_turn){.role = "assistant", .ids = c->tokens.v, .n_ids = c->tokens.n};
        at++;
    }
    ids.n = 0;
    assert_int_equal(l2_template_prompt(o->dialogues, encoder, once, at - 1, &ids, NULL, &err),
                     L2_OK);
    assert_int_equal(rec->prompt.n, ids.n);
    assert_memory_equal(rec->prompt.v, ids.v, 4 * ids.n);
    assert_null(rec->spans.v);
    assert_int_equal(rec->n_messages, at - 1);
    assert_int_equal(rec->n_completions, 1);
    assert_ptr_equal(rec->completions[0].tokens.v, d->answers[n - 1].tokens.v);
    for (size_t t = 0; t < n; t++)
        tiny_record_free(answers[t]);
    l2_ids_release(&ids);
    l2_buf_release(&full);
}

static void test_dialogues(void **state)
{
    struct l2_constraints c;
    struct seen s, other;
    (void)state;
    read_yaml(&c, yaml);
    struct l2_gatt_opts o = gatt_opts(&c);
    o.combine = 1;
    for (int every = 0; every < 2; every++) {
        o.every_turn = every;
        run(&o, 64, &s);
        run(&o, 2, &other);
        for (size_t i = 0; i < N_DIALOGUES; i++) {
            check_dialogue(&o, s.rec[i], &s.d[i]);
            check_dialogue(&o, other.rec[i], &other.d[i]);
        }
        seen_free(&s);
        seen_free(&other);
    }
    l2_constraints_release(&c);
}

/* Dialogues go on with the file's questions, each once, then end. */
static void test_questions(void **state)
{
    struct l2_constraints c;
    struct seen s;
    (void)state;
    read_yaml(&c, yaml);
    struct l2_gatt_opts o = gatt_opts(&c);
    o.n_turns = 3;
    o.combine = 1;
    o.generate.max_new_tokens = 2;
    run(&o, 16, &s);
    for (size_t i = 0; i < N_DIALOGUES; i++) {
        size_t own = 1 + i % N_TURNS;
        assert_int_equal(s.d[i].n, 3);
        for (size_t t = 0; t < 3; t++) {
            char plain[16];
            const char *got = s.d[i].questions[t].s;
            if (t < own)
                assert_string_equal(got, words((int64_t)i, t, plain));
            else
                assert_true(strcmp(got, "q one") == 0 || strcmp(got, "q two") == 0);
        }
        if (own == 1)
            assert_string_not_equal(s.d[i].questions[1].s, s.d[i].questions[2].s);
    }
    seen_free(&s);
    l2_constraints_release(&c);
}

/* The context of 150 ends dialogues of long answers; what they have is whole. */
static void test_end_of_context(void **state)
{
    struct l2_constraints c;
    struct seen s;
    size_t ended = 0;
    (void)state;
    read_yaml(&c, yaml);
    struct l2_gatt_opts o = gatt_opts(&c);
    o.combine = 1;
    o.generate.max_new_tokens = 50;
    o.generate.n_eos = 0;
    run(&o, 16, &s);
    for (size_t i = 0; i < N_DIALOGUES; i++) {
        assert_true(s.d[i].n >= 1 && s.d[i].n <= 1 + i % N_TURNS);
        assert_int_equal(s.rec[i]->n_completions, 1);
        assert_int_equal(s.rec[i]->n_messages, 2 * s.d[i].n - 1 + (i % 3 == 2));
        ended += s.d[i].n < 1 + i % N_TURNS;
    }
    assert_true(ended > 0);
    seen_free(&s);
    l2_constraints_release(&c);
}

/* Where no answer can be drawn the record comes back as it was, is named and counted. */
static void test_faults(void **state)
{
    struct l2_constraints c;
    struct tiny_model bad;
    struct l2_worker *w;
    (void)state;
    read_yaml(&c, yaml);
    tiny_model_open(&bad, L2_HEAD_VOCAB, true);
    struct l2_engine *e = tiny_engine(&bad, 16, 16, 0, NULL);
    struct l2_gatt_opts o = gatt_opts(&c);
    assert_int_equal(l2_gatt_new(&w, e, &o, &err), L2_OK);
    struct l2_record *r = dialogue(3, 2, false);
    r->messages[0].content = (struct l2_str){"#", 1}; /* token 5 */
    assert_int_equal(w->ops->add(w, r, &err), L2_OK);
    while (w->ops->busy(w))
        assert_int_equal(w->ops->step(w, &err), L2_OK);
    assert_ptr_equal(w->ops->take(w), r);
    assert_int_equal(l2_gatt_taken(w)->n, 0);
    assert_int_equal(r->n_completions, 0);
    assert_int_equal(w->ops->faults(w)->records, 1);
    assert_string_equal(w->ops->faults(w)->first_id, "3");
    assert_int_equal(l2_gatt_results(w)->dialogues, 0);
    tiny_record_free(r);

    /* what is no dialogue is refused, and stays the caller's */
    r = dialogue(4, 2, false);
    r->messages[0].role = (struct l2_str){"assistant", 9};
    assert_int_equal(w->ops->add(w, r, &err), L2_CORRUPT);
    assert_string_equal(err.text, "record 4: message 1: want role user, got assistant");
    r->messages[0].role = (struct l2_str){"user", 4};
    r->messages[1].role = (struct l2_str){"tool", 4};
    assert_int_equal(w->ops->add(w, r, &err), L2_CORRUPT);
    r->n_messages = 0;
    assert_int_equal(w->ops->add(w, r, &err), L2_CORRUPT);
    r->messages = NULL;
    assert_int_equal(w->ops->add(w, r, &err), L2_FORMAT);
    tiny_record_free(r);

    /* and what is under way is freed with the worker */
    assert_int_equal(w->ops->add(w, dialogue(5, 3, true), &err), L2_OK);
    w->ops->free(w);
    l2_engine_free(e);
    tiny_model_close(&bad);
    l2_constraints_release(&c);
}

/* 93 pieces of one character. */
static int set_up(void **state)
{
    struct l2_buf b = {0};
    struct spm_settings s = {.type = 2, .dummy_prefix = true};
    (void)state;
    spm_specials(&b, false);
    spm_piece(&b, "\xe2\x96\x81", -1, L2_PIECE_NORMAL);
    spm_piece(&b, "\n", -1, L2_PIECE_NORMAL);
    for (char ch = '#'; ch < '~'; ch++)
        spm_piece(&b, (char[]){ch, '\0'}, -1, L2_PIECE_NORMAL);
    spm_specs(&b, &s);
    int r = open_bytes("characters.model", &b, &vocab, &err);
    l2_buf_release(&b);
    if (r != L2_OK || l2_encoder_new(&encoder, vocab, &err) != L2_OK)
        return -1;
    tiny_model_open(&tiny, L2_HEAD_VOCAB, false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tiny_model_close(&tiny);
    l2_encoder_free(encoder);
    l2_vocab_free(vocab);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constraints), cmocka_unit_test(test_choice),
        cmocka_unit_test(test_bad_yaml),    cmocka_unit_test(test_dialogues),
        cmocka_unit_test(test_questions),   cmocka_unit_test(test_end_of_context),
        cmocka_unit_test(test_faults),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
