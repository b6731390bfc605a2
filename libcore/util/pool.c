/* A thread pool for one kind of work: a function over indices, taken by whoever is free. */
/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "util/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* How often a waiting thread looks before it sleeps: some tens of microseconds, about as long as
 * one small operation takes, so that the threads of one forward pass rarely sleep and those of a
 * stage that has nothing to do never burn a core that another stage could use. */
#define SPINS 4000

#define CACHE_LINE 64

/* A thread's share of the indices: neighbours, so that it reads memory in one forward stream, which
 * is what the processor fetches ahead best. Whoever is done takes from the shares of the others. */
struct share {
    _Alignas(CACHE_LINE) atomic_size_t next;
    size_t end;
};

struct l2_pool {
    int n_threads;
    pthread_t *workers; /* n_threads - 1 started ones */
    int n_started;
    atomic_int n_named; /* workers that know which share is theirs */

    /* The job: written by the caller before generation is raised, read by workers after they saw
     * it. */
    void (*fn)(void *arg, size_t i);
    void *arg;
    struct share *shares;   /* (n_threads), the caller's first */
    atomic_uint generation; /* raised for every job */
    atomic_int n_running;   /* workers that are not done with this job */
    atomic_bool quit;

    pthread_mutex_t lock; /* for sleeping only */
    pthread_cond_t wake;
    pthread_cond_t done;
};

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    sched_yield();
#endif
}

static void work(struct l2_pool *p, int own)
{
    for (int j = 0; j < p->n_threads; j++) {
        struct share *s = &p->shares[(own + j) % p->n_threads];
        for (;;) {
            size_t i = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed);
            if (i >= s->end)
                break;
            p->fn(p->arg, i);
        }
    }
}

/* Waits until generation differs from seen or the pool quits. */
static void wait_for_job(struct l2_pool *p, unsigned seen)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&p->generation) != seen || atomic_load(&p->quit))
            return;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->generation) == seen && !atomic_load(&p->quit))
        pthread_cond_wait(&p->wake, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

static void *worker(void *arg)
{
    struct l2_pool *p = arg;
    unsigned seen = 0;
    int own = 1 + atomic_fetch_add(&p->n_named, 1);
    for (;;) {
        wait_for_job(p, seen);
        if (atomic_load(&p->quit))
            return NULL;
        seen++; /* one job at a time: the caller waits for all workers before it posts another */
        work(p, own);
        if (atomic_fetch_sub(&p->n_running, 1) == 1) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->done);
            pthread_mutex_unlock(&p->lock);
        }
    }
}

void l2_pool_run(struct l2_pool *p, void (*fn)(void *arg, size_t i), void *arg, size_t n)
{
    if (!p || p->n_started == 0 || n <= 1) {
        for (size_t i = 0; i < n; i++)
            fn(arg, i);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    for (size_t i = 0, threads = (size_t)p->n_threads; i < threads; i++) {
        size_t first = n / threads * i + n % threads * i / threads;
        p->shares[i].end = n / threads * (i + 1) + n % threads * (i + 1) / threads;
        atomic_store_explicit(&p->shares[i].next, first, memory_order_relaxed);
    }
    atomic_store(&p->n_running, p->n_started);
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->generation, 1);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);

    work(p, 0);
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&p->n_running) == 0)
            return;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->n_running) != 0)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

int l2_pool_new(struct l2_pool **out, int n_threads, struct l2_err *err)
{
    *out = NULL;
    if (n_threads < 1)
        return l2_err_set(err, L2_ARGUMENT, "a pool needs at least one thread, got %d", n_threads);
    struct l2_pool *p = calloc(1, sizeof *p);
    if (!p)
        return l2_err_memory(err, sizeof *p);
    p->n_threads = n_threads;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->done, NULL);
    p->workers = calloc((size_t)n_threads, sizeof *p->workers);
    void *shares = NULL;
    if (!p->workers ||
        posix_memalign(&shares, CACHE_LINE, (size_t)n_threads * sizeof *p->shares) != 0) {
        l2_pool_free(p);
        return l2_err_memory(err, (size_t)n_threads * sizeof *p->shares);
    }
    p->shares = shares;
    for (; p->n_started < n_threads - 1; p->n_started++) {
        int e = pthread_create(&p->workers[p->n_started], NULL, worker, p);
        if (e != 0) {
            l2_pool_free(p);
            return l2_err_sys(err, e, NULL, "cannot start thread %d", p->n_started + 2);
        }
    }
    *out = p;
    return L2_OK;
}

void l2_pool_free(struct l2_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->quit, true);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->n_started; i++)
        pthread_join(p->workers[i], NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->shares);
    free(p->workers);
    free(p);
}

int l2_pool_threads(const struct l2_pool *p)
{
    return p ? p->n_threads : 1;
}

int l2_pool_default_threads(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 1024 ? 1024 : (int)n;
}
