/* SPDX-License-Identifier: MIT */
/* What the trace defines before it is used: processes, modules, threads, nodes; and their paths. */
#include "analyse_internal.h"

#include <errno.h>
#include <string.h>

int nodes_process(struct analyse *a, const struct trace_process *process)
{
    if (map_find(&a->process_ids, process->id) != ANALYSE_NONE)
        return 0; /* the same process under a new program: an exec */
    int result = map_add(&a->process_ids, process->id, a->process_count);
    if (result)
        return result;
    a->process_count++;
    return 0;
}

static uint64_t file_hash(const struct trace_module *module)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char *at = module->path; *at; at++)
        hash = (hash ^ (uint8_t)*at) * 0x100000001b3u;
    for (uint32_t i = 0; i < module->build_id_size; i++)
        hash = (hash ^ module->build_id[i]) * 0x100000001b3u;
    return module->build_id_size ? hash : (hash ^ module->bias) * 0x100000001b3u;
}

static bool file_is(const struct module_file *file, const struct trace_module *module)
{
    return file->build_id_size == module->build_id_size && !strcmp(file->path, module->path) &&
           !memcmp(file->build_id, module->build_id, module->build_id_size) &&
           (module->build_id_size || file->bias == module->bias);
}

/*
 * One file, loaded by several processes (a fork, an exec of the same program) or at several places,
 * is one module to the sites: codes are offsets in the file. Without a build id, two places may
 * hold two versions of it, so only modules at the same place, as after a fork, are taken for one.
 */
static int module_file_of(struct analyse *a, const struct trace_module *module, uint32_t *ret_file)
{
    uint64_t hash = file_hash(module);
    uint32_t first = map_find(&a->file_hashes, hash);
    for (uint32_t at = first; at != ANALYSE_NONE; at = a->files[at].next)
        if (file_is(&a->files[at], module)) {
            *ret_file = at;
            return 0;
        }
    int result =
        array_reserve((void **)&a->files, &a->file_capacity, a->file_count + 1, sizeof *a->files);
    if (result)
        return result;
    struct module_file *file = &a->files[a->file_count];
    *file = (struct module_file){.build_id_size = module->build_id_size,
                                 .bias = module->bias,
                                 .next = ANALYSE_NONE,
                                 .path = strdup(module->path)};
    if (!file->path)
        return -ENOMEM;
    memcpy(file->build_id, module->build_id, module->build_id_size);
    if (first == ANALYSE_NONE) {
        result = map_add(&a->file_hashes, hash, a->file_count);
        if (result) {
            free(file->path);
            return result;
        }
    } else {
        file->next = a->files[first].next;
        a->files[first].next = a->file_count;
    }
    *ret_file = a->file_count++;
    return 0;
}

int nodes_module(struct analyse *a, const struct trace_module *module)
{
    if (module->id == TRACE_NO_MODULE || !module->path ||
        module->build_id_size > TRACE_BUILD_ID_MAX ||
        map_find(&a->process_ids, module->process) == ANALYSE_NONE ||
        map_find(&a->module_ids, module->id) != ANALYSE_NONE)
        return -EBADMSG;
    int result = array_reserve((void **)&a->modules, &a->module_capacity, a->module_count + 1,
                               sizeof *a->modules);
    if (result)
        return result;
    struct module *known = &a->modules[a->module_count];
    known->bias = module->bias;
    result = module_file_of(a, module, &known->file);
    if (!result)
        result = map_add(&a->module_ids, module->id, a->module_count);
    if (!result)
        a->module_count++;
    return result;
}

int nodes_thread(struct analyse *a, const struct trace_thread *thread)
{
    uint32_t process = map_find(&a->process_ids, thread->process);
    if (thread->id != a->thread_count || process == ANALYSE_NONE)
        return -EBADMSG;
    int result = array_reserve((void **)&a->threads, &a->thread_capacity, a->thread_count + 1,
                               sizeof *a->threads);
    if (result)
        return result;
    struct thread *known = &a->threads[a->thread_count];
    *known = (struct thread){.process = process, .unknown_seat = ANALYSE_NONE};
    result = array_reserve((void **)&known->levels, &known->capacity, 1, sizeof *known->levels);
    if (result)
        return result;
    known->levels[0] = (struct level){0};
    a->thread_count++;
    return 0;
}

int nodes_resolve(struct analyse *a, uint32_t number)
{
    struct code *code = &a->codes[number];
    if (code->function != ANALYSE_NONE)
        return 0;
    struct analyse_frame frame = {0};
    a->options.resolve(a->options.context, code->module, code->address, &frame);
    uint32_t function = map_find(&a->function_ids, frame.function);
    if (function == ANALYSE_NONE) {
        int result = array_reserve((void **)&a->functions, &a->function_capacity,
                                   a->function_count + 1, sizeof *a->functions);
        if (!result)
            result = map_add(&a->function_ids, frame.function, a->function_count);
        if (result)
            return result;
        function = a->function_count++;
        bool request =
            a->options.is_request && a->options.is_request(a->options.context, frame.function);
        a->functions[function] = (struct function){.id = frame.function, .request = request};
    }
    code->function = function;
    code->wrapper = frame.wrapper;
    code->system = frame.system;
    code->named = frame.named;
    return 0;
}

static int code_of(struct analyse *a, uint32_t module, uint64_t address, uint32_t *ret_code)
{
    uint32_t file = ANALYSE_NONE;
    uint64_t offset = address;
    if (module != TRACE_NO_MODULE) {
        uint32_t known = map_find(&a->module_ids, module);
        if (known == ANALYSE_NONE)
            return -EBADMSG;
        file = a->modules[known].file;
        offset = address - a->modules[known].bias;
    }
    /* A key of two halves needs two steps: offset to a dense number, then both numbers in one key.
     */
    uint32_t offset_id = map_find(&a->offset_ids, offset);
    if (offset_id == ANALYSE_NONE) {
        int result = map_add(&a->offset_ids, offset, a->offset_count);
        if (result)
            return result;
        offset_id = a->offset_count++;
    }
    uint64_t key = (uint64_t)file << 32 | offset_id;
    uint32_t code = map_find(&a->code_ids, key);
    if (code == ANALYSE_NONE) {
        int result = array_reserve((void **)&a->codes, &a->code_capacity, a->code_count + 1,
                                   sizeof *a->codes);
        if (!result)
            result = map_add(&a->code_ids, key, a->code_count);
        if (result)
            return result;
        code = a->code_count++;
        a->codes[code] =
            (struct code){.module = module, .address = address, .function = ANALYSE_NONE};
    }
    *ret_code = code;
    return 0;
}

static int path_of(struct analyse *a, uint32_t parent, uint32_t code, uint32_t depth,
                   uint32_t *ret_path)
{
    uint64_t key = (uint64_t)parent << 32 | code;
    uint32_t known = map_find(&a->path_ids, key);
    if (known != ANALYSE_NONE) {
        *ret_path = known;
        return 0;
    }
    int result =
        array_reserve((void **)&a->paths, &a->path_capacity, a->path_count + 1, sizeof *a->paths);
    if (result)
        return result;
    struct path path = {.parent = parent,
                        .code = code,
                        .site = ANALYSE_NONE,
                        .skip = PATH_UNKNOWN,
                        .request = a->paths[parent].request};
    if (a->options.is_request && !path.request) {
        result = nodes_resolve(a, code);
        if (result)
            return result;
        if (a->functions[a->codes[code].function].request)
            path.request = (uint16_t)depth;
    }
    result = map_add(&a->path_ids, key, a->path_count);
    if (result)
        return result;
    a->paths[a->path_count] = path;
    *ret_path = a->path_count++;
    return 0;
}

static int node_define(struct analyse *a, const struct trace_node *node)
{
    if (node->id != a->node_count || node->id == ANALYSE_NONE || node->parent >= node->id ||
        node->thread >= a->thread_count)
        return -EBADMSG;
    const struct node *parent = &a->nodes[node->parent];
    if (node->parent && parent->thread != node->thread)
        return -EBADMSG;
    uint32_t depth = parent->depth + 1u;
    if (depth > ANALYSE_DEPTH_MAX)
        return -EBADMSG;
    struct node known = {.parent = node->parent,
                         .thread = node->thread,
                         .depth = depth & 0x7fff,
                         .truncated = parent->truncated || node->flags & TRACE_NODE_TRUNCATED,
                         .seat = ANALYSE_NONE};
    uint32_t code = 0;
    int result = code_of(a, node->module, node->address, &code);
    if (!result)
        result = path_of(a, parent->path, code, depth, &known.path);
    struct thread *thread = &a->threads[node->thread];
    if (!result)
        result = array_reserve((void **)&thread->levels, &thread->capacity, depth + 1,
                               sizeof *thread->levels);
    if (!result)
        result = array_reserve((void **)&a->nodes, &a->node_capacity, a->node_count + 1,
                               sizeof *a->nodes);
    known.request = a->paths[known.path].request;
    if (!result)
        a->nodes[a->node_count++] = known;
    return result;
}

int nodes_define(struct analyse *a, const struct trace_node *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int result = node_define(a, &nodes[i]);
        if (result)
            return result;
    }
    return 0;
}

int nodes_unknown_path(struct analyse *a, uint32_t *ret_path)
{
    if (a->unknown_path == ANALYSE_NONE) {
        uint32_t code = 0, path = 0;
        int result = code_of(a, TRACE_NO_MODULE, 0, &code);
        if (!result)
            result = path_of(a, 0, code, 1, &path);
        if (!result)
            result = nodes_resolve(a, code);
        if (result)
            return result;
        a->paths[path].skip = 0;
        a->unknown_path = path;
    }
    *ret_path = a->unknown_path;
    return 0;
}

/*
 * A stack of wrappers alone is charged to its outermost frame. Past SKIP_MAX frames (a recursive
 * function mistaken for a wrapper) the search ends, so a stack costs no more than that to place.
 */
#define SKIP_MAX 64u

/*
 * Whether a function without a name stands below a named wrapper: then it is that wrapper's own
 * (a static function of a stripped library, often called through a table of allocator functions).
 */
#define INNER_MAX 2u /* frames between the function and the wrapper's name, it included */

static int inside_wrapper(struct analyse *a, uint32_t path, bool *ret_inside)
{
    const struct code *code = &a->codes[a->paths[path].code];
    *ret_inside = false;
    if (code->named || code->system || code->module == TRACE_NO_MODULE)
        return 0;
    for (uint32_t i = 0, at = a->paths[path].parent; i < INNER_MAX && at && !*ret_inside;
         i++, at = a->paths[at].parent) {
        int result = nodes_resolve(a, a->paths[at].code);
        if (result)
            return result;
        *ret_inside = a->codes[a->paths[at].code].wrapper;
    }
    return 0;
}

int nodes_skip_slow(struct analyse *a, uint32_t path)
{
    uint32_t skip = 0;
    for (uint32_t at = path; skip < SKIP_MAX; at = a->paths[at].parent, skip++) {
        const struct path *frame = &a->paths[at];
        int result = nodes_resolve(a, frame->code);
        if (result)
            return result;
        bool inside = false;
        if (frame->parent && !code_is_wrapper(a, &a->codes[frame->code]))
            result = inside_wrapper(a, at, &inside);
        if (result)
            return result;
        if (!a->paths[at].parent || !(inside || code_is_wrapper(a, &a->codes[a->paths[at].code])))
            break;
    }
    a->paths[path].skip = (uint16_t)skip;
    return 0;
}

void nodes_done(struct analyse *a)
{
    for (uint32_t i = 0; i < a->thread_count; i++)
        free(a->threads[i].levels);
    for (uint32_t i = 0; i < a->file_count; i++)
        free(a->files[i].path);
    free(a->threads);
    free(a->files);
    free(a->modules);
    free(a->codes);
    free(a->functions);
    free(a->paths);
    free(a->nodes);
    struct map *const maps[] = {&a->process_ids, &a->module_ids, &a->file_hashes, &a->function_ids,
                                &a->offset_ids,  &a->code_ids,   &a->path_ids};
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        map_done(maps[i]);
}
