// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func signalHandler() uintptr
TEXT ·signalHandler(SB), NOSPLIT, $0-8
	MOVD $handler<>(SB), R0
	MOVD R0, ret+0(FP)
	RET

// func signalRestorer() uintptr
TEXT ·signalRestorer(SB), NOSPLIT, $0-8
	MOVD $restorer<>(SB), R0
	MOVD R0, ret+0(FP)
	RET

TEXT handler<>(SB), NOSPLIT|NOFRAME, $0
	RET

TEXT restorer<>(SB), NOSPLIT|NOFRAME, $0
	MOVD $139, R8 // rt_sigreturn
	SVC
	BRK
