/* Reading the heads of Zstandard frames. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "stream/frame.h"

#include <string.h>

#include "util/num.h"

static uint64_t get_le(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    while (n-- > 0)
        v = v << 8 | p[n];
    return v;
}

static bool is_skippable(const uint8_t *p, size_t n)
{
    static const uint8_t rest[3] = {0x2a, 0x4d, 0x18};
    return (p[0] & 0xf0) == 0x50 && memcmp(p + 1, rest, n - 1) == 0;
}

int l2_frame_parse(const uint8_t *p, size_t n, struct l2_frame *f)
{
    static const uint8_t magic[L2_FRAME_MAGIC_BYTES] = {0x28, 0xb5, 0x2f, 0xfd};
    static const uint8_t dictionary_bytes[4] = {0, 1, 2, 4};
    static const uint8_t content_bytes[4] = {0, 2, 4, 8};
    *f = (struct l2_frame){0};
    if (n == 0)
        return L2_AGAIN;
    size_t known = n < sizeof magic ? n : sizeof magic;
    f->skippable = is_skippable(p, known);
    if (!f->skippable && memcmp(p, magic, known) != 0)
        return L2_FORMAT;
    if (n < 8) /* no whole frame is shorter */
        return L2_AGAIN;
    if (f->skippable) {
        f->content = l2_get_u32le(p + 4);
        return L2_OK;
    }
    uint8_t descriptor = p[4];
    bool single = descriptor >> 5 & 1;
    size_t n_dictionary = dictionary_bytes[descriptor & 3];
    size_t n_content = content_bytes[descriptor >> 6];
    if (n_content == 0 && single)
        n_content = 1;
    if (descriptor & 8)
        return L2_CORRUPT;
    if (n < 5 + (size_t)!single + n_dictionary + n_content)
        return L2_AGAIN;
    p += 5;
    if (!single) { /* RFC 8878, 3.1.1.1.2 */
        uint64_t base = (uint64_t)1 << (10 + (*p >> 3));
        f->window = base + base / 8 * (*p & 7);
        p++;
    }
    f->has_dictionary = get_le(p, n_dictionary) != 0;
    p += n_dictionary;
    f->has_content = n_content > 0;
    f->content = get_le(p, n_content) + (n_content == 2 ? 256 : 0);
    f->has_checksum = descriptor >> 2 & 1;
    if (single)
        f->window = f->content;
    return L2_OK;
}
