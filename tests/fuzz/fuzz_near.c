/* Fuzz target: the index of near duplicates; the first four bytes are its settings, lines its
 * texts.
 */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "clean/charclass.h"
#include "clean/near.h"
#include "fuzz.h"

static bool has_words(const char *s, size_t n)
{
    struct l2_words w;
    l2_words_init(&w, s, n);
    return l2_words_next(&w);
}

/* A text that was added, or is like one that was, is found when it comes again. */
static void add_twice(struct l2_near *near, const char *s, size_t n)
{
    int64_t like, again;
    double similarity;
    uint64_t size = l2_near_size(near), missed = l2_near_missed(near);
    l2_near_add(near, s, n, &like, &similarity);
    FUZZ_CHECK(like < (int64_t)size);
    FUZZ_CHECK(like < 0 || (similarity > 0 && similarity <= 1));
    FUZZ_CHECK(l2_near_size(near) + l2_near_missed(near) ==
               size + missed + (like < 0 && has_words(s, n)));
    if (l2_near_missed(near) > missed || !has_words(s, n))
        return;
    l2_near_add(near, s, n, &again, &similarity);
    FUZZ_CHECK(like < 0 ? again == (int64_t)size && similarity == 1 : again == like);
    FUZZ_CHECK(l2_near_size(near) <= l2_near_room(near));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct l2_near *near;
    struct l2_err err;
    if (n < 4)
        return 0;
    struct l2_near_settings s = {.ngram = data[0] % 64 + 1,
                                 .bands = data[1] % 64 + 1,
                                 .rows = data[2] % 16 + 1,
                                 .similarity = 0.1 + data[3] / 255.0 * 0.9,
                                 .bytes = 1 << 14};
    const char *text = (const char *)data + 4, *end = (const char *)data + n;
    FUZZ_CHECK(l2_near_new(&near, &s, &err) == L2_OK);
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t len = newline ? (size_t)(newline - text) : (size_t)(end - text);
        add_twice(near, text, len);
        text += len + 1;
    }
    l2_near_free(near);
    return 0;
}
