/* The record: one prompt with any number of completions. See l2-stream(5). */
/* SPDX-License-Identifier: MIT */
#ifndef L2_RECORD_H
#define L2_RECORD_H

#include <stdbool.h>
#include "util/arena.h"

/* Everything a record points at lives in its own arena, or is borrowed for at least as long.
 * A NULL pointer means "absent"; present but empty has a non-NULL pointer and n == 0. */
struct l2_str {
    const char *s; /* UTF-8, followed by a NUL that n does not count */
    size_t n;
};
struct l2_u32s {
    uint32_t *v;
    size_t n;
};
struct l2_f32s {
    float *v;
    size_t n;
};

/* The n key/value pairs of a CBOR map, without its head, exactly as they were read: len bytes.
 * Fields that l2 does not know, and meta, travel in this form and are never decoded on the way. */
struct l2_fields {
    const uint8_t *data;
    size_t len;
    size_t n;
};

struct l2_id {
    bool is_text;
    struct l2_str text; /* where is_text */
    int64_t number;     /* else */
};

struct l2_message {
    struct l2_str role, content;
    struct l2_fields other;
};

struct l2_score {
    struct l2_str name;
    double value; /* finite */
};

enum l2_finish { L2_FINISH_NONE, L2_FINISH_EOS, L2_FINISH_LENGTH, L2_FINISH_STOP };

/* Per-token numbers of a completion; the names on the wire are in l2_series_names. */
enum l2_series {
    L2_LOGPROBS,         /* of the model at temperature 1 */
    L2_SAMPLED_LOGPROBS, /* of the distribution drawn from, where it differs */
    L2_REF_LOGPROBS,
    L2_VALUES,
    L2_REWARDS,
    L2_ADVANTAGES,
    L2_RETURNS,
    L2_N_SERIES
};
extern const char *const l2_series_names[L2_N_SERIES];
extern const char *const l2_finish_names[]; /* indexed by enum l2_finish; NONE is "" */

/* How a completion was made. */
struct l2_gen {
    bool present;
    bool has_k, has_seed, has_temperature, has_round;
    uint64_t k;
    uint64_t seed;
    double temperature;
    struct l2_str model;
    int64_t round;
    struct l2_fields other;
};

struct l2_completion {
    struct l2_u32s tokens; /* NULL in a text-only stream */
    struct l2_f32s series[L2_N_SERIES];
    enum l2_finish finish;
    struct l2_score *scores;
    size_t n_scores;
    bool has_labels;
    struct l2_fields labels;
    struct l2_gen gen;
    struct l2_f32s embedding;
    size_t embedding_rows; /* 0: one vector; else embedding is (rows, n / rows) */
    struct l2_u32s spans;
    struct l2_str text;
    struct l2_fields other;
};

struct l2_record {
    struct l2_arena arena;
    struct l2_id id;
    struct l2_u32s prompt;       /* NULL in a text-only stream */
    struct l2_message *messages; /* NULL: absent */
    size_t n_messages;
    struct l2_completion *completions;
    size_t n_completions;
    struct l2_u32s spans; /* [begin,end) pairs in prompt */
    bool has_margin;
    float margin;
    struct l2_str shape;
    bool has_meta;
    struct l2_fields meta;
    struct l2_f32s embedding; /* of the prompt, where there are no completions */
    size_t embedding_rows;    /* as in a completion */
    struct l2_fields other;
    /* of l2_record_add_completion: the array that it made, and what that has room for */
    struct l2_completion *grown;
    size_t n_grown;
};

void l2_record_init(struct l2_record *r);
void l2_record_release(struct l2_record *r);
/* Makes r empty again and keeps its arena's memory for the next record. */
void l2_record_reset(struct l2_record *r);

/* Appends an empty completion and returns it (NULL: out of memory). Pointers to earlier completions
 * become invalid. */
struct l2_completion *l2_record_add_completion(struct l2_record *r,
                                               struct l2_err *err) L2_MUST_CHECK;

/* Sets scores[name] = value, replacing one of that name. name is copied. A value that is not finite
 * is L2_ARGUMENT. */
int l2_record_set_score(struct l2_record *r, struct l2_completion *c, const char *name,
                        double value, struct l2_err *err) L2_MUST_CHECK;

/* scores[name], or NULL. */
const double *l2_completion_score(const struct l2_completion *c, const char *name);

/* A copy of s in the record's arena. */
int l2_record_str(struct l2_record *r, const char *s, size_t n, struct l2_str *out,
                  struct l2_err *err) L2_MUST_CHECK;

/* Tokens of the prompt and all completions. */
uint64_t l2_record_tokens(const struct l2_record *r);

/* SHA-256 of the id's CBOR encoding in its shortest form: what --shard and the random numbers use.
 */
void l2_id_hash(const struct l2_id *id, uint8_t out[32]);

/* SHA-256 of that hash and the prompt's ids, as 32 bits little-endian: what makes records equal for
 * pooling and resuming. */
void l2_record_hash(const struct l2_record *r, uint8_t out[32]);

/* The id for messages: the text (cut with "..." where it is long), or the number in decimal. */
void l2_id_format(const struct l2_id *id, char *out, size_t out_size);

/* Where rc says that something is wrong with r, "record ID: " is put before err's text, unless that
 * begins so. Returns rc. */
int l2_record_fault(const struct l2_record *r, int rc, struct l2_err *err);

#endif
