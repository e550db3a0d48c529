/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk that boots into 64-bit mode with AVX-512 enabled, calls bare_main() and ends the emulator. Memory: page tables
 * from 0x1000, this sector at 0x7c00 and the rest of the image behind it (image.ld), the stack below 2 MiB, .bss from there.
 */
	.section .boot, "ax"
	.code16
	.globl start
start:
	ljmp	$0, $1f
1:	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$0x7c00, %sp
	inb	$0x92, %al		/* A20 */
	orb	$2, %al
	outb	%al, $0x92
read:	movb	$0x42, %ah		/* BIOS, extended read: the drive is in %dl from the start on */
	movw	$request, %si
	int	$0x13
	jc	fail
	addw	$CHUNK / 16, segment
	addl	$CHUNK / 512, sector
	movl	sector, %eax
	cmpl	$image_sectors, %eax
	jb	read
	lgdt	gdt_pointer
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmp	$8, $protected
fail:	hlt
	jmp	fail

	.set	CHUNK, 16384
	.align	4
request:
	.byte	16, 0
	.word	CHUNK / 512, 0
segment:
	.word	0x7e0
sector:
	.long	1, 0

	.align	8
gdt:	.quad	0, 0x00cf9a000000ffff, 0x00cf92000000ffff, 0x00af9a000000ffff
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt

	.code32
protected:
	movw	$16, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$0x1000, %edi		/* the first GiB, in pages of 2 MiB */
	xorl	%eax, %eax
	movl	$3 * 1024, %ecx
	cld
	rep stosl
	movl	$0x2003, 0x1000
	movl	$0x3003, 0x2000
	movl	$0x3000, %edi
	movl	$0x83, %eax
1:	movl	%eax, (%edi)
	addl	$0x200000, %eax
	addl	$8, %edi
	cmpl	$0x4000, %edi
	jb	1b
	movl	$0x1000, %eax
	movl	%eax, %cr3
	movl	$0x40620, %eax		/* PAE, OSFXSR, OSXMMEXCPT, OSXSAVE */
	movl	%eax, %cr4
	xorl	%ecx, %ecx
	xorl	%edx, %edx
	movl	$0xe7, %eax		/* XCR0: x87, SSE, AVX, the three parts of AVX-512 */
	xsetbv
	movl	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	$0x80000003, %eax	/* PG, MP, PE */
	movl	%eax, %cr0
	ljmp	$24, $long_mode

	.code64
long_mode:
	movl	$0x200000, %esp
	movl	$bss_begin, %edi
	movl	$bss_end, %ecx
	subl	%edi, %ecx
	xorl	%eax, %eax
	rep stosb
	call	bare_main
	movw	$0x8900, %dx		/* Bochs ends when it reads this word here */
	leaq	shutdown(%rip), %rsi
	movl	$8, %ecx
	rep outsb
1:	hlt
	jmp	1b
shutdown:
	.ascii	"Shutdown"
	.org	510
	.word	0xaa55
	.section .note.GNU-stack, "", @progbits
