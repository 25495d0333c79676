// SPDX-License-Identifier: MIT
#include "scoped.h"
