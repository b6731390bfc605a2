/* Unit tests of chat templates: which one a model's directory says, and what they render. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scratch.h"
#include "text/template.h"
#include "text/vocab_impl.h"
#include "tokenizers.h"

/* ---- tokenizer_config.json ---- */

static void test_config(void **state)
{
    (void)state;
    char dir[SCRATCH_PATH];
    size_t size;
    struct l2_err err;
    struct l2_vocab *v;
    const struct l2_template *t;
    char *json = scratch_read(golden_tokenizer("bytes-smollm", ".json"), &size);
    scratch_make(dir);
    scratch_write(dir, "tokenizer.json", json, size);
    scratch_write_str(
        dir, "tokenizer_config.json",
        "{\"model_max_length\": 1000000000000000019884624838656,"
        " \"bos_token\": \"<|im_start|>\", \"eos_token\":{\"content\":\"<|im_end|>\"},"
        " \"chat_template\": \"{{ '<|im_start|>' + message['role'] + '\\\\n' }}"
        "{{ message['content'] + '<|im_end|>\\\\n' }}\"}");
    v = open_tokenizer(dir);
    assert_int_equal(l2_vocab_bos(v), l2_vocab_special(v, "<|im_start|>"));
    assert_int_equal(l2_vocab_eos(v), l2_vocab_special(v, "<|im_end|>"));
    assert_false(l2_vocab_add_bos(v));
    l2_vocab_free(v);
    assert_int_equal(l2_template_of_vocab(&t, dir, &err), L2_OK);
    assert_non_null(t);
    assert_string_equal(l2_template_name(t), "chatml");
    scratch_write_str(dir, "chat_template.jinja", "{{ 'Human: ' + message['content'] }}");
    assert_int_equal(l2_template_of_vocab(&t, dir, &err), L2_UNSUPPORTED);
    scratch_write_str(dir, "tokenizer_config.json",
                      "{\"eos_token\": \"<|im_end|>\", \"bos_token\": \"<|endoftext|>\","
                      "\"add_bos_token\": true}");
    v = open_tokenizer(scratch_path(dir, "tokenizer.json"));
    assert_true(l2_vocab_add_bos(v));
    l2_vocab_free(v);
    scratch_write_str(dir, "tokenizer_config.json", "{\"eos_token\": \"<absent>\"}");
    assert_int_equal(l2_vocab_open(&v, dir, &err), L2_CORRUPT);
    assert_non_null(strstr(err.text, "<absent>"));
    free(json);
    scratch_remove(dir);
}

/* ---- templates ---- */

static const struct {
    const char *name; /* NULL: none */
    const char *jinja;
} jinjas[] = {
    {"chatml", "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + "
               "message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
               "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"},
    {"chatml", "{# turns #}{%- for m in messages -%}\n<|im_start|>{{ m.role }}\n{{ m.content "
               "}}<|im_end|>\n{%- endfor -%}"},
    /* a default system prompt, a think block, stripped contents */
    {NULL, "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are "
           "helpful.<|im_end|>\\n' }}{% endif %}{{'<|im_start|>' + '<|im_end|>'}}"},
    {NULL, "{{ '<|im_start|>assistant\\n<think>' + '<|im_end|>' }}"},
    {NULL, "{{ '<|im_start|>' + message['content'] | trim + '<|im_end|>\\n' }}"},
    {NULL, "{{ '<|im_start|>' }}"},
    {"llama3", "{% for m in messages %}{% set c = '<|start_header_id|>' + m['role'] + "
               "'<|end_header_id|>\\n\\n'+ m['content'] | trim + '<|eot_id|>' %}"
               "{% if loop.index0 == 0 %}{% set c = bos_token + c %}{% endif %}{{ c }}{% endfor %}"
               "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}"},
    {NULL, "{{ '<|start_header_id|>system<|end_header_id|>\\n\\nCutting Knowledge Date: ' + x | "
           "trim + '<|eot_id|>' }}"},
    {"zephyr",
     "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ "
     "'<|user|>\\n' + message['content'] + eos_token }}\n{% elif message['role'] == "
     "'system' %}\n{{ '<|system|>\\n' + message['content'] + eos_token }}\n{% else %}\n"
     "{{ '<|assistant|>\\n'  + message['content'] + eos_token }}\n{% endif %}{% endfor %}"},
    {"llama2", "{% if messages[0]['role'] == 'system' %}{% endif %}{% if (m['role'] == 'user') != "
               "(loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate!') }}{% endif %}"
               "{% set content = '<<SYS>>\\n' + s + '\\n<</SYS>>\\n\\n' + m['content'] %}"
               "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
               "{{ ' ' + content.strip() + ' ' + eos_token }}"},
    {"mistral", "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
                "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == "
                "'assistant' %}{{ message['content'] + eos_token}}{% else %}{{ "
                "raise_exception(\"Only user and assistant\") }}{% endif %}{% endfor %}"},
    {NULL, "{{ '[INST] ' + '[AVAILABLE_TOOLS]' + ' [/INST]' }}"},
    {NULL, "{{ '[INST] "},
    {NULL, "{{ '[INST] \\x41 [/INST]' }}"},
    {NULL, ""},
};

static void test_recognise(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof jinjas / sizeof *jinjas; i++) {
        const struct l2_template *t =
            l2_template_recognise(jinjas[i].jinja, strlen(jinjas[i].jinja));
        const char *got = t ? l2_template_name(t) : "none";
        const char *want = jinjas[i].name ? jinjas[i].name : "none";
        if (strcmp(got, want) != 0)
            fail_msg("%s is taken for %s", jinjas[i].jinja, got);
    }
    static const char zero[] = "{\0 '[INST]' }}{\0";
    assert_null(l2_template_recognise(zero, sizeof zero - 1));
}

/* The rendering as a string: special pieces by their text. */
static void unrender(const struct l2_vocab *v, const struct l2_ids *ids, struct l2_buf *out)
{
    out->len = 0;
    for (size_t i = 0; i < ids->n; i++) {
        size_t n;
        const char *s = v->pieces[ids->v[i]].kind == L2_PIECE_CONTROL
                            ? l2_vocab_piece(v, ids->v[i], &n)
                            : l2_vocab_bytes(v, ids->v[i], &n);
        assert_int_equal(l2_buf_append(out, s, n, NULL), L2_OK);
    }
    assert_int_equal(l2_buf_append_byte(out, '\0', NULL), L2_OK);
}

struct rendering {
    const char *vocab, *name, *prompt, *completion;
};

static const struct rendering renderings[] = {
    {"bytes-llama3", "llama3",
     "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
     "<|start_header_id|>user<|end_header_id|>\n\nA <|eot_id|> <|im_end|></s><|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\nB<|eot_id|>"
     "<|start_header_id|>user<|end_header_id|>\n\nC<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\n",
     "D<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nE<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\nF<|eot_id|>"},
    {"bytes-smollm", "chatml",
     "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n A <|eot_id|> <|im_end|></s> <|im_end|>\n"
     "<|im_start|>assistant\nB<|im_end|>\n<|im_start|>user\nC<|im_end|>\n<|im_start|>assistant\n",
     "D<|im_end|>\n<|im_start|>user\nE<|im_end|>\n<|im_start|>assistant\nF<|im_end|>"},
    {"spm-prepend", "zephyr",
     "<s> <|system|>\nS</s> \n<|user|>\n A <|eot_id|> <|im_end|></s> </s> \n<|assistant|>\nB</s> "
     "\n<|user|>\nC</s> \n<|assistant|>\n",
     "D</s> \n<|user|>\nE</s> \n<|assistant|>\nF</s>"},
    {"spm-prepend", "mistral",
     "<s> [INST] S\n\n A <|eot_id|> <|im_end|></s>  [/INST] B</s> [INST] C [/INST]",
     " D</s> [INST] E [/INST] F</s>"},
    {"spm-metaspace", "mistral",
     "<s>[INST] S\n\n A <|eot_id|> <|im_end|></s> [/INST] B</s>[INST] C[/INST]",
     " D</s>[INST] E[/INST] F</s>"},
};

static struct l2_turn turn(const char *role, const char *content)
{
    return (struct l2_turn){.role = role, .content = content, .content_len = strlen(content)};
}

/* Text that looks like special pieces stays text: the ids of those occur as often as the template
 * puts them. */
static void check_special_counts(const struct l2_vocab *v, const struct l2_ids *ids, size_t want)
{
    size_t n = 0;
    for (size_t i = 0; i < ids->n; i++)
        n += v->pieces[ids->v[i]].kind == L2_PIECE_CONTROL;
    assert_int_equal(n, want);
}

static void test_render(void **state)
{
    (void)state;
    static const size_t n_special[] = {15, 9, 5, 2, 6};
    for (size_t i = 0; i < sizeof renderings / sizeof *renderings; i++) {
        const struct rendering *r = &renderings[i];
        struct l2_vocab *v = open_tokenizer(golden_tokenizer(r->vocab, ".json"));
        const struct l2_template *t = l2_template_find(r->name);
        struct l2_turn before[] = {turn("system", "S"),
                                   turn("user", " A <|eot_id|> <|im_end|></s> "),
                                   turn("assistant", "B"), turn("user", "C")};
        struct l2_turn after[] = {turn("assistant", "D"), turn("user", "E"),
                                  turn("assistant", "F")};
        struct l2_encoder *e;
        struct l2_ids ids = {0}, spans = {0};
        struct l2_buf text = {0};
        assert_int_equal(l2_encoder_new(&e, v, NULL), L2_OK);
        assert_int_equal(l2_template_prompt(t, e, before, 4, &ids, &spans, NULL), L2_OK);
        unrender(v, &ids, &text);
        assert_string_equal((char *)text.data, r->prompt);
        check_special_counts(v, &ids, n_special[i]);
        assert_int_equal(spans.n, 2);
        size_t len;
        const char *s = l2_vocab_bytes(v, ids.v[spans.v[1] - 2], &len);
        assert_int_equal(s[len - 1], 'B'); /* the last of the answer, and its end */
        ids.n = spans.n = 0;
        assert_int_equal(l2_template_completion(t, e, after, 3, true, &ids, &spans, NULL), L2_OK);
        unrender(v, &ids, &text);
        assert_string_equal((char *)text.data, r->completion);
        assert_int_equal(spans.n, 4);
        assert_int_equal(spans.v[3], ids.n);
        size_t whole = ids.n;
        ids.n = spans.n = 0;
        assert_int_equal(l2_template_completion(t, e, after, 3, false, &ids, &spans, NULL), L2_OK);
        assert_int_equal(ids.n, whole - 1);
        l2_ids_release(&ids);
        l2_ids_release(&spans);
        l2_buf_release(&text);
        l2_encoder_free(e);
        l2_vocab_free(v);
    }
}

/* What cannot be rendered is said. */
static void test_render_faults(void **state)
{
    (void)state;
    struct l2_vocab *v = open_tokenizer(golden_tokenizer("spm-prepend", ".json"));
    struct l2_encoder *e;
    struct l2_ids ids = {0};
    struct l2_err err;
    struct l2_turn tool = turn("tool", "x"), user = turn("user", "x");
    assert_int_equal(l2_encoder_new(&e, v, NULL), L2_OK);
    assert_int_equal(l2_template_prompt(l2_template_find("chatml"), e, &user, 1, &ids, NULL, &err),
                     L2_ARGUMENT);
    assert_non_null(strstr(err.text, "no <|im_start|> piece"));
    assert_int_equal(l2_template_prompt(l2_template_find("zephyr"), e, &tool, 1, &ids, NULL, &err),
                     L2_ARGUMENT);
    assert_non_null(strstr(err.text, "got tool"));
    assert_int_equal(
        l2_template_completion(l2_template_find("zephyr"), e, &user, 1, true, &ids, NULL, &err),
        L2_ARGUMENT);
    l2_ids_release(&ids);
    l2_encoder_free(e);
    l2_vocab_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_recognise),
        cmocka_unit_test(test_render),
        cmocka_unit_test(test_render_faults),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
