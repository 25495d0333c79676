/* SPDX-License-Identifier: MIT */
#pragma once

void *empty_get(void *item);
void empty_put(void *item);
