/* --shard and --resume: choosing records by id, comparing the headers of two runs. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "common/wanted.h"

#include <stdlib.h>
#include <string.h>

#include "stream/json.h"
#include "util/num.h"

/* ---- shards ---- */

int l2_shard_parse(struct l2_shard *out, const char *text, struct l2_err *err)
{
    char index[24];
    const char *slash = text ? strchr(text, '/') : NULL;
    size_t n = slash ? (size_t)(slash - text) : 0;
    *out = (struct l2_shard){0, 0};
    if (!text)
        return L2_OK;
    if (n > 0 && n < sizeof index) {
        memcpy(index, text, n);
        index[n] = '\0';
        if (l2_parse_u64(index, &out->index) && l2_parse_u64(slash + 1, &out->count) &&
            out->index >= 1 && out->index <= out->count && out->count <= UINT32_MAX) {
            out->index--;
            return L2_OK;
        }
    }
    return l2_err_set(err, L2_ARGUMENT, "--shard: want I/N with I from 1 to N, got '%s'", text);
}

bool l2_shard_has(const struct l2_shard *s, const struct l2_id *id)
{
    uint8_t digest[L2_SHA256_SIZE];
    uint64_t rest = 0;
    if (s->count <= 1)
        return true;
    l2_id_hash(id, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        rest = (rest << 8 | digest[i]) % s->count;
    return rest == s->index;
}

/* ---- headers of two runs ---- */

/* The header's JSON form; owned, NULL with err set. */
static json_t *parse_header(const struct l2_header *h, struct l2_err *err)
{
    struct l2_buf line = {0};
    json_t *j = NULL;
    if (l2_header_to_json(&line, h, err) == L2_OK &&
        l2_json_parse((char *)line.data, line.len, NULL, 1, &j, err) != L2_OK)
        j = NULL;
    l2_buf_release(&line);
    return j;
}

static const char *text_of(const json_t *entry, const char *key)
{
    const char *s = json_string_value(json_object_get(entry, key));
    return s ? s : "";
}

/* The first lines that differ, without their indent. */
static void first_difference(const char *a, const char *b, char *line_a, char *line_b, size_t size)
{
    for (;;) {
        size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");
        if (n != m || memcmp(a, b, n) != 0 || a[n] == '\0' || b[m] == '\0') {
            size_t indent_a = strspn(a, " "), indent_b = strspn(b, " ");
            snprintf(line_a, size, "%.*s", (int)(n - indent_a), a + indent_a);
            snprintf(line_b, size, "%.*s", (int)(m - indent_b), b + indent_b);
            return;
        }
        a += n + 1;
        b += m + 1;
    }
}

static int compare_entries(const json_t *old, const json_t *now, const char *name,
                           struct l2_err *err)
{
    static const char *const keys[] = {"program", "version", "model", "kernels", "settings"};
    char was[128], is[128];
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *a = text_of(old, keys[i]), *b = text_of(now, keys[i]);
        if (strcmp(a, b) == 0)
            continue;
        if (strcmp(keys[i], "model") == 0)
            return l2_err_at(err, L2_ARGUMENT, name, -1,
                             "cannot resume: it was written with another model");
        first_difference(a, b, was, is, sizeof was);
        return l2_err_at(err, L2_ARGUMENT, name, -1,
                         "cannot resume: the %s of %s were '%s' and are now '%s'", keys[i],
                         text_of(old, "program"), was, is);
    }
    return L2_OK;
}

static int compare_headers(const json_t *old, const json_t *now, const char *name,
                           struct l2_err *err)
{
    const json_t *a = json_object_get(old, "history"), *b = json_object_get(now, "history");
    if (!json_equal(json_object_get(old, "vocabulary"), json_object_get(now, "vocabulary")))
        return l2_err_at(err, L2_ARGUMENT, name, -1,
                         "cannot resume: it was written with another vocabulary");
    if (json_array_size(a) != json_array_size(b))
        return l2_err_at(err, L2_ARGUMENT, name, -1,
                         "cannot resume: its records passed through %zu programs, the input's "
                         "through %zu",
                         json_array_size(a), json_array_size(b));
    for (size_t i = 0; i < json_array_size(a); i++) {
        int rc = compare_entries(json_array_get(a, i), json_array_get(b, i), name, err);
        if (rc < 0)
            return rc;
    }
    return L2_OK;
}

int l2_resume_check(const struct l2_header *old, const struct l2_header *now, const char *name,
                    struct l2_err *err)
{
    json_t *a = parse_header(old, err), *b = a ? parse_header(now, err) : NULL;
    int rc = b ? compare_headers(a, b, name, err) : (int)err->code;
    json_decref(a);
    json_decref(b);
    return rc;
}
