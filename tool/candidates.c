/* SPDX-License-Identifier: MIT */
#include "candidates.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLAB_BYTES   512u  /* blocks larger than that gain little from lying side by side */
#define SLAB_LIVE    1000u /* fewer fit the caches wherever they lie */
#define FORCED_BYTES ((uint64_t)1 << 20)

static double number(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

static const char *text(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

static enum verdict_kind verdict_of(const char *name)
{
    for (int kind = 0; kind < VERDICT_COUNT; kind++)
        if (name && !strcmp(name, verdict_name((enum verdict_kind)kind)))
            return (enum verdict_kind)kind;
    return VERDICT_TAIL;
}

static size_t build_id(const char *hex, uint8_t *ret_id, size_t most)
{
    size_t size = 0;
    unsigned byte;
    while (size < most && sscanf(hex + 2 * size, "%2x", &byte) == 1)
        ret_id[size++] = (uint8_t)byte;
    return size;
}

/* 0 or -ENOMEM. A site with a call that no other run could find has none. */
static int calls_read(const cJSON *list, struct candidate *candidate)
{
    int count = cJSON_GetArraySize(list);
    if (count <= 0 || count > (int)PLAN_DEPTH)
        return 0;
    struct trial_call *calls = calloc((size_t)count, sizeof *calls);
    if (!calls)
        return -ENOMEM;
    candidate->site.calls = calls;
    for (int i = 0; i < count; i++) {
        const cJSON *item = cJSON_GetArrayItem(list, i);
        const char *module = text(item, "module"), *id = text(item, "build_id");
        uint8_t *bytes = malloc(PLAN_BUILD_ID);
        candidate->site.call_count = (size_t)i + 1;
        calls[i].build_id = bytes;
        calls[i].module = strdup(module ? module : "");
        if (!bytes || !calls[i].module)
            return -ENOMEM;
        calls[i].build_id_size = id ? build_id(id, bytes, PLAN_BUILD_ID) : 0;
        calls[i].offset = (uint64_t)number(item, "offset");
    }
    return 0;
}

static int candidate_read(const cJSON *item, struct candidate *candidate)
{
    const char *id = text(item, "id"), *function = text(item, "function"),
               *file = text(item, "file");
    const char *module = text(item, "module");
    const cJSON *replay = cJSON_GetObjectItemCaseSensitive(item, "replay");
    const cJSON *size = cJSON_GetObjectItemCaseSensitive(item, "size");
    snprintf(candidate->id, sizeof candidate->id, "%s", id ? id : "");
    candidate->function = strdup(function ? function : "?");
    int written = file ? asprintf(&candidate->place, "%s:%u", file, (unsigned)number(item, "line"))
                       : asprintf(&candidate->place, "%s", module ? module : "");
    if (written < 0)
        candidate->place = NULL;
    if (!candidate->function || !candidate->place)
        return -ENOMEM;
    candidate->verdict = verdict_of(text(item, "verdict"));
    candidate->slab_hint = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(item, "slab_hint"));
    candidate->system = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(item, "system"));
    candidate->allocations = (uint64_t)number(item, "allocations");
    candidate->live_peak = (uint64_t)number(item, "live_peak");
    candidate->size_max = (uint64_t)number(size, "max");
    candidate->advised_bytes = (uint64_t)number(item, "advised_bytes");
    candidate->upper_bound = number(item, "upper_bound_cpu_share");
    candidate->replayed = cJSON_IsObject(replay);
    candidate->predicted =
        candidate->replayed ? number(replay, "saved_cpu_share") : number(item, "saved_cpu_share");
    const cJSON *interval = cJSON_GetObjectItemCaseSensitive(replay, "ci95");
    for (int i = 0; i < 2; i++) {
        const cJSON *bound = cJSON_GetArrayItem(interval, i);
        candidate->predicted_ci[i] =
            cJSON_IsNumber(bound) ? bound->valuedouble : candidate->predicted;
    }
    int status = calls_read(cJSON_GetObjectItemCaseSensitive(item, "calls"), candidate);
    candidate_as_advised(candidate);
    return status;
}

static char *whole(int fd, size_t *ret_size)
{
    struct stat file;
    if (fstat(fd, &file) || file.st_size <= 0)
        return NULL;
    char *bytes = malloc((size_t)file.st_size + 1);
    size_t size = 0;
    ssize_t got = 1;
    while (bytes && size < (size_t)file.st_size &&
           (got = pread(fd, bytes + size, (size_t)file.st_size - size, (off_t)size)) > 0)
        size += (size_t)got;
    if (bytes)
        bytes[size] = '\0';
    *ret_size = size;
    return bytes;
}

int candidates_read(int fd, const char *name, struct candidates *ret_candidates, char *message,
                    size_t message_size)
{
    *ret_candidates = (struct candidates){.sites = NULL};
    size_t size = 0;
    char *bytes = whole(fd, &size);
    cJSON *document = bytes ? cJSON_ParseWithLength(bytes, size) : NULL;
    const cJSON *sites = cJSON_GetObjectItemCaseSensitive(document, "sites");
    int status = 0;
    if (!cJSON_IsArray(sites) || !text(document, "poolwise")) {
        snprintf(message, message_size,
                 "%s is no advice (make one with poolwise advise --json -o FILE)", name);
        status = -EBADMSG;
    }
    size_t count = status ? 0 : (size_t)cJSON_GetArraySize(sites);
    if (!status && !(ret_candidates->sites = calloc(count + 1, sizeof *ret_candidates->sites)))
        status = -ENOMEM;
    const cJSON *item;
    if (!status)
        cJSON_ArrayForEach(item, sites)
        {
            if (!status)
                status = candidate_read(item, &ret_candidates->sites[ret_candidates->count++]);
        }
    const cJSON *program = cJSON_GetObjectItemCaseSensitive(document, "program");
    const cJSON *cost = cJSON_GetObjectItemCaseSensitive(document, "cost");
    ret_candidates->program_cpu_ns = number(program, "cpu_ns");
    ret_candidates->allocations = (uint64_t)number(program, "allocations");
    ret_candidates->single_threaded = number(program, "threads") == 1 && number(program, "processes") == 1;
    ret_candidates->malloc_pair_ns = number(cost, "malloc_pair_ns");
    ret_candidates->pool_pair_ns = number(cost, "pool_pair_ns");
    if (status == -ENOMEM)
        snprintf(message, message_size, "out of memory");
    cJSON_Delete(document);
    free(bytes);
    if (status)
        candidates_done(ret_candidates);
    return status;
}

void candidates_done(struct candidates *candidates)
{
    for (size_t i = 0; i < candidates->count; i++) {
        struct candidate *candidate = &candidates->sites[i];
        for (size_t k = 0; k < candidate->site.call_count; k++) {
            free((char *)(uintptr_t)candidate->site.calls[k].module);
            free((uint8_t *)(uintptr_t)candidate->site.calls[k].build_id);
        }
        free((struct trial_call *)(uintptr_t)candidate->site.calls);
        free(candidate->function);
        free(candidate->place);
    }
    free(candidates->sites);
    *candidates = (struct candidates){.sites = NULL};
}

struct candidate *candidates_find(const struct candidates *candidates, const char *id)
{
    struct candidate *found = NULL;
    size_t length = strlen(id);
    for (size_t i = 0; i < candidates->count; i++) {
        if (length < 4 || strncmp(candidates->sites[i].id, id, length))
            continue;
        if (found)
            return NULL;
        found = &candidates->sites[i];
    }
    return found;
}

static void set(struct candidate *candidate, enum plan_rule rule, uint64_t bytes, bool as_slab)
{
    candidate->site.rule = rule;
    candidate->site.bytes = bytes;
    candidate->as_slab = as_slab;
}

static uint64_t largest(const struct candidate *candidate)
{
    uint64_t bytes = candidate->size_max ? candidate->size_max : 1;
    return bytes < FORCED_BYTES ? bytes : FORCED_BYTES;
}

void candidate_as_advised(struct candidate *candidate)
{
    switch (candidate->verdict) {
    case VERDICT_POOL:
    case VERDICT_CAP:
        set(candidate, PLAN_ONE_SIZE, candidate->advised_bytes, false);
        break;
    case VERDICT_CLASSES:
        set(candidate, PLAN_CLASSES, candidate->advised_bytes, false);
        break;
    case VERDICT_PRESIZE:
        set(candidate, PLAN_PRESIZE, candidate->advised_bytes, false);
        break;
    default:
        if (candidate_is_slab(candidate))
            set(candidate, PLAN_CLASSES,
                candidate->size_max < SLAB_BYTES ? candidate->size_max : SLAB_BYTES, true);
        else
            set(candidate, PLAN_CLASSES, largest(candidate), false);
    }
}

int candidate_as(struct candidate *candidate, const char *word)
{
    if (!strcmp(word, "pool"))
        set(candidate, PLAN_ONE_SIZE,
            candidate_is_pooled(candidate) && candidate->verdict != VERDICT_PRESIZE
                ? candidate->advised_bytes
                : largest(candidate),
            false);
    else if (!strcmp(word, "classes"))
        set(candidate, PLAN_CLASSES, largest(candidate), false);
    else if (!strcmp(word, "slab"))
        set(candidate, PLAN_CLASSES,
            largest(candidate) < SLAB_BYTES ? largest(candidate) : SLAB_BYTES, true);
    else if (!strcmp(word, "presize"))
        set(candidate, PLAN_PRESIZE,
            candidate->advised_bytes ? candidate->advised_bytes : largest(candidate), false);
    else
        return -EINVAL;
    return 0;
}

bool candidate_is_pooled(const struct candidate *candidate)
{
    return candidate->verdict == VERDICT_POOL || candidate->verdict == VERDICT_CAP ||
           candidate->verdict == VERDICT_CLASSES || candidate->verdict == VERDICT_PRESIZE;
}

bool candidate_is_slab(const struct candidate *candidate)
{
    return candidate->verdict == VERDICT_SLAB || candidate->slab_hint ||
           (candidate->live_peak >= SLAB_LIVE && candidate->size_max <= SLAB_BYTES);
}
