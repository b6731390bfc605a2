/* Reads a SentencePiece tokenizer.model: a protobuf message of pieces and specifications. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <math.h>
#include <string.h>

#include "text/vocab_impl.h"
#include "util/num.h"
#include "util/utf8.h"

/* The numbers of the fields that matter, of sentencepiece_model.proto. */
enum { MODEL_PIECES = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3, MODEL_DENORMALIZER = 5 };
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_KIND = 3 };
enum {
    TRAINER_MODEL_TYPE = 3,
    TRAINER_SPACE_AS_SUFFIX = 24,
    TRAINER_BYTE_FALLBACK = 35,
    TRAINER_BOS_PIECE = 46,
    TRAINER_EOS_PIECE = 47
};
enum {
    NORMALIZER_NAME = 1,
    NORMALIZER_CHARSMAP = 2,
    NORMALIZER_DUMMY_PREFIX = 3,
    NORMALIZER_REMOVE_EXTRA = 4,
    NORMALIZER_ESCAPE = 5
};
enum { MODEL_TYPE_UNIGRAM = 1, MODEL_TYPE_BPE = 2, MODEL_TYPE_WORD = 3, MODEL_TYPE_CHAR = 4 };
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LEN = 2, WIRE_32 = 5 };

struct str {
    const char *s;
    size_t n;
};

/* The file, and what has been gathered from it. */
struct spm {
    const struct l2_map *map;
    struct l2_vocab *v;
    bool has_trainer, has_normalizer;
    uint64_t model_type;
    bool space_as_suffix, escape;
    struct str bos, eos, normalizer;
    size_t charsmap_len, denormalizer_len;
};

/* A message within the file, [pos, end). */
struct span {
    size_t pos, end;
};

/* One field: its number, wire type and value. */
struct field {
    size_t at; /* offset of its tag */
    uint64_t number;
    unsigned wire;
    uint64_t value;   /* varint, or the bits of a fixed-size value */
    struct span body; /* of a length-delimited one */
};

static int wrong(const struct spm *s, size_t at, enum l2_code code, const char *what,
                 struct l2_err *err)
{
    return l2_err_at(err, code, s->map->name, (int64_t)at, "%s", what);
}

/* What ends too early is truncated where the file ends there, else its lengths contradict. */
static int short_of(const struct spm *s, const struct span *in, size_t at, uint64_t want,
                    struct l2_err *err)
{
    bool at_eof = in->end == s->map->size;
    return l2_err_at(err, at_eof ? L2_TRUNCATED : L2_CORRUPT, s->map->name, (int64_t)at,
                     "field ends past its %s: want %llu bytes, got %zu",
                     at_eof ? "file" : "message", (unsigned long long)want, in->end - in->pos);
}

static int read_varint(const struct spm *s, struct span *in, uint64_t *out, struct l2_err *err)
{
    size_t at = in->pos;
    *out = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (in->pos == in->end)
            return short_of(s, in, at, 1, err);
        uint8_t b = s->map->data[in->pos++];
        if (shift == 63 && b > 1)
            break;
        *out |= (uint64_t)(b & 0x7F) << shift;
        if (b < 0x80)
            return L2_OK;
    }
    return wrong(s, at, L2_CORRUPT, "integer of more than 64 bits", err);
}

/* Reads the field at in->pos and passes it. */
static int read_field(const struct spm *s, struct span *in, struct field *f, struct l2_err *err)
{
    uint64_t tag, n;
    *f = (struct field){.at = in->pos};
    int r = read_varint(s, in, &tag, err);
    if (r != L2_OK)
        return r;
    f->number = tag >> 3;
    f->wire = tag & 7;
    if (f->number == 0)
        return wrong(s, f->at, L2_CORRUPT, "field number 0", err);
    switch (f->wire) {
    case WIRE_VARINT:
        return read_varint(s, in, &f->value, err);
    case WIRE_64:
    case WIRE_32:
        n = f->wire == WIRE_64 ? 8 : 4;
        break;
    case WIRE_LEN:
        if ((r = read_varint(s, in, &n, err)) != L2_OK)
            return r;
        break;
    default:
        return wrong(s, f->at, L2_CORRUPT, "unknown wire type", err);
    }
    if (n > in->end - in->pos)
        return short_of(s, in, f->at, n, err);
    f->body = (struct span){in->pos, in->pos + (size_t)n};
    if (f->wire == WIRE_32)
        f->value = l2_get_u32le(s->map->data + in->pos);
    in->pos += (size_t)n;
    return L2_OK;
}

/* A field whose number is known has to have the wire type that goes with it. */
static int want_wire(const struct spm *s, const struct field *f, unsigned wire, struct l2_err *err)
{
    if (f->wire == wire)
        return L2_OK;
    return l2_err_at(err, L2_CORRUPT, s->map->name, (int64_t)f->at,
                     "field %llu: want wire type %u, got %u", (unsigned long long)f->number, wire,
                     f->wire);
}

static struct str body_str(const struct spm *s, const struct field *f)
{
    return (struct str){(const char *)s->map->data + f->body.pos, f->body.end - f->body.pos};
}

static int read_piece(struct spm *s, struct span in, struct l2_err *err)
{
    size_t at = in.pos;
    struct str text = {0};
    uint64_t kind = L2_PIECE_NORMAL;
    float score = 0;
    while (in.pos < in.end) {
        struct field f;
        int r = read_field(s, &in, &f, err);
        if (r == L2_OK && f.number == PIECE_TEXT) {
            r = want_wire(s, &f, WIRE_LEN, err);
            text = body_str(s, &f);
        } else if (r == L2_OK && f.number == PIECE_SCORE) {
            r = want_wire(s, &f, WIRE_32, err);
            uint8_t bits[4];
            l2_put_u32le(bits, (uint32_t)f.value);
            score = l2_get_f32le(bits);
        } else if (r == L2_OK && f.number == PIECE_KIND) {
            r = want_wire(s, &f, WIRE_VARINT, err);
            kind = f.value;
        }
        if (r != L2_OK)
            return r;
    }
    if (kind < L2_PIECE_NORMAL || kind > L2_PIECE_BYTE)
        return l2_err_at(err, L2_UNSUPPORTED, s->map->name, (int64_t)at,
                         "piece of unknown kind %llu", (unsigned long long)kind);
    return l2_vocab_add(s->v, text.s, text.n, score, (enum l2_piece_kind)kind, s->map->name,
                        (int64_t)at, err);
}

static int read_trainer(struct spm *s, struct span in, struct l2_err *err)
{
    s->has_trainer = true;
    while (in.pos < in.end) {
        struct field f;
        int r = read_field(s, &in, &f, err);
        if (r != L2_OK)
            return r;
        switch (f.number) {
        case TRAINER_MODEL_TYPE:
            r = want_wire(s, &f, WIRE_VARINT, err);
            s->model_type = f.value;
            break;
        case TRAINER_SPACE_AS_SUFFIX:
            r = want_wire(s, &f, WIRE_VARINT, err);
            s->space_as_suffix = f.value != 0;
            break;
        case TRAINER_BYTE_FALLBACK:
            r = want_wire(s, &f, WIRE_VARINT, err);
            s->v->byte_fallback = f.value != 0;
            break;
        case TRAINER_BOS_PIECE:
            r = want_wire(s, &f, WIRE_LEN, err);
            s->bos = body_str(s, &f);
            break;
        case TRAINER_EOS_PIECE:
            r = want_wire(s, &f, WIRE_LEN, err);
            s->eos = body_str(s, &f);
            break;
        default:
            break;
        }
        if (r != L2_OK)
            return r;
    }
    return L2_OK;
}

/* Of a denormalizer only the map counts. */
static int read_normalizer(struct spm *s, struct span in, bool denormalizer, struct l2_err *err)
{
    while (in.pos < in.end) {
        struct field f;
        int r = read_field(s, &in, &f, err);
        if (r != L2_OK)
            return r;
        if (denormalizer) {
            if (f.number == NORMALIZER_CHARSMAP)
                s->denormalizer_len = f.body.end - f.body.pos;
            continue;
        }
        switch (f.number) {
        case NORMALIZER_NAME:
            r = want_wire(s, &f, WIRE_LEN, err);
            s->normalizer = body_str(s, &f);
            break;
        case NORMALIZER_CHARSMAP:
            r = want_wire(s, &f, WIRE_LEN, err);
            s->charsmap_len = f.body.end - f.body.pos;
            break;
        case NORMALIZER_DUMMY_PREFIX:
            r = want_wire(s, &f, WIRE_VARINT, err);
            s->v->dummy_prefix = f.value != 0;
            break;
        case NORMALIZER_REMOVE_EXTRA:
            r = want_wire(s, &f, WIRE_VARINT, err);
            s->v->remove_extra_spaces = f.value != 0;
            break;
        case NORMALIZER_ESCAPE:
            r = want_wire(s, &f, WIRE_VARINT, err);
            s->escape = f.value != 0;
            break;
        default:
            break;
        }
        if (r != L2_OK)
            return r;
    }
    if (!denormalizer)
        s->has_normalizer = true;
    return L2_OK;
}

static int read_model(struct spm *s, struct l2_err *err)
{
    struct span in = {0, s->map->size};
    while (in.pos < in.end) {
        struct field f;
        int r = read_field(s, &in, &f, err);
        if (r == L2_OK && f.number >= MODEL_PIECES && f.number <= MODEL_DENORMALIZER)
            r = want_wire(s, &f, WIRE_LEN, err);
        if (r == L2_OK && f.number == MODEL_PIECES)
            r = read_piece(s, f.body, err);
        else if (r == L2_OK && f.number == MODEL_TRAINER)
            r = read_trainer(s, f.body, err);
        else if (r == L2_OK && f.number == MODEL_NORMALIZER)
            r = read_normalizer(s, f.body, false, err);
        else if (r == L2_OK && f.number == MODEL_DENORMALIZER)
            r = read_normalizer(s, f.body, true, err);
        if (r != L2_OK)
            return r;
    }
    return L2_OK;
}

/* Refuses by name what this encoder does not do. */
static int check_supported(const struct spm *s, struct l2_err *err)
{
    static const char *const types[] = {"?", "unigram", "bpe", "word", "char"};
    const char *file = s->map->name;
    if (s->model_type != MODEL_TYPE_BPE)
        return l2_err_at(err, L2_UNSUPPORTED, file, -1,
                         "SentencePiece model of type %s is not supported: want bpe",
                         types[s->model_type <= MODEL_TYPE_CHAR ? s->model_type : 0]);
    if (s->charsmap_len > 0)
        return l2_err_at(err, L2_UNSUPPORTED, file, -1,
                         "normalizer '%.*s' is not supported: want identity",
                         (int)(s->normalizer.n < 64 ? s->normalizer.n : 64),
                         s->normalizer.n ? s->normalizer.s : "");
    if (s->denormalizer_len > 0)
        return l2_err_at(err, L2_UNSUPPORTED, file, -1, "a denormalizer is not supported");
    if (s->space_as_suffix)
        return l2_err_at(err, L2_UNSUPPORTED, file, -1,
                         "treat_whitespace_as_suffix is not supported");
    if (!s->escape)
        return l2_err_at(err, L2_UNSUPPORTED, file, -1,
                         "escape_whitespaces=false is not supported");
    return L2_OK;
}

/* The control piece of that text, or L2_NO_ID. */
static uint32_t control(const struct l2_vocab *v, struct str text)
{
    for (uint32_t id = 0; id < v->n; id++) {
        size_t n;
        const char *s = l2_piece_text(v, id, &n);
        if (v->pieces[id].kind == L2_PIECE_CONTROL && n == text.n && memcmp(s, text.s, n) == 0)
            return id;
    }
    return L2_NO_ID;
}

int l2_spm_read(struct l2_vocab *v, const struct l2_map *m, struct l2_err *err)
{
    /* the defaults of sentencepiece_model.proto */
    struct spm s = {.map = m,
                    .v = v,
                    .model_type = MODEL_TYPE_UNIGRAM,
                    .escape = true,
                    .bos = {"<s>", 3},
                    .eos = {"</s>", 4},
                    .normalizer = {"", 0}};
    v->dummy_prefix = true;
    v->remove_extra_spaces = true;
    int r = read_model(&s, err);
    if (v->n == 0 && (r == L2_OK || r == L2_CORRUPT || r == L2_TRUNCATED || r == L2_UNSUPPORTED))
        return l2_err_at(err, L2_FORMAT, m->name, -1,
                         "neither a SentencePiece model nor a llama2.c tokenizer.bin");
    if (r != L2_OK)
        return r;
    /* SentencePiece writes the specifications after the pieces: without them the end is missing */
    if (!s.has_trainer || !s.has_normalizer)
        return l2_err_at(err, L2_TRUNCATED, m->name, (int64_t)m->size,
                         "SentencePiece model ends before its %s",
                         s.has_trainer ? "normalizer_spec" : "trainer_spec");
    r = check_supported(&s, err);
    if (r != L2_OK)
        return r;
    v->bos = control(v, s.bos);
    v->eos = control(v, s.eos);
    return L2_OK;
}
