/* Unit tests of pre-prompts in records: in and out again to the byte, on all templates; damaged
 * records; the fields that they are kept in. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rlhf/preprompt.h"
#include "stream/codec.h"
#include "stream/fields.h"
#include "tokenizers.h"

static struct l2_err err;

/* ---- fields ---- */

/* The fields as "key=label key=label ". */
static void list_fields(const struct l2_fields *f, const char *const *keys, struct l2_buf *out)
{
    struct l2_cbor_item item;
    bool found;
    out->len = 0;
    for (; *keys; keys++) {
        assert_int_equal(l2_fields_find(f, *keys, &found, &item, &err), L2_OK);
        if (!found)
            continue;
        assert_int_equal(l2_buf_printf(out, &err, "%s=", *keys), L2_OK);
        assert_int_equal(l2_fields_label(f, *keys, out, &err), L2_OK);
        assert_int_equal(l2_buf_append_byte(out, ' ', &err), L2_OK);
    }
    assert_int_equal(l2_buf_append_byte(out, '\0', &err), L2_OK);
}

static void test_fields(void **state)
{
    (void)state;
    static const char *const keys[] = {"a", "b", "c", NULL};
    static const uint8_t one[] = {1}, text[] = {0x63, 't', 'w', 'o'}, list[] = {0x82, 1, 2};
    struct l2_arena arena = {0};
    struct l2_fields f = {0};
    struct l2_buf got = {0};
    assert_int_equal(l2_fields_drop(&f, &arena, "a", &err), L2_OK);
    assert_int_equal(f.n, 0);
    assert_int_equal(l2_fields_set(&f, &arena, "a", one, sizeof one, &err), L2_OK);
    assert_int_equal(l2_fields_set(&f, &arena, "b", text, sizeof text, &err), L2_OK);
    assert_int_equal(l2_fields_set(&f, &arena, "c", list, sizeof list, &err), L2_OK);
    assert_int_equal(f.n, 3);
    list_fields(&f, keys, &got);
    assert_string_equal((char *)got.data, "a=1 b=two c=(array) ");
    const struct l2_fields before = f;
    assert_int_equal(l2_fields_set(&f, &arena, "b", one, sizeof one, &err), L2_OK);
    list_fields(&f, keys, &got);
    assert_string_equal((char *)got.data, "a=1 b=1 c=(array) ");
    list_fields(&before, keys, &got);
    assert_string_equal((char *)got.data, "a=1 b=two c=(array) ");
    assert_int_equal(l2_fields_drop(&f, &arena, "a", &err), L2_OK);
    assert_int_equal(l2_fields_drop(&f, &arena, "absent", &err), L2_OK);
    list_fields(&f, keys, &got);
    assert_string_equal((char *)got.data, "b=1 c=(array) ");
    assert_int_equal(f.n, 2);
    assert_int_equal(l2_fields_drop(&f, &arena, "c", &err), L2_OK);
    assert_int_equal(l2_fields_drop(&f, &arena, "b", &err), L2_OK);
    assert_int_equal(f.n, 0);
    assert_int_equal(f.len, 0);
    l2_buf_release(&got);
    l2_arena_release(&arena);
}

/* ---- records ---- */

static const struct l2_message dialogues[][5] = {
    {{{"user", 4}, {"Hi", 2}, {0}}},
    {{{"system", 6}, {"Be kind.", 8}, {0}}, {{"user", 4}, {" Who? ", 6}, {0}}},
    {{{"system", 6}, {"S", 1}, {0}},
     {{"user", 4}, {"A", 1}, {0}},
     {{"assistant", 9}, {"B <|im_end|> [INST]", 19}, {0}},
     {{"user", 4}, {"C", 1}, {0}}},
    {{{"user", 4}, {"", 0}, {0}},
     {{"assistant", 9}, {"", 0}, {0}},
     {{"user", 4}, {"C", 1}, {0}},
     {{"assistant", 9}, {"D", 1}, {0}},
     {{"user", 4}, {"E", 1}, {0}}},
};
enum { N_DIALOGUES = sizeof dialogues / sizeof *dialogues };

static size_t length_of(const struct l2_message *m)
{
    size_t n = 0;
    while (n < 5 && m[n].role.s)
        n++;
    return n;
}

/* A record with these messages and two completions; its prompt is rendered by d. */
static void make_record(struct l2_record *rec, struct l2_dialogue *d, const struct l2_message *m)
{
    static uint32_t tokens[] = {5, 6};
    l2_record_reset(rec);
    rec->id.number = 7;
    rec->n_messages = length_of(m);
    rec->messages = l2_arena_alloc(&rec->arena, rec->n_messages, sizeof *m, &err);
    assert_non_null(rec->messages);
    memcpy(rec->messages, m, rec->n_messages * sizeof *m);
    rec->prompt.v = tokens;
    assert_int_equal(l2_dialogue_render(d, rec, &err), L2_OK);
    for (int i = 0; i < 2; i++) {
        struct l2_completion *c = l2_record_add_completion(rec, &err);
        assert_non_null(c);
        c->tokens = (struct l2_u32s){tokens, 2};
    }
}

static void encode(const struct l2_record *rec, struct l2_buf *out)
{
    out->len = 0;
    assert_int_equal(l2_encode_record(out, rec, &err), L2_OK);
}

struct bench {
    struct l2_vocab *vocab;
    struct l2_encoder *encoder;
    struct l2_dialogue *dialogue;
    struct l2_preprompts *preprompts;
    const struct l2_preprompt *one;
    struct l2_preprompt_opts how;
    struct l2_record rec, back, scratch;
    struct l2_buf before, between, after;
};

static void set_up(struct bench *b, const char *vocab, const char *template_name)
{
    size_t n;
    *b = (struct bench){.vocab = open_tokenizer(golden_tokenizer(vocab, ".json"))};
    assert_int_equal(l2_encoder_new(&b->encoder, b->vocab, &err), L2_OK);
    assert_int_equal(
        l2_dialogue_new(&b->dialogue, b->encoder, l2_template_find(template_name), &err), L2_OK);
    assert_int_equal(l2_preprompts_of_text(&b->preprompts, "Be safe.", &err), L2_OK);
    b->one = l2_preprompts_all(b->preprompts, &n);
    assert_int_equal(n, 1);
    assert_string_equal(b->one->name, "generic/1");
    b->how = (struct l2_preprompt_opts){.dialogue = b->dialogue, .encoder = b->encoder};
    l2_record_init(&b->rec);
    l2_record_init(&b->back);
    l2_record_init(&b->scratch);
}

static void tear_down(struct bench *b)
{
    l2_record_release(&b->rec);
    l2_record_release(&b->back);
    l2_record_release(&b->scratch);
    l2_buf_release(&b->before);
    l2_buf_release(&b->between);
    l2_buf_release(&b->after);
    l2_preprompts_free(b->preprompts);
    l2_dialogue_free(b->dialogue);
    l2_encoder_free(b->encoder);
    l2_vocab_free(b->vocab);
}

static bool is_under(const struct l2_completion *c)
{
    bool under;
    assert_int_equal(l2_preprompt_is_under(c, &under, &err), L2_OK);
    return under;
}

/* Adds, writes, reads, adds an answer, takes out: all but the marks is as it was. */
static void check_there_and_back(struct bench *b)
{
    static uint32_t tokens[] = {9};
    bool had;
    encode(&b->rec, &b->before);
    assert_int_equal(l2_preprompt_add(&b->how, b->one, &b->rec, &err), L2_OK);
    encode(&b->rec, &b->between);
    assert_int_equal(l2_decode_record(b->between.data, b->between.len, &b->back, &err), L2_OK);
    assert_int_equal(l2_preprompt_add(&b->how, b->one, &b->back, &err), L2_FORMAT);
    struct l2_completion *c = l2_record_add_completion(&b->back, &err);
    assert_non_null(c);
    c->tokens = (struct l2_u32s){tokens, 1};
    assert_int_equal(l2_preprompt_remove(&b->back, &b->scratch, &had, &err), L2_OK);
    assert_true(had);
    assert_false(is_under(&b->back.completions[0]));
    assert_false(is_under(&b->back.completions[1]));
    assert_true(is_under(&b->back.completions[2]));
    b->back.n_completions = 2;
    for (size_t i = 0; i < 2; i++)
        b->back.completions[i].gen = (struct l2_gen){0};
    encode(&b->back, &b->after);
    assert_int_equal(b->after.len, b->before.len);
    assert_memory_equal(b->after.data, b->before.data, b->before.len);
    assert_int_equal(l2_preprompt_remove(&b->back, &b->scratch, &had, &err), L2_OK);
    assert_false(had);
}

static void test_there_and_back(void **state)
{
    (void)state;
    static const char *const templates[][2] = {{"llama2", "spm-prepend"},
                                               {"mistral", "spm-prepend"},
                                               {"zephyr", "spm-metaspace"},
                                               {"llama3", "bytes-llama3"},
                                               {"chatml", "bytes-smollm"}};
    struct bench b;
    for (size_t t = 0; t < sizeof templates / sizeof *templates; t++) {
        set_up(&b, templates[t][1], templates[t][0]);
        for (size_t i = 0; i < N_DIALOGUES; i++)
            for (int place = L2_PREPROMPT_SYSTEM; place <= L2_PREPROMPT_START; place++) {
                b.how.place = (enum l2_preprompt_place)place;
                make_record(&b.rec, b.dialogue, dialogues[i]);
                check_there_and_back(&b);
            }
        tear_down(&b);
    }
}

static void test_ids(void **state)
{
    (void)state;
    struct bench b;
    set_up(&b, "spm-prepend", "llama2");
    b.how.place = L2_PREPROMPT_START;
    make_record(&b.rec, b.dialogue, dialogues[2]);
    const struct l2_u32s old = b.rec.prompt, spans = b.rec.spans;
    assert_int_equal(l2_preprompt_add(&b.how, b.one, &b.rec, &err), L2_OK);
    size_t more = b.rec.prompt.n - old.n;
    assert_true(more > 0);
    assert_int_equal(b.rec.prompt.v[0], l2_vocab_bos(b.vocab));
    assert_memory_equal(b.rec.prompt.v + 1 + more, old.v + 1, (old.n - 1) * sizeof *old.v);
    assert_int_equal(b.rec.spans.n, spans.n);
    assert_int_equal(b.rec.spans.v[0], spans.v[0] + more);
    assert_memory_equal(b.rec.prompt.v + b.rec.spans.v[0], old.v + spans.v[0],
                        (spans.v[1] - spans.v[0]) * sizeof *old.v);
    /* a prompt that is none, and one that is empty */
    b.rec.other = (struct l2_fields){0};
    b.rec.prompt = (struct l2_u32s){0};
    b.rec.spans = (struct l2_u32s){0};
    assert_int_equal(l2_preprompt_add(&b.how, b.one, &b.rec, &err), L2_FORMAT);
    uint32_t none;
    b.rec.prompt = (struct l2_u32s){&none, 0};
    assert_int_equal(l2_preprompt_add(&b.how, b.one, &b.rec, &err), L2_OK);
    assert_int_equal(b.rec.prompt.n, more);
    tear_down(&b);
}

/* Every byte of a record with a pre-prompt changed: what can be read is taken out or refused. */
static void test_damage(void **state)
{
    (void)state;
    struct bench b;
    size_t read = 0, refused = 0;
    set_up(&b, "spm-prepend", "llama2");
    make_record(&b.rec, b.dialogue, dialogues[2]);
    assert_int_equal(l2_preprompt_add(&b.how, b.one, &b.rec, &err), L2_OK);
    encode(&b.rec, &b.between);
    for (size_t i = 0; i < b.between.len; i++) {
        static const uint8_t masks[] = {1, 0x20, 0x40, 0x80, 0xff};
        for (size_t k = 0; k < sizeof masks; k++) {
            bool had;
            b.between.data[i] ^= masks[k];
            if (l2_decode_record(b.between.data, b.between.len, &b.back, &err) == L2_OK) {
                read++;
                if (l2_preprompt_remove(&b.back, &b.scratch, &had, &err) != L2_OK)
                    refused++;
                else
                    encode(&b.back, &b.after);
            }
            b.between.data[i] ^= masks[k];
        }
    }
    assert_true(read > 100);
    assert_true(refused > 10);
    tear_down(&b);
}

/* A message whose unknown field is nested as deep as a record may be: the record within the record
 * would be too deep to be read again. */
static void test_depth(void **state)
{
    (void)state;
    struct bench b;
    uint8_t nested[80];
    struct l2_message deep[5] = {{{"user", 4}, {"Hi", 2}, {0}}};
    set_up(&b, "spm-prepend", "llama2");
    for (size_t depth = 50; depth < L2_CBOR_MAX_DEPTH; depth++) {
        memset(nested, 0x81, sizeof nested); /* lists of one */
        memcpy(nested, "\x61x", 2);
        nested[2 + depth] = 0;
        deep[0].other = (struct l2_fields){nested, 3 + depth, 1};
        make_record(&b.rec, b.dialogue, deep);
        encode(&b.rec, &b.before);
        if (l2_decode_record(b.before.data, b.before.len, &b.back, &err) != L2_OK)
            break;
        int r = l2_preprompt_add(&b.how, b.one, &b.rec, &err);
        if (r == L2_OK) {
            encode(&b.rec, &b.between);
            assert_int_equal(l2_decode_record(b.between.data, b.between.len, &b.back, &err), L2_OK);
        } else {
            assert_int_equal(r, L2_LIMIT);
        }
    }
    assert_int_equal(l2_preprompt_add(&b.how, b.one, &b.rec, &err), L2_LIMIT);
    tear_down(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields), cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_ids),    cmocka_unit_test(test_damage),
        cmocka_unit_test(test_depth),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
