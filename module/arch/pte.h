/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cptdev: the processor. A file for each architecture has the same functions; arch/x86/pte.h
 * describes them.
 */
#ifndef _CPTDEV_ARCH_PTE_H
#define _CPTDEV_ARCH_PTE_H

#if defined(CONFIG_X86_64)
#include "x86/pte.h"
#elif defined(CONFIG_ARM64)
#include "arm64/pte.h"
#else
#error "cptdev knows x86-64 and arm64. Another architecture needs a pte.h in module/arch/."
#endif

#endif /* _CPTDEV_ARCH_PTE_H */
