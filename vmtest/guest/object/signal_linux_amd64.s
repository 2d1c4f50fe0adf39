// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func signalHandler() uintptr
TEXT ·signalHandler(SB), NOSPLIT, $0-8
	LEAQ handler<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// func signalRestorer() uintptr
TEXT ·signalRestorer(SB), NOSPLIT, $0-8
	LEAQ restorer<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

TEXT handler<>(SB), NOSPLIT|NOFRAME, $0
	RET

TEXT restorer<>(SB), NOSPLIT|NOFRAME, $0
	MOVL $15, AX // rt_sigreturn
	SYSCALL
	INT  $3
