/* SPDX-License-Identifier: MIT */
#include "plan_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The plan's number for the call's module; PLAN_MODULES: no room. */
static uint32_t module_number(struct plan *plan, const struct trial_call *call)
{
    size_t id_size = call->build_id_size < PLAN_BUILD_ID ? call->build_id_size : PLAN_BUILD_ID;
    for (uint32_t i = 0; i < plan->module_count; i++) {
        const struct plan_module *module = &plan->modules[i];
        if (!strncmp(module->path, call->module, PLAN_PATH - 1) &&
            module->build_id_size == id_size && !memcmp(module->build_id, call->build_id, id_size))
            return i;
    }
    if (plan->module_count == PLAN_MODULES)
        return PLAN_MODULES;
    struct plan_module *module = &plan->modules[plan->module_count];
    snprintf(module->path, sizeof module->path, "%s", call->module);
    if (id_size)
        memcpy(module->build_id, call->build_id, id_size);
    module->build_id_size = (uint32_t)id_size;
    return plan->module_count++;
}

static int site_add(struct plan *plan, const struct trial_site *site, bool pass)
{
    if (plan->site_count == PLAN_SITES || site->call_count > PLAN_DEPTH || !site->call_count ||
        plan->call_count + site->call_count > PLAN_CALLS)
        return -E2BIG;
    struct plan_site *made = &plan->sites[plan->site_count];
    *made = (struct plan_site){.first_call = plan->call_count,
                               .call_count = (uint32_t)site->call_count,
                               .rule = pass ? PLAN_PASS : site->rule,
                               .group = plan->site_count,
                               .bytes = site->bytes};
    for (size_t i = 0; i < site->call_count; i++) {
        uint32_t module = module_number(plan, &site->calls[i]);
        if (module == PLAN_MODULES)
            return -E2BIG;
        plan->calls[plan->call_count++] =
            (struct plan_call){.module = module, .offset = site->calls[i].offset};
    }
    plan->site_count++;
    return 0;
}

int plan_file_create(const struct trial_arm *arm, struct plan **ret_plan, int *ret_fd)
{
    int fd = memfd_create("poolwise-trial", MFD_CLOEXEC);
    struct plan *plan = MAP_FAILED;
    int status = 0;
    if (fd < 0 || ftruncate(fd, sizeof *plan) ||
        (plan = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED)
        status = -errno;
    if (!status) {
        plan->magic = PLAN_MAGIC;
        plan->bytes = sizeof *plan;
        plan->everything = arm->everything;
        plan->everything_bytes = arm->pass ? 0 : arm->everything_bytes;
        for (size_t i = 0; !status && i < arm->site_count; i++)
            status = site_add(plan, arm->sites[i], arm->pass);
    }
    if (status) {
        if (plan != MAP_FAILED)
            munmap(plan, sizeof *plan);
        if (fd >= 0)
            close(fd);
        return status;
    }
    *ret_plan = plan;
    *ret_fd = fd;
    return 0;
}

void plan_file_destroy(struct plan *plan, int fd)
{
    munmap(plan, sizeof *plan);
    close(fd);
}
