/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cptdev: the inner loop of the sweep, four page-table entries per instruction. It does the same
 * as sweep_portable(), which is its documentation.
 */
#include <linux/linkage.h>

#define SWEPT	%rdi		/* struct cptdev_swept: */
#define PTES	0
#define CHUNK	8
#define FOUND	16
#define WHAT	80
#define SIZE	88
#define NR	%esi
#define MARK	%rcx		/* offsets in the chunk: sixteen words that must be zero, */
#define THIRD	%r8		/* and eight more */
#define ALL	%r9d		/* the result */
#define TABLE	%r10		/* 512 entries, 8 words of 64 */
#define WORD	%r12		/* one of them: its offset */
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
.set	i, 32
.rept	15
	vpor	(512 * \word + i)(TABLE), %ymm0, %ymm0
.set	i, i + 32
.endr
	vptest	%ymm0, NOBITS
	adc	%eax, %eax
.endm

/* Of 8 entries, those without any of the bits: eight times -1 or 0. */
.macro none8 offset to
	vpand	(\offset)(TABLE, WORD), BITS, \to
	vpcmpeqq ZERO, \to, \to
	vpand	(\offset + 32)(TABLE, WORD), BITS, %ymm1
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
	push	%rbx
	push	%r12
	vmovq	%rdx, %xmm15
	vpbroadcastq %xmm15, BITS
	vpxor	ZERO, ZERO, ZERO
	vpcmpeqd NOBITS, NOBITS, NOBITS
	vpxor	BITS, NOBITS, NOBITS
	xor	ALL, ALL
.Ltable:
	mov	PTES(SWEPT), TABLE
	test	TABLE, TABLE
	jz	.Lnext
	xor	%eax, %eax
	none64	7
	none64	6
	none64	5
	none64	4
	none64	3
	none64	2
	none64	1
	none64	0
	xor	$0xff, %eax
	jnz	.Lfound
	/* The processor loads in this order: the entries, all of them, then the marks. */
.Lmarks:
	mov	CHUNK(SWEPT), %rdx
	vmovdqu	(%rdx, MARK), %ymm0
	vpor	32(%rdx, MARK), %ymm0, %ymm0
	vpor	64(%rdx, MARK), %ymm0, %ymm0
	vpor	96(%rdx, MARK), %ymm0, %ymm0
	vpor	(%rdx, THIRD), %ymm0, %ymm0
	vpor	32(%rdx, THIRD), %ymm0, %ymm0
	vptest	%ymm0, %ymm0
	setnz	%ah
	mov	%eax, WHAT(SWEPT)
	or	%eax, ALL
.Lnext:
	add	$SIZE, SWEPT
	dec	NR
	jnz	.Ltable
	vzeroupper
	pop	%r12
	pop	%rbx
	mov	ALL, %eax
	RET

.Lfound:
	mov	%eax, WHAT(SWEPT)
	mov	%eax, %ebx
	vmovdqu	ZERO, FOUND(SWEPT)
	vmovdqu	ZERO, (FOUND + 32)(SWEPT)
.Lword:
	bsf	%ebx, %edx
	mov	%edx, %r12d
	shl	$9, %r12d
	none32	0, %eax
	none32	256, %r11d
	shl	$32, %r11
	or	%rax, %r11
	not	%r11
	mov	%r11, FOUND(SWEPT, %rdx, 8)
	lea	-1(%rbx), %eax
	and	%eax, %ebx
	jnz	.Lword
	mov	WHAT(SWEPT), %eax
	jmp	.Lmarks
SYM_FUNC_END(cptdev_sweep_avx2)
