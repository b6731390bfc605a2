/* The start-up that programs which load a model share: model, vocabulary, threads, engine. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <inttypes.h>
#include <string.h>

#include "common/memory.h"
#include "common/modelopt.h"
#include "kern/native_pack.h"
#include "model/fingerprint.h"

const struct l2_backend *const l2_model_backends[] = {&l2_backend_native, &l2_backend_blas, NULL};

static double mib(uint64_t bytes)
{
    return (double)bytes / (1024.0 * 1024.0);
}

static int open_vocab(struct l2_loaded *l, const struct l2_model_settings *s, struct l2_err *err)
{
    const char *path = s->vocab ? s->vocab : l->model->vocab_path;
    if (!path)
        return L2_OK;
    int r = l2_vocab_open(&l->vocab, path, err);
    if (r < 0)
        return r;
    if (l2_vocab_size(l->vocab) > l->model->hp.vocab_size)
        return l2_err_at(err, L2_ARGUMENT, path, -1,
                         "not the model's vocabulary: %u pieces, and the model has %u rows",
                         (unsigned)l2_vocab_size(l->vocab), (unsigned)l->model->hp.vocab_size);
    return L2_OK;
}

static struct l2_weights_opts packing(const struct l2_model_settings *s)
{
    return (struct l2_weights_opts){.type = (enum l2_pack_type)s->quantize,
                                    .narrow = s->activations == 0,
                                    .cache = s->pack_cache};
}

/* Bytes that the weights will take: with the native backend as they are packed, else as floats. */
static uint64_t weight_bytes(const struct l2_model *m, const struct l2_model_settings *s)
{
    struct l2_weights_opts pack = packing(s);
    struct l2_pack_opts opts = {m->hp.head_dim, pack.type, pack.narrow};
    uint64_t sum = 0;
    for (size_t i = 0; i < l2_tensor_count(&m->hp); i++) {
        const struct l2_tensor *t = &m->tensors[i];
        struct l2_weight w;
        if (l2_model_backends[s->backend] == &l2_backend_native && t->rows > 1 &&
            l2_native_plan(&w, &t, 1, &opts, NULL) == L2_OK)
            sum += w.bytes;
        else
            sum += (uint64_t)t->rows * t->cols * sizeof(float);
    }
    return sum;
}

/* Bytes for keys and values, where the user has not said: room for a batch of sequences that fill
 * the context, but no more than half of what the machine has left beside the weights. */
static uint64_t choose_kv_bytes(const struct l2_model *m, const struct l2_model_settings *s)
{
    const struct l2_hparams *hp = &m->hp;
    uint64_t block = l2_kv_block_bytes(hp, (enum l2_kv_type)s->kv_type);
    uint64_t context = block * l2_kv_blocks_for(hp->context);
    uint64_t weights = weight_bytes(m, s);
    uint64_t available = l2_memory_available();
    uint64_t half = available > weights ? (available - weights) / 2 : 0;
    uint64_t wanted =
        context <= UINT64_MAX / (uint64_t)s->batch ? context * (uint64_t)s->batch : UINT64_MAX;
    if (available != 0 && wanted > half)
        wanted = half;
    return wanted > context ? wanted : context;
}

static int build_engine(struct l2_loaded *l, struct l2_cli *cli, const struct l2_model_settings *s,
                        uint32_t max_outputs, uint32_t n_layers, struct l2_err *err)
{
    const struct l2_hparams *hp = &l->model->hp;
    struct l2_engine_opts o = {
        .backend = l2_model_backends[s->backend],
        .pool = l->pool,
        .max_rows = (uint32_t)s->batch,
        .max_outputs = max_outputs,
        .kv_bytes = s->kv_bytes != 0 ? s->kv_bytes : choose_kv_bytes(l->model, s),
        .kv_type = (enum l2_kv_type)s->kv_type,
        .n_layers = n_layers,
        .no_head = n_layers != 0,
        .pack = packing(s),
        .no_prefix_sharing = s->no_prefix_sharing,
        .lender = s->lender,
    };
    int r = l2_engine_new(&l->engine, l->model, &o, err);
    if (r < 0)
        return r;
    o.backend->describe(l->kernels, sizeof l->kernels);
    l2_model_drop(l->model);
    struct l2_engine_memory memory = l2_engine_memory(l->engine);
    l2_cli_verbose(cli,
                   "%s: %" PRIu64 " parameters, context %u; %s backend (%s), %d threads; memory: "
                   "weights %.1f MiB, work %.1f MiB, keys and values %.1f MiB%s",
                   s->model, l2_hparams_parameters(hp), (unsigned)hp->context, o.backend->name,
                   l->kernels, l2_pool_threads(l->pool), mib(memory.weights), mib(memory.work),
                   mib(memory.kv), s->kv_bytes != 0 ? "" : " (chosen; see --kv-memory)");
    return L2_OK;
}

int l2_load(struct l2_loaded *out, struct l2_cli *cli, const struct l2_model_settings *s,
            uint32_t max_outputs, uint32_t n_layers, struct l2_err *err)
{
    *out = (struct l2_loaded){0};
    if (!s->model)
        return l2_err_set(err, L2_ARGUMENT, "want a model: -m PATH");
    int r = l2_model_open(&out->model, s->model, err);
    if (r == L2_OK) {
        uint8_t digest[L2_SHA256_SIZE];
        l2_model_fingerprint(out->model, digest);
        l2_sha256_hex(digest, cli->model_id);
    }
    if (r == L2_OK)
        r = open_vocab(out, s, err);
    if (r == L2_OK)
        r = l2_pool_new(&out->pool, (int)cli->threads, err);
    if (r == L2_OK)
        r = build_engine(out, cli, s, max_outputs, n_layers, err);
    if (r < 0)
        l2_unload(out);
    return r;
}

void l2_unload(struct l2_loaded *l)
{
    l2_engine_free(l->engine);
    l2_pool_free(l->pool);
    l2_vocab_free(l->vocab);
    l2_model_close(l->model);
    *l = (struct l2_loaded){0};
}

int l2_check_vocab(struct l2_cli *cli, const struct l2_loaded *l, const struct l2_header *h,
                   struct l2_err *err)
{
    uint32_t rows = l->model->hp.vocab_size;
    if (h->has_vocab && l->vocab) {
        if (l2_vocab_size(l->vocab) == h->vocab_size &&
            memcmp(l2_vocab_hash(l->vocab), h->vocab_hash, L2_SHA256_SIZE) == 0)
            return L2_OK;
        char want[65], got[65];
        l2_sha256_hex(l2_vocab_hash(l->vocab), want);
        l2_sha256_hex(h->vocab_hash, got);
        return l2_err_set(err, L2_FORMAT,
                          "the stream's vocabulary is not the model's: want %u pieces with hash "
                          "%.12s, got %u with %.12s",
                          (unsigned)l2_vocab_size(l->vocab), want, (unsigned)h->vocab_size, got);
    }
    if (h->has_vocab && h->vocab_size > rows)
        return l2_err_set(err, L2_FORMAT,
                          "the stream's vocabulary is not the model's: %u pieces, and the model "
                          "has %u rows",
                          (unsigned)h->vocab_size, (unsigned)rows);
    json_object_set_new(cli->report, "vocabulary", json_string("size only"));
    return L2_OK;
}
