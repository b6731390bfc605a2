/* What a model is trained on: streams of records, mixed, shuffled and packed into batches. */
/* SPDX-License-Identifier: MIT */
#ifndef L2_DATA_H
#define L2_DATA_H

#include "nn/net.h"
#include "stream/stream.h"

enum l2_data_kind {
    L2_DATA_TEXT,    /* pretraining: documents, each id predicts the next */
    L2_DATA_ANSWERS, /* supervised fine-tuning: only answers are predicted */
    L2_DATA_PAIRS    /* preferences: two answers to a prompt, the first is the chosen one */
};

/* What happens to an example of more positions than the context. Text is cut into windows and is
 * never overlong. Truncation keeps a first id that is opts.bos; a pair's answers are cut from the
 * right where the prompt alone does not make room. */
enum l2_data_overlong {
    L2_DATA_OVERLONG_ERROR,
    L2_DATA_OVERLONG_DROP,
    L2_DATA_OVERLONG_LEFT, /* cut the prompt from the left */
    L2_DATA_OVERLONG_RIGHT /* cut the answer from the right */
};

struct l2_data_input {
    int fd; /* borrowed; at its beginning. A regular file is read again and again; anything
               else is copied to a temporary file, which has no name */
    const char *name; /* borrowed until the data is freed */
    double weight;    /* share of this input, against the others'; all 0: by their sizes */
};

struct l2_data_opts {
    enum l2_data_kind kind;
    uint32_t context;    /* positions of a sequence at most */
    uint32_t sequences;  /* of a batch, each of up to context rows; 1 at least. PAIRS: pairs */
    uint32_t vocab_size; /* all ids must be below */
    uint32_t bos, eos;   /* L2_NO_TOKEN: none; BOS stays where a prompt is cut */
    bool add_bos;        /* put it before a prompt or document that has none */
    bool add_eos;        /* and EOS behind an answer or document */
    bool keep_order;     /* no shuffling */
    uint64_t seed;
    uint64_t epochs;    /* passes over the inputs; 0: without end */
    bool cut_documents; /* TEXT: no attention across documents */
    bool earlier_turns; /* ANSWERS: predict the spans of the prompt as well */
    enum l2_data_overlong overlong;
    float margins[4];   /* PAIRS: by rating, see l2_margins_small; where no margin is given */
    bool use_margin;    /* PAIRS: a record's own margin comes first */
    double held_out;    /* share of the prompts (TEXT: of the documents) that is not trained on,
                           in [0, 1): chosen by a hash, so that equal prompts stay together */
    bool partial;       /* take what is there of an incomplete stream */
    uint64_t memory;    /* bytes of records that are shuffled together; 0: 256 MiB */
    const char *tmpdir; /* of temporary files; NULL: /tmp */
    struct l2_stream_limits limits;
};

/* Ratings, the paper's: how much better the first answer is. */
enum l2_rating {
    L2_RATING_SIGNIFICANT,
    L2_RATING_BETTER,
    L2_RATING_SLIGHT,
    L2_RATING_NEGLIGIBLE, /* or unsure */
    L2_N_RATINGS,
    L2_RATING_NONE = L2_N_RATINGS /* the record has none */
};
extern const char *const l2_rating_names[L2_N_RATINGS];
/* The rating of that name, with ' ' or '_' between words; "unsure" is NEGLIGIBLE. False: none. */
bool l2_rating_parse(const char *s, size_t n, enum l2_rating *rating);
/* The paper's table 27: margins by rating. */
extern const float l2_margins_small[L2_N_RATINGS], l2_margins_large[L2_N_RATINGS];

struct l2_data_pair {
    uint32_t rows[2]; /* the last of each answer: where chosen and rejected are scored */
    float margin;
    enum l2_rating rating;
    int safe[2];  /* labels.safe of each answer: 1, 0, or -1 where it is not said */
    size_t input; /* which */
};

/* A micro-batch; all memory is the data's and is valid until the next one. */
struct l2_data_batch {
    struct l2_net_batch net;
    const struct l2_target *targets; /* TEXT, ANSWERS: in order of row; several may share a row */
    size_t n_targets;
    const struct l2_data_pair *pairs; /* PAIRS */
    size_t n_pairs;
};

/* Counts of the whole run, resumed parts included. */
struct l2_data_counts {
    uint64_t batches, sequences;
    uint64_t tokens;  /* rows of batches */
    uint64_t targets; /* ids that were predicted */
    uint64_t examples;
    uint64_t truncated;        /* of them */
    uint64_t dropped_overlong; /* examples that were left out, for these reasons */
    uint64_t dropped_empty;    /* nothing to predict */
    uint64_t dropped_no_pair;  /* PAIRS: not two answers */
    uint64_t dropped_equal;    /* PAIRS: both answers are the same */
};

struct l2_data_input_info {
    const char *name;
    uint64_t records, tokens; /* of one pass, held-out ones left out */
    uint64_t held_records, held_tokens;
    uint64_t frames;
    uint64_t answers, answers_eos; /* all of them; those that end in opts.eos */
    uint64_t epoch;                /* passes begun, the first is 0 */
    uint64_t drawn;                /* units (below) so far */
    double share;                  /* of the mix, in [0, 1] */
    bool spooled;
};

struct l2_data;

/* Reads all inputs once, checks and indexes them: 52 bytes a frame stay in memory. Then a pass
 * holds opts.memory bytes of records at most (or one frame of each input, where that is more), and
 * one batch. The mix draws from the input that is furthest behind its share, counted in ids (TEXT),
 * in predicted ids (ANSWERS) or pairs. Owned, free with l2_data_free. L2_ARGUMENT: no record to
 * train on. */
int l2_data_new(struct l2_data **out, const struct l2_data_opts *opts,
                const struct l2_data_input *inputs, size_t n_inputs,
                struct l2_err *err) L2_MUST_CHECK;
void l2_data_free(struct l2_data *d);

/* The held-out share of d, once, in the order of the inputs; d is borrowed. A NULL result: d has
 * none. l2_data_rewind to read it again. */
int l2_data_new_held(struct l2_data **out, struct l2_data *d, struct l2_err *err) L2_MUST_CHECK;
/* Starts again, with the counts at 0. */
void l2_data_rewind(struct l2_data *d);

/* Rows that a batch has at most: net_opts.max_rows. */
uint32_t l2_data_max_rows(const struct l2_data_opts *opts);

/* The next batch, never an empty one. L2_END: all epochs are over. */
int l2_data_next(struct l2_data *d, struct l2_data_batch *batch, struct l2_err *err) L2_MUST_CHECK;

/* The inputs' vocabulary, and what each program did to them. */
const struct l2_header *l2_data_header(const struct l2_data *d);
void l2_data_get_counts(const struct l2_data *d, struct l2_data_counts *counts);
size_t l2_data_n_inputs(const struct l2_data *d);
struct l2_data_input_info l2_data_input_info(const struct l2_data *d, size_t input);
/* Passes over all inputs so far, a fraction: what was drawn, by what one pass has. */
double l2_data_epochs(const struct l2_data *d);

/* Appends the position, so that restore goes on with the batch that next would have returned.
 * restore is for data of the same options and inputs: others are L2_ARGUMENT, other bytes
 * L2_CORRUPT. */
int l2_data_save(const struct l2_data *d, struct l2_buf *out, struct l2_err *err) L2_MUST_CHECK;
int l2_data_restore(struct l2_data *d, const uint8_t *bytes, size_t n,
                    struct l2_err *err) L2_MUST_CHECK;

#endif
