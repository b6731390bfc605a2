/* Unit tests of the forms that training data comes in: rows to records, records to rows. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/hh.h"
#include "data/shape.h"
#include "scratch.h"
#include "stream/codec.h"
#include "stream/json.h"

static struct l2_vocab *vocab;
static struct l2_encoder *encoder;

struct kit {
    struct l2_shaper *shaper;
    struct l2_record rec;
    struct l2_buf out;
    struct l2_err err;
};

static void kit_new(struct kit *k, const char *template_name, bool bos, bool eos,
                    const char *system)
{
    struct l2_shape_opts o = {.encoder = encoder, .bos = bos, .eos = eos, .system = system};
    *k = (struct kit){0};
    o.dialogues = template_name ? l2_template_find(template_name) : NULL;
    l2_record_init(&k->rec);
    assert_int_equal(l2_shaper_new(&k->shaper, &o, &k->err), L2_OK);
}

static void kit_free(struct kit *k)
{
    l2_shaper_free(k->shaper);
    l2_record_release(&k->rec);
    l2_buf_release(&k->out);
}

/* Reads a row, with 42 for an id of its own. */
static int read_row(struct kit *k, const char *row)
{
    static const struct l2_id id = {.number = 42};
    json_t *j;
    int r = l2_json_parse(row, strlen(row), "row", 1, &j, &k->err);
    assert_int_equal(r, L2_OK);
    r = l2_shape_from_json(k->shaper, j, &id, &k->rec, &k->err);
    json_decref(j);
    return r;
}

static void must_read(struct kit *k, const char *row)
{
    if (read_row(k, row) != L2_OK)
        fail_msg("%s: %s", row, k->err.text);
    /* what a reader of streams would refuse must not come out */
    struct l2_buf cbor = {0};
    if (l2_encode_record(&cbor, &k->rec, &k->err) != L2_OK)
        fail_msg("%s: %s", row, k->err.text);
    l2_buf_release(&cbor);
}

static const char *written(struct kit *k)
{
    k->out.len = 0;
    if (l2_shape_to_json(vocab, &k->rec, &k->out, &k->err) != L2_OK)
        fail_msg("%s", k->err.text);
    assert_int_equal(l2_buf_append_byte(&k->out, 0, &k->err), L2_OK);
    return (const char *)k->out.data;
}

/* The ids as text, special pieces in brackets: what was really encoded. */
static const char *show(const struct l2_u32s *ids, bool continuation)
{
    static struct l2_buf out;
    size_t begin = 0;
    out.len = 0;
    for (size_t i = 0; i <= ids->n; i++) {
        bool special = i < ids->n && l2_vocab_kind(vocab, ids->v[i]) == L2_PIECE_CONTROL;
        if (i < ids->n && !special)
            continue;
        assert_int_equal(
            l2_decode(vocab, ids->v + begin, i - begin, continuation || begin > 1, &out, NULL),
            L2_OK);
        if (special)
            assert_int_equal(l2_buf_append_str(&out, ids->v[i] == 1 ? "[B]" : "[E]", NULL), L2_OK);
        begin = i + 1;
    }
    assert_int_equal(l2_buf_append_byte(&out, 0, NULL), L2_OK);
    return (const char *)out.data;
}

/* ---- rows in and out ---- */

struct sample {
    const char *row;
    const char *template_name;
    const char *shape;
    const char *out;    /* what -d writes */
    const char *prompt; /* its ids as show() has them; " " before later turns is decoding's */
    const char *completions[4]; /* the same, as continuations of the prompt */
};

#define HH_1 "\\n\\nHuman: hi\\n\\nAssistant: yo"
#define HH_2 "\\n\\nHuman: hi\\n\\nAssistant: no\\n\\nHuman: ok\\n\\nAssistant:"

static const struct sample samples[] = {
    {"{\"text\":\"Hi  all\",\"n\":1.50}",
     NULL,
     "text",
     "{\"id\":42,\"text\":\"Hi  all\",\"meta\":{\"n\":1.5}}",
     "[B]",
     {" Hi  all[E]"}},
    {"{\"id\":\"x\",\"text\":\"\"}",
     "llama2",
     "text",
     "{\"id\":\"x\",\"text\":\"\"}",
     "[B]",
     {"[E]"}},
    {"{\"id\":-7,\"prompt\":\" a\",\"meta\":{\"b\":null},\"c\":[{}]}",
     NULL,
     "prompt",
     "{\"id\":-7,\"prompt\":\" a\",\"meta\":{\"b\":null,\"c\":[{}]}}",
     "[B] a",
     {NULL}},
    {"{\"prompt\":\"a\",\"completion\":\" b\"}",
     NULL,
     "prompt+completion",
     "{\"id\":42,\"prompt\":\"a\",\"completion\":\" b\"}",
     "[B]a",
     {" b[E]"}},
    /* with nothing before it a completion begins the text */
    {"{\"prompt\":\"\",\"completion\":\" b\"}",
     NULL,
     "prompt+completion",
     "{\"id\":42,\"prompt\":\"\",\"completion\":\" b\"}",
     "[B]",
     {"  b[E]"}},
    {"{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"\",\"margin\":0.1}",
     NULL,
     "prompt+chosen+rejected",
     "{\"id\":42,\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"\",\"margin\":0.1}",
     "[B]a",
     {"b[E]", "[E]"}},
    {"{\"chosen\":\"ab\",\"rejected\":\"ac\",\"margin\":null}",
     NULL,
     "chosen+rejected",
     "{\"id\":42,\"chosen\":\"ab\",\"rejected\":\"ac\",\"meta\":{\"margin\":null}}",
     "[B]",
     {" ab[E]", " ac[E]"}},
    {"{\"chosen\":\"" HH_1 "\",\"rejected\":\"" HH_2 "\"}",
     NULL,
     "chosen+rejected",
     "{\"id\":42,\"chosen\":\"" HH_1 "\",\"rejected\":\"" HH_2 "\"}",
     "[B]\n\nHuman: hi\n\nAssistant:",
     {" yo[E]", " no\n\nHuman: ok\n\nAssistant:[E]"}},
    {"{\"chosen\":\"" HH_1 "\",\"rejected\":\"" HH_2 "\"}",
     "llama2",
     "chosen+rejected:hh",
     "{\"id\":42,\"chosen\":\"" HH_1 "\",\"rejected\":\"" HH_2 "\"}",
     "[B][INST] hi [/INST]",
     {" yo [E]", " no [E][B] [INST] ok [/INST]  [E]"}},
    {"{\"prompt\":\"a\",\"completion\":\"b \"}",
     "llama2",
     "prompt+completion:turn",
     "{\"id\":42,\"prompt\":\"a\",\"completion\":\"b \"}",
     "[B][INST] a [/INST]",
     {" b [E]"}},
    {"{\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"name\":\"x\"}]}",
     "llama2",
     "messages:messages",
     "{\"id\":42,\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"name\":\"x\"}]}",
     "[B][INST] a [/INST]",
     {NULL}},
    {"{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":"
     "\"b\",\"w\":0.5}]}",
     "llama2",
     "messages:messages",
     "{\"id\":42,\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\","
     "\"content\":\"b\",\"w\":0.5}]}",
     "[B][INST] a [/INST]",
     {" b [E]"}},
    {"{\"chosen\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}"
     ","
     "{\"role\":\"user\",\"content\":\"c\"},{\"role\":\"assistant\",\"content\":\"d\"}],"
     "\"rejected\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":"
     "\"b\"},"
     "{\"role\":\"user\",\"content\":\"C\"},{\"role\":\"assistant\",\"content\":\"d\"}]}",
     "llama2",
     "chosen+rejected:messages",
     "{\"id\":42,\"chosen\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\","
     "\"content\":\"b\"},{\"role\":\"user\",\"content\":\"c\"},{\"role\":\"assistant\",\"content\":"
     "\"d\"}],\"rejected\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\","
     "\"content\":\"b\"},{\"role\":\"user\",\"content\":\"C\"},{\"role\":\"assistant\",\"content\":"
     "\"d\"}]}",
     "[B][INST] a [/INST]",
     {" b [E][B] [INST] c [/INST] d [E]", " b [E][B] [INST] C [/INST] d [E]"}},
    {"{\"prompt\":[{\"role\":\"user\",\"content\":\"a\"}],\"chosen\":[{\"role\":\"assistant\","
     "\"content\":\"b\"}],\"rejected\":[{\"role\":\"assistant\",\"content\":\"c\"}],\"margin\":2}",
     "llama2",
     "prompt+chosen+rejected:messages",
     "{\"id\":42,\"prompt\":[{\"role\":\"user\",\"content\":\"a\"}],\"chosen\":[{\"role\":"
     "\"assistant\",\"content\":\"b\"}],\"rejected\":[{\"role\":\"assistant\",\"content\":\"c\"}],"
     "\"margin\":2.0}",
     "[B][INST] a [/INST]",
     {" b [E]", " c [E]"}},
    /* a prompt that only repeats a part of the dialogues is kept aside */
    {"{\"prompt\":\"a\",\"chosen\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\","
     "\"content\":\"b\"}],\"rejected\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":"
     "\"assistant\",\"content\":\"c\"}]}",
     "llama2",
     "chosen+rejected:messages",
     "{\"id\":42,\"chosen\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\","
     "\"content\":\"b\"}],\"rejected\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":"
     "\"assistant\",\"content\":\"c\"}],\"meta\":{\"prompt\":\"a\"}}",
     "[B][INST] a [/INST]",
     {" b [E]", " c [E]"}},
    /* l2's own: an answer that was cut off has no EOS */
    {"{\"prompt\":\"a\",\"completions\":[{\"text\":\" b\",\"finish\":\"length\"},\" c\",{\"text\":"
     "\" d\",\"finish\":\"eos\",\"scores\":{\"r\":0.5},\"gen\":{\"k\":3,\"x\":true},\"y\":[1]}]}",
     NULL,
     "prompt+completions",
     "{\"id\":42,\"prompt\":\"a\",\"completions\":[{\"finish\":\"length\",\"text\":\" b\"},"
     "{\"text\":\" c\"},{\"finish\":\"eos\",\"scores\":{\"r\":0.5},\"gen\":{\"k\":3,\"x\":true},"
     "\"text\":\" d\",\"y\":[1]}]}",
     "[B]a",
     {" b", " c[E]", " d[E]"}},
    {"{\"prompt\":[{\"role\":\"user\",\"content\":\"a\"}],\"completions\":[{\"text\":\" b\"},"
     "{\"messages\":[{\"role\":\"assistant\",\"content\":\"c\"}]}]}",
     "llama2",
     "prompt+completions:messages",
     "{\"id\":42,\"prompt\":[{\"role\":\"user\",\"content\":\"a\"}],\"completions\":[{\"text\":"
     "\" b\"},{\"messages\":[{\"role\":\"assistant\",\"content\":\"c\"}]}]}",
     "[B][INST] a [/INST]",
     {" b [E]", " c [E]"}},
    /* what scoring adds stands beside the texts, and is read back */
    {"{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\",\"completions\":[{\"scores\":{\"r\":1."
     "0}},"
     "{\"scores\":{\"r\":-2.5}}]}",
     NULL,
     "prompt+chosen+rejected",
     "{\"id\":42,\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\",\"completions\":[{\"scores\":"
     "{\"r\":1.0}},{\"scores\":{\"r\":-2.5}}]}",
     "[B]a",
     {"b[E]", "c[E]"}},
    /* but what only looks like it goes to meta */
    {"{\"text\":\"a\",\"completions\":[1],\"margin\":3}",
     NULL,
     "text",
     "{\"id\":42,\"text\":\"a\",\"meta\":{\"completions\":[1],\"margin\":3}}",
     "[B]",
     {" a[E]"}},
};

static void check_sample(const struct sample *s)
{
    struct kit k;
    char *first;
    kit_new(&k, s->template_name, true, true, NULL);
    must_read(&k, s->row);
    assert_string_equal(k.rec.shape.s, s->shape);
    assert_string_equal(show(&k.rec.prompt, false), s->prompt);
    for (size_t i = 0; i < k.rec.n_completions; i++) {
        assert_non_null(s->completions[i]);
        assert_string_equal(show(&k.rec.completions[i].tokens, true), s->completions[i]);
    }
    assert_null(s->completions[k.rec.n_completions]);
    assert_string_equal(written(&k), s->out);

    /* reading that again makes the same record */
    struct l2_buf a = {0}, b = {0};
    assert_int_equal(l2_encode_record(&a, &k.rec, &k.err), L2_OK);
    first = strdup(written(&k));
    assert_non_null(first);
    must_read(&k, first);
    assert_int_equal(l2_encode_record(&b, &k.rec, &k.err), L2_OK);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
    assert_string_equal(written(&k), first);
    free(first);
    l2_buf_release(&a);
    l2_buf_release(&b);
    kit_free(&k);
}

static void test_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        check_sample(&samples[i]);
}

/* ---- rows that are wrong ---- */

static void test_bad_rows(void **state)
{
    static const struct {
        const char *row, *template_name, *text;
    } rows[] = {
        {"[]", NULL, "want an object, got an array"},
        {"{}", NULL, "no known shape"},
        {"{\"chosen\":\"a\"}", NULL, "no known shape"},
        {"{\"text\":1}", NULL, "text: want a string, got an integer"},
        {"{\"text\":\"a\",\"id\":1.5}", NULL, "id"},
        {"{\"text\":\"a\",\"id\":null}", NULL, "id"},
        {"{\"text\":\"a\",\"id\":[]}", NULL, "id"},
        {"{\"prompt\":null}", NULL, "prompt: want a string or a list of messages, got null"},
        {"{\"prompt\":\"a\",\"completion\":null}", NULL, "completion: want a string, got null"},
        {"{\"prompt\":[]}", NULL, "say with --template"},
        {"{\"prompt\":[]}", "llama2", "without a user turn"},
        {"{\"messages\":\"a\"}", "llama2", "messages: want a list of messages, got a string"},
        {"{\"messages\":[1]}", "llama2", "messages[0]: want an object, got an integer"},
        {"{\"messages\":[{\"role\":\"user\"}]}", "llama2",
         "messages[0].content: want a string, got nothing"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":null}]}", "llama2",
         "messages[0].content: want a string, got null"},
        {"{\"messages\":[{\"role\":\"tool\",\"content\":\"\"}]}", "llama2", "got tool"},
        {"{\"chosen\":\"a\",\"rejected\":[]}", NULL, "rejected: want what chosen is, a string"},
        {"{\"chosen\":\"a\",\"rejected\":\"b\"}", "llama2", "without a prompt in common"},
        {"{\"chosen\":[{\"role\":\"user\",\"content\":\"a\"}],\"rejected\":[{\"role\":\"user\","
         "\"content\":\"b\"}]}",
         "llama2", "no common user turn"},
        {"{\"chosen\":[{\"role\":\"user\",\"content\":\"a\"}],\"rejected\":[{\"role\":\"user\","
         "\"content\":\"a\"}]}",
         "llama2", "chosen: no answer"},
        {"{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\",\"margin\":\"1\"}", NULL, "margin"},
        {"{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\",\"margin\":1e300}", NULL, "margin"},
        {"{\"text\":\"a\",\"x\":1,\"meta\":{\"x\":2}}", NULL,
         "both the row and its meta have a field \"x\""},
        {"{\"prompt\":\"a\",\"completions\":1}", NULL, "completions: want an array"},
        {"{\"prompt\":\"a\",\"completions\":[{}]}", NULL,
         "completions[0]: want a string or an object"},
        {"{\"prompt\":\"a\",\"completions\":[{\"text\":\"b\",\"finish\":\"?\"}]}", NULL, "finish"},
        {"{\"prompt\":\"a\",\"completions\":[{\"text\":\"b\",\"tokens\":[1]}]}", NULL,
         "completions[0].tokens: records with token ids"},
        {"{\"prompt\":\"a\",\"completions\":[\"b\"],\"labels\":[true]}", NULL,
         "the steps of one answer"},
        {"{\"prompt\":[{\"role\":\"user\",\"content\":\"a\"}],\"completion\":\"b\"}", "llama2",
         "completion: want a list of messages, like the other fields, got a string"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct kit k;
        kit_new(&k, rows[i].template_name, true, true, NULL);
        int r = read_row(&k, rows[i].row);
        if ((r != L2_FORMAT && r != L2_ARGUMENT) || !strstr(k.err.text, rows[i].text))
            fail_msg("%s: %d: %s", rows[i].row, r, k.err.text);
        kit_free(&k);
    }
}

/* ---- options ---- */

static void test_bos_eos_system(void **state)
{
    struct kit k;
    (void)state;
    kit_new(&k, NULL, false, false, NULL);
    must_read(&k, "{\"prompt\":\"a\",\"completion\":\"b\"}");
    assert_string_equal(show(&k.rec.prompt, false), "a");
    assert_string_equal(show(&k.rec.completions[0].tokens, true), "b");
    must_read(&k, "{\"text\":\"\"}");
    assert_non_null(k.rec.prompt.v);
    assert_int_equal(k.rec.prompt.n, 0);
    assert_non_null(k.rec.completions[0].tokens.v);
    assert_int_equal(k.rec.completions[0].tokens.n, 0);
    kit_free(&k);

    /* those between turns belong to the template */
    kit_new(&k, "llama2", false, false, "be brief");
    must_read(&k, "{\"prompt\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\","
                  "\"content\":\"b\"},{\"role\":\"user\",\"content\":\"c\"}],\"completion\":"
                  "[{\"role\":\"assistant\",\"content\":\"d\"}]}");
    assert_string_equal(
        show(&k.rec.prompt, false),
        "[INST] <<SYS>>\nbe brief\n<</SYS>>\n\na [/INST] b [E][B] [INST] c [/INST]");
    assert_string_equal(show(&k.rec.completions[0].tokens, true), " d ");
    assert_int_equal(k.rec.spans.n, 2);
    struct l2_u32s span = {k.rec.prompt.v + k.rec.spans.v[0], k.rec.spans.v[1] - k.rec.spans.v[0]};
    assert_string_equal(show(&span, true), " b [E]");
    assert_int_equal(k.rec.n_messages, 4);
    assert_string_equal(k.rec.messages[0].role.s, "system");
    /* a dialogue that has a system prompt keeps it */
    must_read(&k, "{\"prompt\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\","
                  "\"content\":\"a\"}]}");
    assert_string_equal(show(&k.rec.prompt, false), "[INST] <<SYS>>\ns\n<</SYS>>\n\na [/INST]");
    /* in texts it is put in, and not written back */
    must_read(&k, "{\"prompt\":\"a\"}");
    assert_string_equal(show(&k.rec.prompt, false),
                        "[INST] <<SYS>>\nbe brief\n<</SYS>>\n\na [/INST]");
    assert_string_equal(written(&k), "{\"id\":42,\"prompt\":\"a\"}");
    kit_free(&k);
}

/* ---- HH dialogues ---- */

static void test_hh_boundary(void **state)
{
    static const struct {
        const char *a, *b;
        size_t want;
    } cases[] = {
        {"\n\nHuman: a\n\nAssistant: b", "\n\nHuman: a\n\nAssistant: c", 22},
        {"\n\nHuman: a\n\nAssistant: b", "\n\nHuman: a\n\nAssistant: b", 22},
        /* one ends where the other goes on; the last marker in common counts */
        {"\n\nHuman: a\n\nAssistant:", "\n\nHuman: a\n\nAssistant: c", 22},
        {"\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d",
         "\n\nHuman: a\n\nAssistant: b\n\nHuman: C\n\nAssistant: d", 22},
        {"\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d",
         "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: e", 46},
        {"\n\nHuman: a\n\nAssistant: b", "\n\nHuman: A\n\nAssistant: b", 0},
        {"\n\nHuman: a\n\nAssistan", "\n\nHuman: a\n\nAssistant: b", 0},
        {"", "", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *a = cases[i].a, *b = cases[i].b;
        assert_int_equal(l2_hh_boundary(a, strlen(a), b, strlen(b)), cases[i].want);
        assert_int_equal(l2_hh_boundary(b, strlen(b), a, strlen(a)), cases[i].want);
    }
    assert_true(l2_hh_is("\n\nHuman: a\n\nAssistant:", 22));
    assert_false(l2_hh_is("Human: a\n\nAssistant:", 20));
    assert_false(l2_hh_is("\n\nHuman: a", 10));
    assert_false(l2_hh_is("", 0));
}

/* Answers in prompts and in completions of several turns are marked. */
static void test_hh_spans(void **state)
{
    struct kit k;
    (void)state;
    kit_new(&k, NULL, true, true, NULL);
    must_read(&k,
              "{\"chosen\":\"\\n\\nHuman: a\\n\\nAssistant: first\\n\\nHuman: b\\n\\nAssistant: "
              "x\",\"rejected\":\"\\n\\nHuman: a\\n\\nAssistant: first\\n\\nHuman: "
              "b\\n\\nAssistant: y\\n\\nHuman: c\\n\\nAssistant: z\"}");
    assert_int_equal(k.rec.spans.n, 2);
    struct l2_u32s span = {k.rec.prompt.v + k.rec.spans.v[0], k.rec.spans.v[1] - k.rec.spans.v[0]};
    assert_string_equal(show(&span, true), " first");
    assert_null(k.rec.completions[0].spans.v);
    const struct l2_completion *c = &k.rec.completions[1];
    assert_int_equal(c->spans.n, 4);
    span = (struct l2_u32s){c->tokens.v + c->spans.v[0], c->spans.v[1] - c->spans.v[0]};
    assert_string_equal(show(&span, true), " y");
    span = (struct l2_u32s){c->tokens.v + c->spans.v[2], c->spans.v[3] - c->spans.v[2]};
    assert_string_equal(show(&span, true), " z[E]");
    kit_free(&k);
}

/* One side speaking twice in a row is one turn for the template, and still written back as it was.
 */
static void test_hh_same_role_twice(void **state)
{
    static const char row[] = "{\"id\":1,\"chosen\":\"\\n\\nHuman: a\\n\\nHuman: b\\n\\nAssistant: "
                              "c\\n\\nAssistant: d\",\"rejected\":\"\\n\\nHuman: a\\n\\nHuman: "
                              "b\\n\\nAssistant: e\"}";
    struct kit k;
    (void)state;
    kit_new(&k, "llama2", true, true, NULL);
    must_read(&k, row);
    assert_string_equal(show(&k.rec.prompt, false), "[B][INST] a\n\nb [/INST]");
    assert_string_equal(show(&k.rec.completions[0].tokens, true), " c\n\nd [E]");
    assert_string_equal(written(&k), row);
    kit_free(&k);
}

/* ---- what later stages make of records ---- */

static void add_generated(struct kit *k, const char *text)
{
    struct l2_completion *c = l2_record_add_completion(&k->rec, &k->err);
    struct l2_ids ids = {0};
    assert_non_null(c);
    assert_int_equal(l2_encode(encoder, text, strlen(text), L2_ENCODE_CONTINUE, &ids, NULL), L2_OK);
    assert_int_equal(l2_ids_append(&ids, 2, NULL), L2_OK);
    c->tokens.v = l2_arena_alloc(&k->rec.arena, ids.n, sizeof *c->tokens.v, &k->err);
    assert_non_null(c->tokens.v);
    memcpy(c->tokens.v, ids.v, ids.n * sizeof *ids.v);
    c->tokens.n = ids.n;
    c->finish = L2_FINISH_EOS;
    l2_ids_release(&ids);
}

static void set_shape(struct kit *k, const char *shape)
{
    assert_int_equal(l2_record_str(&k->rec, shape, strlen(shape), &k->rec.shape, &k->err), L2_OK);
}

static void test_generated(void **state)
{
    struct kit k;
    (void)state;
    kit_new(&k, NULL, true, true, NULL);
    must_read(&k, "{\"prompt\":\"a\",\"x\":1}");
    add_generated(&k, " b");
    assert_string_equal(written(&k), "{\"id\":42,\"prompt\":\"a\",\"completions\":[{\"finish\":"
                                     "\"eos\",\"text\":\" b\"}],\"meta\":{\"x\":1}}");
    add_generated(&k, " c");
    /* a stage that makes pairs says so */
    set_shape(&k, "prompt+chosen+rejected");
    assert_string_equal(written(&k),
                        "{\"id\":42,\"prompt\":\"a\",\"chosen\":\" b\",\"rejected\":\" c\","
                        "\"completions\":[{\"finish\":\"eos\"},{\"finish\":\"eos\"}],\"meta\":"
                        "{\"x\":1}}");
    /* what nobody knows the shape of is prompt and completions */
    set_shape(&k, "something");
    assert_non_null(strstr(written(&k), "\"prompt\":\"a\",\"completions\":[{"));
    kit_free(&k);

    kit_new(&k, "llama2", true, true, NULL);
    must_read(&k, "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}");
    add_generated(&k, " b");
    add_generated(&k, " c ");
    assert_string_equal(written(&k),
                        "{\"id\":42,\"prompt\":[{\"role\":\"user\",\"content\":\"a\"}],"
                        "\"completions\":[{\"finish\":\"eos\",\"text\":\" b\"},"
                        "{\"finish\":\"eos\",\"text\":\" c \"}]}");
    set_shape(&k, "prompt+chosen+rejected:messages");
    assert_string_equal(written(&k),
                        "{\"id\":42,\"prompt\":[{\"role\":\"user\",\"content\":\"a\"}],\"chosen\":"
                        "[{\"role\":\"assistant\",\"content\":\"b\"}],\"rejected\":[{\"role\":"
                        "\"assistant\",\"content\":\"c\"}],\"completions\":[{\"finish\":\"eos\"},"
                        "{\"finish\":\"eos\"}]}");
    kit_free(&k);
}

static void test_bare_text(void **state)
{
    struct kit k;
    (void)state;
    kit_new(&k, NULL, true, true, NULL);
    must_read(&k, "{\"prompt\":\"a \",\"completion\":\" b\\n\"}");
    assert_int_equal(l2_shape_to_text(vocab, &k.rec, 0, &k.out, &k.err), L2_OK);
    assert_int_equal(k.out.len, 5);
    assert_memory_equal(k.out.data, "a  b\n", 5);
    /* a character that begins in the prompt and ends in the completion is whole */
    uint32_t e2 = 3 + 0xC3, a9[] = {3 + 0xA9};
    k.rec.prompt = (struct l2_u32s){&e2, 1};
    k.rec.completions[0].tokens = (struct l2_u32s){a9, 1};
    k.out.len = 0;
    assert_int_equal(l2_shape_to_text(vocab, &k.rec, 0, &k.out, &k.err), L2_OK);
    assert_int_equal(k.out.len, 2);
    assert_memory_equal(k.out.data, "\xC3\xA9", 2);
    /* apart they are not, but never half of one */
    assert_string_equal(written(&k), "{\"id\":42,\"prompt\":\"\xEF\xBF\xBD\",\"completion\":"
                                     "\"\xEF\xBF\xBD\"}");
    kit_free(&k);
}

/* Records of text alone need no vocabulary; ids without one are an error. */
static void test_no_vocabulary(void **state)
{
    static const char wire[] = "{\"id\":1,\"completions\":[{\"text\":\"a\"}],\"shape\":\"text\"}";
    struct kit k;
    json_t *j;
    (void)state;
    kit_new(&k, NULL, true, true, NULL);
    assert_int_equal(l2_json_parse(wire, sizeof wire - 1, "wire", 1, &j, &k.err), L2_OK);
    assert_int_equal(l2_record_from_json(j, &k.rec, &k.err), L2_OK);
    json_decref(j);
    assert_int_equal(l2_shape_to_json(NULL, &k.rec, &k.out, &k.err), L2_OK);
    assert_int_equal(k.out.len, 19);
    assert_memory_equal(k.out.data, "{\"id\":1,\"text\":\"a\"}", 19);
    must_read(&k, "{\"text\":\"a\"}");
    assert_int_equal(l2_shape_to_json(NULL, &k.rec, &k.out, &k.err), L2_ARGUMENT);
    assert_int_equal(k.out.len, 19);
    kit_free(&k);
}

static int set_up(void **state)
{
    struct l2_err err;
    (void)state;
    return l2_vocab_open(&vocab, source_path("tests/golden/small.model"), &err) != L2_OK ||
           l2_encoder_new(&encoder, vocab, &err) != L2_OK;
}

static int tear_down(void **state)
{
    (void)state;
    l2_encoder_free(encoder);
    l2_vocab_free(vocab);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),        cmocka_unit_test(test_bad_rows),
        cmocka_unit_test(test_bos_eos_system), cmocka_unit_test(test_hh_boundary),
        cmocka_unit_test(test_hh_spans),       cmocka_unit_test(test_hh_same_role_twice),
        cmocka_unit_test(test_generated),      cmocka_unit_test(test_bare_text),
        cmocka_unit_test(test_no_vocabulary),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("shape", tests, set_up, tear_down);
}
