/* Benchmark case: records of 300 token ids written to memory and read back, CBOR and zstd included.
 */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"
#include "stream/stream.h"
#include "util/philox.h"

#define N_RECORDS 20000
#define N_IDS     300
#define LEVEL     (-5)

struct stream_case {
    int fd; /* of a temporary file that has no name */
    struct l2_record rec;
};

static void release(void *state)
{
    struct stream_case *s = state;
    l2_record_release(&s->rec);
    if (s->fd >= 0)
        close(s->fd);
    free(s);
}

/* Ids with Zipf's frequencies, as text has them: P(rank) ~ 1 / rank. No record is like another. */
static void fill_ids(uint32_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        v[i] =
            (uint32_t)exp(l2_philox_uniform((struct l2_philox_key){{20, 23}}, 0, i) * log(31999));
}

static int write_records(struct stream_case *s, struct l2_err *err)
{
    struct l2_writer *w = NULL;
    struct l2_header h;
    l2_header_init(&h);
    int r = l2_writer_new(&w, s->fd, "bench", LEVEL, err);
    if (r == L2_OK)
        r = l2_writer_header(w, &h, err);
    for (uint32_t i = 0; i < N_RECORDS && r == L2_OK; i++) {
        s->rec.id.number = i;
        s->rec.completions[0].tokens.v = s->rec.prompt.v + (size_t)i * N_IDS;
        r = l2_writer_record(w, &s->rec, err);
    }
    if (r == L2_OK)
        r = l2_writer_end(w, true, NULL, err);
    l2_writer_free(w);
    l2_header_release(&h);
    return r;
}

static int read_records(struct stream_case *s, struct l2_err *err)
{
    struct l2_reader *reader = NULL;
    struct l2_record rec;
    enum l2_item item;
    uint64_t n = 0;
    l2_record_init(&rec);
    int r = l2_reader_new(&reader, s->fd, "bench", NULL, err);
    while (r == L2_OK && (r = l2_reader_next(reader, true, &item, &rec, err)) == L2_OK)
        n += item == L2_ITEM_RECORD;
    l2_reader_free(reader);
    l2_record_release(&rec);
    if (r == L2_END && n != N_RECORDS)
        return l2_err_set(err, L2_CORRUPT, "want %d records, got %llu", N_RECORDS,
                          (unsigned long long)n);
    return r == L2_END ? L2_OK : r;
}

static int run(void *state, struct bench_sample *out, struct l2_err *err)
{
    struct stream_case *s = state;
    if (lseek(s->fd, 0, SEEK_SET) != 0 || ftruncate(s->fd, 0) != 0)
        return l2_err_set(err, L2_SYSTEM, "cannot rewind the temporary file");
    double t = bench_now();
    int r = write_records(s, err);
    if (r == L2_OK && lseek(s->fd, 0, SEEK_SET) != 0)
        r = l2_err_set(err, L2_SYSTEM, "cannot rewind the temporary file");
    if (r == L2_OK)
        r = read_records(s, err);
    *out = (struct bench_sample){.seconds = bench_now() - t, .work = 4.0 * N_IDS * N_RECORDS / 1e6};
    return r;
}

int bench_add_streams(struct bench_list *l, struct l2_err *err)
{
    char name[] = "/tmp/l2-bench-XXXXXX";
    struct bench_case c = {
        .name = "streams, write and read", .unit = "MB/s", .run = run, .release = release};
    if (!bench_wants(l, c.name))
        return L2_OK;
    struct stream_case *s = calloc(1, sizeof *s);
    if (!s)
        return l2_err_memory(err, sizeof *s);
    c.state = s;
    l2_record_init(&s->rec);
    s->fd = mkstemp(name);
    if (s->fd < 0) {
        release(s);
        return l2_err_set(err, L2_SYSTEM, "cannot make a temporary file");
    }
    unlink(name);
    uint32_t *ids = l2_arena_alloc(&s->rec.arena, (size_t)N_RECORDS * N_IDS, sizeof *ids, err);
    struct l2_completion *completion = ids ? l2_record_add_completion(&s->rec, err) : NULL;
    if (!completion) {
        release(s);
        return L2_MEMORY;
    }
    fill_ids(ids, (size_t)N_RECORDS * N_IDS);
    s->rec.prompt = (struct l2_u32s){ids, 0};
    completion->tokens = (struct l2_u32s){ids, N_IDS};
    return bench_add(l, &c, err);
}
