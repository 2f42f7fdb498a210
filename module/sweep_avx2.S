/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cptdev: the inner loop of sweep.c, four page-table entries to an instruction. Its twin
 * in C, sweep_table(), says what it does.
 */
#include <linux/linkage.h>

#define TABLE	%rdi		/* 512 entries, 8 words of 64 */
#define FOUND	%rdx
#define MARKS	%rcx		/* words that must be zero, eight to a line */
#define LINES	%r8d		/* 2 or 3 */
#define BITS	%ymm15
#define ZERO	%ymm14
#define NOBITS	%ymm13		/* the others */

.section	.rodata, "a", @progbits
.align 32
/* Bytes in the order of the entries: packing leaves them in pairs from two lanes. */
.Lorder:
	.byte	0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15
	.byte	0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15

.text

/* Has none of 64 entries one of the bits? The answer becomes the lowest bit of eax. */
.macro none64 word
	vmovdqa	(512 * \word)(TABLE), %ymm0
	vmovdqa	(512 * \word + 32)(TABLE), %ymm1
.set	i, 64
.rept	7
	vpor	(512 * \word + i)(TABLE), %ymm0, %ymm0
	vpor	(512 * \word + i + 32)(TABLE), %ymm1, %ymm1
.set	i, i + 64
.endr
	vpor	%ymm1, %ymm0, %ymm0
	vptest	%ymm0, NOBITS
	adc	%eax, %eax
.endm

/* Of 8 entries, those without any of the bits: eight times -1 or 0. */
.macro none8 offset to
	vpand	(\offset)(%r11), BITS, \to
	vpcmpeqq ZERO, \to, \to
	vpand	(\offset + 32)(%r11), BITS, %ymm1
	vpcmpeqq ZERO, %ymm1, %ymm1
	vshufps	$0x88, %ymm1, \to, \to
.endm

/* The same of 32, as a mask. */
.macro none32 offset to
	none8	(\offset), %ymm0
	none8	(\offset + 64), %ymm2
	none8	(\offset + 128), %ymm4
	none8	(\offset + 192), %ymm6
	vpackssdw %ymm2, %ymm0, %ymm0
	vpackssdw %ymm6, %ymm4, %ymm4
	vpacksswb %ymm4, %ymm0, %ymm0
	vpermq	$0xd8, %ymm0, %ymm0
	vpshufb	.Lorder(%rip), %ymm0, %ymm0
	vpmovmskb %ymm0, \to
.endm

SYM_FUNC_START(cptdev_sweep_avx2)
	vmovq	%rsi, %xmm15
	vpbroadcastq %xmm15, BITS
	vpxor	ZERO, ZERO, ZERO
	vpcmpeqd NOBITS, NOBITS, NOBITS
	vpxor	BITS, NOBITS, NOBITS
	xor	%eax, %eax
	none64	7
	none64	6
	none64	5
	none64	4
	none64	3
	none64	2
	none64	1
	none64	0
	/* The processor loads in this order: the entries, then the marks. */
	vmovdqu	(MARKS), %ymm0
	vpor	32(MARKS), %ymm0, %ymm0
	vpor	64(MARKS), %ymm0, %ymm0
	vpor	96(MARKS), %ymm0, %ymm0
	cmp	$2, LINES
	je	.Lmarks
	vpor	128(MARKS), %ymm0, %ymm0
	vpor	160(MARKS), %ymm0, %ymm0
.Lmarks:
	xor	$0xff, %eax
	jnz	.Lfound
	vptest	%ymm0, %ymm0
	setnz	%ah
	vzeroupper
	RET

.Lfound:
	vptest	%ymm0, %ymm0
	vmovdqu	ZERO, (FOUND)
	vmovdqu	ZERO, 32(FOUND)
	mov	%eax, %r9d
	setnz	%ah
.Lword:
	bsf	%r9d, %ecx
	mov	%ecx, %r11d
	shl	$9, %r11d
	add	TABLE, %r11
	none32	0, %esi
	none32	256, %r10d
	shl	$32, %r10
	or	%rsi, %r10
	not	%r10
	mov	%r10, (FOUND, %rcx, 8)
	lea	-1(%r9), %r8d
	and	%r8d, %r9d
	jnz	.Lword
	vzeroupper
	RET
SYM_FUNC_END(cptdev_sweep_avx2)
