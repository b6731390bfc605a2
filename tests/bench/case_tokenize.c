/* Benchmark case: encoding a file of text line by line, one thread. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "text/encode.h"
#include "util/map.h"

struct tokenize_case {
    struct l2_vocab *vocab;
    struct l2_encoder *encoder;
    struct l2_map text;
    struct l2_ids ids;
};

static void release(void *state)
{
    struct tokenize_case *s = state;
    l2_encoder_free(s->encoder);
    l2_vocab_free(s->vocab);
    l2_map_release(&s->text);
    l2_ids_release(&s->ids);
    free(s);
}

static int encode_lines(struct tokenize_case *s, struct l2_err *err)
{
    const char *p = (const char *)s->text.data, *end = p + s->text.size;
    int r = L2_OK;
    s->ids.n = 0;
    while (p < end && r == L2_OK) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        size_t n = newline ? (size_t)(newline - p) : (size_t)(end - p);
        r = l2_encode(s->encoder, p, n, 0, &s->ids, err);
        p += n + 1;
    }
    return r;
}

/* The text again and again for a while: what counts is speed in the middle of a corpus, and a short
 * text would measure how fast the probes' data leaves the caches. */
static int run(void *state, struct bench_sample *out, struct l2_err *err)
{
    struct tokenize_case *s = state;
    double t = bench_now();
    int r;
    *out = (struct bench_sample){0};
    do {
        r = encode_lines(s, err);
        out->work += (double)s->text.size / 1e6;
        out->seconds = bench_now() - t;
    } while (r == L2_OK && out->seconds < 0.2);
    return r;
}

int bench_add_tokenizer(struct bench_list *l, struct l2_err *err)
{
    struct bench_case c = {
        .name = "tokenize, one thread", .unit = "MB/s", .run = run, .release = release};
    if (!l->text || !l->vocab || !bench_wants(l, c.name))
        return L2_OK;
    struct tokenize_case *s = calloc(1, sizeof *s);
    if (!s)
        return l2_err_memory(err, sizeof *s);
    c.state = s;
    int r = l2_map_open(&s->text, l->text, err);
    if (r == L2_OK)
        r = l2_vocab_open(&s->vocab, l->vocab, err);
    if (r == L2_OK)
        r = l2_encoder_new(&s->encoder, s->vocab, err);
    if (r != L2_OK) {
        release(s);
        return r;
    }
    return bench_add(l, &c, err);
}
