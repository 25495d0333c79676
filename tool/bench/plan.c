/* SPDX-License-Identifier: MIT */
#include "plan.h"

#include <errno.h>
#include <glob.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch.h"

static const struct plan_peer known_peers[] = {
    {.name = "poolwise", .variant = "pool", .worker = "bench-worker"},
    {.name = "poolwise-called", .variant = "called", .worker = "bench-worker"},
    {.name = "glibc", .variant = "malloc", .worker = "bench-worker"},
    {.name = "mimalloc",
     .variant = "malloc",
     .library = "libmimalloc.so.2*",
     .worker = "bench-worker"},
    {.name = "jemalloc",
     .variant = "malloc",
     .library = "libjemalloc.so.2",
     .worker = "bench-worker"},
    {.name = "tcmalloc",
     .variant = "malloc",
     .library = "libtcmalloc_minimal.so.4",
     .worker = "bench-worker"},
    {.name = "tbb",
     .variant = "malloc",
     .library = "libtbbmalloc_proxy.so.2",
     .worker = "bench-worker"},
    {.name = "apr", .variant = "extra", .worker = "bench-worker-apr"},
    {.name = "dpdk", .variant = "extra", .worker = "bench-worker-dpdk"},
    {.name = "go", .variant = ""},
    {.name = "floor", .variant = "floor", .worker = "bench-worker"},
    {.name = "empty", .variant = "empty", .worker = "bench-worker"},
};

#define ALLOCATORS "glibc mimalloc jemalloc tcmalloc tbb"
#define EVERYBODY  "poolwise poolwise-called " ALLOCATORS " dpdk"

/* Cases with peers. */
static const struct {
    const char *bench_case, *peers, *threads;
} peer_rows[] = {
    {"Pair", EVERYBODY " apr go floor empty", "1 2"},
    {"Pair", "poolwise poolwise-called " ALLOCATORS " floor", "4 64"},
    {"Depth1", EVERYBODY " apr", "1"},
    {"Depth10", EVERYBODY " apr", "1"},
    {"Depth100", EVERYBODY " apr", "1"},
    {"Flow", EVERYBODY, "2"},
    {"Churn", EVERYBODY, "2"},
    {"Sharing", "poolwise poolwise-called " ALLOCATORS, "2"},
    {"Larson", EVERYBODY, "2"},
    {"Xmalloc", EVERYBODY, "2"},
    {"Idle", "poolwise " ALLOCATORS, "1 2 8 64"},
    {"List", "poolwise " ALLOCATORS, "1"},
    {"Pool", "poolwise go", "1 2"},
    {"PoolOverflow", "poolwise go", "1 2"},
    {"PoolStarvation", "poolwise go", "1 2"},
    {"PoolSTW", "poolwise go", "1 2"},
    {"PoolExpensiveNew", "poolwise go", "1 2"},
};

/* Cases with variants of their own, the plainest first. */
#define VARIANTS 6
#define FRAMES                                                                                     \
    {                                                                                              \
        "malloc", "pool", "cap", "drop", "adaptive", "classes"                                     \
    }
static const struct {
    const char *bench_case, *group, *variants[VARIANTS], *go_variants[VARIANTS];
} variant_rows[] = {
    {"Render",
     "Render",
     {"fresh", "presized", "memstream", "pooled", "pooled-printf"},
     {"go-fresh", "go-presized", "go-pooled"}},
    {"Event", "Event", {"malloc", "value", "stack", "pool"}, {"go-heap", "go-stack", "go-pool"}},
    {"FrameSmall", "Frame/sizes=small", FRAMES, {NULL}},
    {"FrameMixed", "Frame/sizes=mixed", FRAMES, {NULL}},
    {"FrameRare", "Frame/sizes=rare", FRAMES, {NULL}},
    {"Stall", "Stall", {"cycles", "quiet", "unmap"}, {NULL}},
};

static bool exists(char *path, size_t size, const char *folder, const char *name)
{
    return snprintf(path, size, "%s/%s", folder, name) < (int)size && !access(path, R_OK);
}

int plan_places_find(struct plan_places *ret_places, char *message, size_t message_size)
{
    struct plan_places places = {0};
    char folder[512];
    ssize_t length = readlink("/proc/self/exe", places.self, sizeof places.self - 1);
    if (length <= 0)
        return -errno;
    memcpy(folder, places.self, sizeof folder);
    dirname(folder);
    static const char *const workers[] = {"bench", "../" POOLWISE_LIBEXECDIR "/poolwise",
                                          "../libexec/poolwise"};
    static const char *const libraries[] = {"bench", "../" POOLWISE_LIBDIR "/poolwise",
                                            "../lib/poolwise"};
    char path[600];
    for (size_t i = 0; i < 3 && !places.worker_folder[0]; i++) {
        snprintf(places.go_source, sizeof places.go_source, "%.200s/%s/pool_test.go", folder,
                 workers[i]);
        snprintf(path, sizeof path, "%s/%s/bench-worker", folder, workers[i]);
        if (!access(path, X_OK))
            snprintf(places.worker_folder, sizeof places.worker_folder, "%.200s/%s", folder,
                     workers[i]);
    }
    for (size_t i = 0; i < 3 && !places.count_library[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, libraries[i]);
        if (!exists(places.count_library, sizeof places.count_library, path,
                    "libpoolwise-count.so"))
            places.count_library[0] = '\0';
    }
    if (!places.worker_folder[0] || !places.count_library[0]) {
        snprintf(
            message, message_size,
            "%s was not found beside the program nor where it is installed: reinstall poolwise",
            places.worker_folder[0] ? "libpoolwise-count.so" : "bench-worker");
        return -ENOENT;
    }
    *ret_places = places;
    return 0;
}

static bool library_find(const char *name, char *path, size_t size)
{
    static const char *const folders[] = {"/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/lib",
                                          "/usr/local/lib"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char pattern[128];
        glob_t found;
        snprintf(pattern, sizeof pattern, "%s/%s", folders[i], name);
        if (glob(pattern, 0, NULL, &found))
            continue;
        bool fits = snprintf(path, size, "%s", found.gl_pathv[0]) < (int)size;
        globfree(&found);
        if (fits)
            return true;
    }
    path[0] = '\0';
    return false;
}

static bool in_path(const char *program)
{
    const char *path = getenv("PATH");
    while (path && *path) {
        char name[600];
        int length = (int)strcspn(path, ":");
        snprintf(name, sizeof name, "%.*s/%s", length, path, program);
        if (!access(name, X_OK))
            return true;
        path += length + (path[length] == ':');
    }
    return false;
}

static void peers_find(const struct plan_places *places, struct plan *plan)
{
    for (size_t i = 0; i < plan->peer_count; i++) {
        struct plan_peer *peer = &plan->peers[i];
        char path[600];
        if (!peer->worker)
            peer->found = in_path("go") && !access(places->go_source, R_OK);
        else if (snprintf(path, sizeof path, "%s/%s", places->worker_folder, peer->worker),
                 access(path, X_OK))
            peer->found = false;
        else
            peer->found =
                !peer->library || library_find(peer->library, peer->path, sizeof peer->path);
    }
}

/* The next word of a list into `word`; NULL at its end. */
static const char *word_next(const char *list, char *word, size_t size)
{
    list += strspn(list, " ");
    size_t length = strcspn(list, " ");
    if (!length)
        return NULL;
    snprintf(word, size, "%.*s", (int)length, list);
    return list + length;
}

static const struct plan_peer *peer_find(const struct plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->peer_count; i++)
        if (!strcmp(plan->peers[i].name, name))
            return &plan->peers[i];
    return NULL;
}

static int entry_add(struct plan *plan, const struct plan_entry *entry, const regex_t *only)
{
    if (only && regexec(only, entry->name, 0, NULL, 0))
        return 0;
    struct plan_entry *entries = realloc(plan->entries, (plan->count + 1) * sizeof *entries);
    if (!entries)
        return -ENOMEM;
    plan->entries = entries;
    plan->entries[plan->count++] = *entry;
    plan->wants_go |= entry->kind == PLAN_GO;
    return 0;
}

/* Go leaves the number of threads out where it is 1. */
static void names_set(struct plan_entry *entry, const char *group, const char *key,
                      const char *value)
{
    char suffix[16] = "";
    if (entry->threads > 1)
        snprintf(suffix, sizeof suffix, "-%d", entry->threads);
    snprintf(entry->name, sizeof entry->name, "%.40s/%s=%.30s%s", group, key, value, suffix);
    snprintf(entry->group, sizeof entry->group, "%.40s%s", group, suffix);
}

static int peer_rows_add(struct plan *plan, const regex_t *only)
{
    for (size_t row = 0; row < sizeof peer_rows / sizeof *peer_rows; row++) {
        char count[8], name[32];
        for (const char *threads = peer_rows[row].threads;
             (threads = word_next(threads, count, sizeof count));) {
            for (const char *peers = peer_rows[row].peers;
                 (peers = word_next(peers, name, sizeof name));) {
                const struct plan_peer *peer = peer_find(plan, name);
                if (!peer || !peer->found)
                    continue;
                struct plan_entry entry = {.bench_case = peer_rows[row].bench_case,
                                           .variant = peer->variant,
                                           .peer = peer,
                                           .kind = peer->worker ? PLAN_WORKER : PLAN_GO,
                                           .threads = atoi(count)};
                char group[32], *end;
                /* DepthN reads as a parameter: Depth/n=N. */
                snprintf(group, sizeof group, "%s", entry.bench_case);
                if (!strncmp(group, "Depth", 5) && strtol(group + 5, &end, 10) && !*end)
                    snprintf(group, sizeof group, "Depth/n=%.8s", entry.bench_case + 5);
                names_set(&entry, group, "peer", peer->name);
                if (entry_add(plan, &entry, only))
                    return -ENOMEM;
            }
        }
    }
    return 0;
}

static int variant_rows_add(struct plan *plan, const regex_t *only)
{
    const struct plan_peer *go = peer_find(plan, "go");
    for (size_t row = 0; row < sizeof variant_rows / sizeof *variant_rows; row++) {
        bool stall = !strcmp(variant_rows[row].bench_case, "Stall");
        for (size_t i = 0; i < 2 * VARIANTS; i++) {
            bool of_go = i >= VARIANTS;
            const char *variant =
                of_go ? variant_rows[row].go_variants[i - VARIANTS] : variant_rows[row].variants[i];
            if (!variant || (of_go && !go->found))
                continue;
            struct plan_entry entry = {.bench_case = variant_rows[row].bench_case,
                                       .variant = variant,
                                       .kind = of_go ? PLAN_GO : PLAN_WORKER,
                                       .threads = stall ? 2 : 1,
                                       .counted = !of_go && !stall};
            names_set(&entry, variant_rows[row].group, "variant", variant);
            if (entry_add(plan, &entry, only))
                return -ENOMEM;
        }
    }
    return 0;
}

int plan_make(const struct plan_places *places, const regex_t *only, struct plan *ret_plan)
{
    struct plan plan = {.peer_count = sizeof known_peers / sizeof *known_peers};
    plan.peers = malloc(sizeof known_peers);
    int status = -ENOMEM;
    if (plan.peers) {
        memcpy(plan.peers, known_peers, sizeof known_peers);
        peers_find(places, &plan);
        status = variant_rows_add(&plan, only);
        if (!status)
            status = peer_rows_add(&plan, only);
    }
    *ret_plan = plan;
    return status;
}

void plan_done(struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        series_done(&plan->entries[i].ns);
        for (size_t k = 0; k < plan->entries[i].metric_count; k++)
            series_done(&plan->entries[i].metrics[k].values);
    }
    free(plan->entries);
    free(plan->peers);
    *plan = (struct plan){0};
}

int plan_entry_add(struct plan_entry *entry, const struct launch_line *line)
{
    entry->iterations = line->iterations;
    for (size_t i = 0; i < line->count; i++) {
        if (!strcmp(line->units[i], "ns/op")) {
            if (series_add(&entry->ns, line->values[i]))
                return -ENOMEM;
            continue;
        }
        size_t at = 0;
        while (at < entry->metric_count && strcmp(entry->metrics[at].unit, line->units[i]))
            at++;
        if (at == PLAN_METRICS)
            continue;
        if (at == entry->metric_count) {
            snprintf(entry->metrics[at].unit, sizeof entry->metrics[at].unit, "%s", line->units[i]);
            entry->metric_count++;
        }
        if (series_add(&entry->metrics[at].values, line->values[i]))
            return -ENOMEM;
    }
    return 0;
}
