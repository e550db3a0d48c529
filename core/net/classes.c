/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/classes.h"

const struct tr_class *const core_classes[] = {&class_interface, &class_mux, &class_route, &class_path, &class_drop, &class_host, NULL};
