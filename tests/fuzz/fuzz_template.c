/* Fuzz target: the bytes as a model's chat template, and as what is said in a dialogue: no text
 * makes special pieces. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "fuzz.h"
#include "text/template.h"

static const char *const names[] = {"llama2", "llama3", "chatml", "mistral", "zephyr"};
#define N_NAMES (sizeof names / sizeof *names)

/* A vocabulary whose pieces all templates find, with BOS 1 and EOS 2; made once. */
static struct l2_encoder *encoder(void)
{
    static const char head[] =
        "{\"added_tokens\":["
        "{\"id\":0,\"content\":\"<unk>\",\"special\":true},"
        "{\"id\":1,\"content\":\"<s>\",\"special\":true},"
        "{\"id\":2,\"content\":\"</s>\",\"special\":true},"
        "{\"id\":3,\"content\":\"<|begin_of_text|>\",\"special\":true},"
        "{\"id\":4,\"content\":\"<|start_header_id|>\",\"special\":true},"
        "{\"id\":5,\"content\":\"<|end_header_id|>\",\"special\":true},"
        "{\"id\":6,\"content\":\"<|eot_id|>\",\"special\":true},"
        "{\"id\":7,\"content\":\"<|im_start|>\",\"special\":true},"
        "{\"id\":8,\"content\":\"<|im_end|>\",\"special\":true}],"
        "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":["
        "{\"type\":\"Prepend\",\"prepend\":\"\xe2\x96\x81\"},"
        "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xe2\x96\x81\"}]},"
        "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":["
        "{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},"
        "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[],"
        "\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[1],\"tokens\":[\"<s>\"]}}},"
        "\"decoder\":{\"type\":\"Sequence\",\"decoders\":["
        "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\xe2\x96\x81\"},\"content\":\" \"},"
        "{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"
        "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]},"
        "\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"byte_fallback\":true,"
        "\"fuse_unk\":true,\"vocab\":{\"<unk>\":0,\"<s>\":1,\"</s>\":2";
    static struct l2_encoder *e;
    struct l2_buf b = {0};
    struct l2_vocab *v; /* both live as long as the process */
    struct l2_err err;
    if (e)
        return e;
    FUZZ_CHECK(l2_buf_append_str(&b, head, &err) == L2_OK);
    for (unsigned i = 0; i < 256; i++)
        FUZZ_CHECK(l2_buf_printf(&b, &err, ",\"<0x%02X>\":%u", i, i + 9) == L2_OK);
    FUZZ_CHECK(l2_buf_append_str(&b, "},\"merges\":[]}}", &err) == L2_OK);
    int r = l2_vocab_open(&v, fuzz_file("vocabulary.json", b.data, b.len), &err);
    l2_buf_release(&b);
    if (r != L2_OK)
        fprintf(stderr, "%s\n", err.text);
    FUZZ_CHECK(r == L2_OK && l2_encoder_new(&e, v, &err) == L2_OK);
    return e;
}

/* A dialogue in which everybody says text, as a prompt; the special pieces in it. */
static size_t count_special(const struct l2_template *t, const char *text, size_t n)
{
    static const char *const roles[] = {"system", "user", "assistant", "user"};
    struct l2_encoder *e = encoder();
    struct l2_turn turns[4];
    struct l2_ids ids = {0}, spans = {0};
    struct l2_err err;
    size_t special = 0;
    for (size_t i = 0; i < 4; i++)
        turns[i] = (struct l2_turn){.role = roles[i], .content = text, .content_len = n};
    FUZZ_CHECK(l2_template_prompt(t, e, turns, 4, &ids, &spans, &err) == L2_OK);
    for (size_t i = 0; i < ids.n; i++) {
        FUZZ_CHECK(ids.v[i] < l2_vocab_size(l2_encoder_vocab(e)));
        special += l2_vocab_kind(l2_encoder_vocab(e), ids.v[i]) == L2_PIECE_CONTROL;
    }
    FUZZ_CHECK(spans.n == 2 && spans.v[0] < spans.v[1] && spans.v[1] <= ids.n);
    l2_ids_release(&ids);
    l2_ids_release(&spans);
    return special;
}

static void check_dialogues(const char *text, size_t n)
{
    static size_t want[N_NAMES];
    for (size_t i = 0; i < N_NAMES; i++) {
        const struct l2_template *t = l2_template_find(names[i]);
        FUZZ_CHECK(t);
        if (want[i] == 0)
            want[i] = count_special(t, "x", 1);
        FUZZ_CHECK(want[i] > 0 && count_special(t, text, n) == want[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const struct l2_template *t;
    struct l2_err err;
    check_dialogues(n > 0 ? (const char *)data : "", n);
    (void)l2_template_recognise((const char *)data, n);
    (void)fuzz_file("tokenizer_config.json", data, n);
    int r = l2_template_of_vocab(&t, fuzz_dir(), &err);
    FUZZ_CHECK(r == L2_OK || err.text[0] != '\0');
    return 0;
}
