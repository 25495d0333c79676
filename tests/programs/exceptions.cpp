/* SPDX-License-Identifier: MIT */
/*
 * Exceptions thrown through frames that hold blocks: the destructors that free them run in landing
 * pads, while the unwinder of the C++ runtime is at work. Some throws end three frames up, some
 * pass through a rethrow.
 */
#include <memory>
#include <stdexcept>

#include "programs.h"

static const int rounds = 2000;

struct holder {
    explicit holder(std::size_t size) : block(std::malloc(size))
    {
        KEEP(block);
    }
    ~holder()
    {
        std::free(block);
    }
    holder(const holder &) = delete;
    holder &operator=(const holder &) = delete;
    void *block;
};

static OWN_FRAME void throw_it(int i)
{
    holder inner(5001);
    if (i % 2 == 0)
        throw std::runtime_error("even");
    throw i;
}

static OWN_FRAME void rethrow_it(int i)
{
    holder middle(5002);
    try {
        throw_it(i);
    } catch (const std::exception &) {
        holder while_caught(5003);
        throw;
    }
}

static OWN_FRAME int catch_it(int i)
{
    holder outer(5004);
    try {
        rethrow_it(i);
    } catch (const std::exception &) {
        return 1;
    } catch (int) {
        return 2;
    }
    return 0;
}

int main()
{
    int sum = 0;
    for (int i = 0; i < rounds; i++)
        sum += catch_it(i);
    CHECK(sum == rounds / 2 * 3);
    SAY("{\"paths\": [{\"size\": 5001, \"through\": \"throw_it\", \"count\": %d}, "
        "{\"size\": 5002, \"through\": \"rethrow_it\", \"count\": %d}, "
        "{\"size\": 5003, \"through\": \"rethrow_it\", \"count\": %d}, "
        "{\"size\": 5004, \"through\": \"catch_it\", \"count\": %d}]}\n",
        rounds, rounds, rounds / 2, rounds);
    return 0;
}
